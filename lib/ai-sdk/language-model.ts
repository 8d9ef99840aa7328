// One of our models as the AI SDK's language model. What it gives is the same in versions 3 and 4 of the specification.

import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { QueueFull } from '../flow/quota.js';
import type { Adapter } from '../lora/adapter.js';
import type { Generation, Model } from '../model.js';
import { type AnswerReader, planAnswer, type ToolEvent } from '../text/calls/tools.js';
import type { Generated } from '../text/generate.js';
import type { GenerateOptions } from '../text/options.js';
import { retryable } from './errors.js';
import { answerOptions, chatMessages } from './prompt.js';
import type {
  CallOptions,
  Content,
  FinishPart,
  GenerateResult,
  LanguageModel,
  StreamPart,
  Usage,
  Version,
} from './specification.js';

export interface Served {
  model: Model;
  adapter?: Adapter;
}

export class HelvetiaLanguageModel<V extends Version> implements LanguageModel<V> {
  readonly provider = 'helvetia';
  readonly supportedUrls = {};

  constructor(
    readonly specificationVersion: V,
    readonly modelId: string,
    private readonly served: Served,
  ) {}

  async doGenerate(options: CallOptions): Promise<GenerateResult> {
    const { parts, warnings, head } = await this.#answer(options);
    const content: Content[] = [];
    let end: FinishPart | undefined;
    for await (const part of parts) {
      const last = content.at(-1);
      if (part.type === 'text-start') content.push({ type: 'text', text: '' });
      else if (part.type === 'reasoning-start') content.push({ type: 'reasoning', text: '' });
      else if (part.type === 'text-delta' && last?.type === 'text') last.text += part.delta;
      else if (part.type === 'reasoning-delta' && last?.type === 'reasoning') last.text += part.delta;
      else if (part.type === 'tool-call') content.push(part);
      else if (part.type === 'finish') end = part;
    }
    const { finishReason, usage } = end!;
    return { content, finishReason, usage, warnings, response: head };
  }

  async doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }> {
    const { parts, warnings, head, generation } = await this.#answer(options);
    const stream = new ReadableStream<StreamPart>({
      start(controller) {
        controller.enqueue({ type: 'stream-start', warnings });
        controller.enqueue({ type: 'response-metadata', ...head });
      },
      async pull(controller) {
        try {
          const { done, value } = await parts.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          controller.error(error);
        }
      },
      cancel: (reason) => generation.cancel(reason),
    });
    return { stream };
  }

  /** @throws Error (as a rejection) for a prompt that the model can't take. */
  async #answer(options: CallOptions) {
    const { model, adapter } = this.served;
    const { tokenizer, defaults, decoder } = model;
    const { answer, warnings } = answerOptions(options);
    const plan = await planAnswer(tokenizer, defaults.endIds, answer);
    for (const message of plan.warnings) warnings.push({ type: 'other', message });
    const messages = plan.messages(chatMessages(options.prompt));
    const templateOptions = { tools: plan.templateTools, addGenerationPrompt: true, variables: plan.variables };
    const text = await tokenizer.renderChat(messages, templateOptions, { signal: options.abortSignal }).catch(retried);
    const prompt = tokenizer.encode(text, { addSpecialTokens: false, literals: !tokenizer.controlTokensInMessages });
    const mask = plan.mask?.({ prompt: text });
    const generation = model.generateTokens(prompt, {
      ...sampling(options),
      maxNewTokens: options.maxOutputTokens ?? Math.max(0, decoder.config.contextLength - prompt.length),
      continues: false,
      ...(adapter ? { adapter } : {}),
      ...(mask ? { mask } : {}),
    });
    // A full queue refuses at once, before the SDK holds a stream that it could not ask for again.
    await Promise.race([generation, setImmediate()]).catch((error: unknown) => {
      if (error instanceof QueueFull) throw retryable(error);
    });
    const head = { id: `helvetia-${randomUUID()}`, timestamp: new Date(), modelId: this.modelId };
    return { parts: streamParts(generation, plan.reader({ prompt: text })), warnings, head, generation };
  }
}

const retried = (error: unknown): never => {
  throw retryable(error);
};

function sampling(options: CallOptions): GenerateOptions {
  const { temperature, topP, topK, presencePenalty, frequencyPenalty, seed, stopSequences, abortSignal } = options;
  const given = {
    temperature,
    topP: leastTopP(topP),
    topK,
    presencePenalty,
    frequencyPenalty,
    seed,
    signal: abortSignal,
  };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...known, ...(stopSequences && stopSequences.length > 0 ? { stop: stopSequences } : {}) };
}

/** 0 is allowed in the SDK as on the wire, and takes the likeliest token alone. */
const leastTopP = (topP: number | undefined): number | undefined =>
  topP === undefined ? undefined : Math.max(topP, 1e-6);

/** The generation as the SDK's parts: blocks of text, calls as they are written and once they are whole, and the end. */
async function* streamParts(generation: Generation, reader: AnswerReader): AsyncGenerator<StreamPart, void, void> {
  const blocks = new Blocks();
  for await (const { text, token } of generation) yield* blocks.of(reader.push(text, token));
  const { finishReason, stopString, usage } = await generation;
  yield* blocks.of(reader.end({ cut: finishReason === 'length' || stopString !== undefined }));
  yield* blocks.close();
  yield {
    type: 'finish',
    finishReason: {
      unified: reader.complete && finishReason === 'stop' ? 'tool-calls' : finishReason,
      raw: finishReason,
    },
    usage: usageOf(usage, reader.reasoningTokens),
  };
}

function usageOf({ promptTokens, cachedTokens, completionTokens }: Generated['usage'], reasoning: number): Usage {
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: completionTokens, text: completionTokens - reasoning, reasoning },
  };
}

/** Opens and closes blocks: at most one is open at a time. */
class Blocks {
  called = false;
  #texts = 0;
  #open:
    | { type: 'text' | 'reasoning'; id: string }
    | { type: 'call'; id: string; name: string; input: string }
    | undefined;

  *of(events: readonly ToolEvent[]): Generator<StreamPart> {
    for (const event of events) {
      if (event.type === 'text' || event.type === 'reasoning') {
        if (this.#open?.type !== event.type) {
          yield* this.close();
          this.#open = { type: event.type, id: String(this.#texts++) };
          yield { type: `${event.type}-start`, id: this.#open.id };
        }
        yield { type: `${event.type}-delta`, id: this.#open.id, delta: event.text };
      } else if (event.type === 'call') {
        yield* this.close();
        this.called = true;
        this.#open = { type: 'call', id: event.id, name: event.name, input: '' };
        yield { type: 'tool-input-start', id: event.id, toolName: event.name };
      } else if (this.#open?.type === 'call') {
        this.#open.input += event.text;
        yield { type: 'tool-input-delta', id: this.#open.id, delta: event.text };
      }
    }
  }

  *close(): Generator<StreamPart> {
    const open = this.#open;
    this.#open = undefined;
    if (open && open.type !== 'call') yield { type: `${open.type}-end`, id: open.id };
    if (open?.type !== 'call') return;
    yield { type: 'tool-input-end', id: open.id };
    yield { type: 'tool-call', toolCallId: open.id, toolName: open.name, input: open.input || '{}' };
  }
}
