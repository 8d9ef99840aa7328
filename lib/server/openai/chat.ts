// POST /v1/chat/completions, whole or as a stream of chunks.
import { Hono } from 'hono';
import type { AnswerReader, ToolEvent } from '../../text/calls/tools.js';
import type { Generated, Piece } from '../../text/generate.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest, errorBody } from '../http/errors.js';
import { jsonAnswer } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { eventStream } from '../http/stream.js';
import { newId } from '../ids.js';
import type { Resolved } from '../served.js';
import { systemFingerprint, unixSeconds, usageOf } from './answers.js';
import { type Delta, deltaOf } from './chat-answer.js';
import { preparePrompt } from './chat-prompt.js';
import { type ChatBody, chatBody } from './chat-request.js';
import { checkFields, warningHeader } from './fields.js';
import { beginMilliseconds, Generations, type RequestFacts } from './generation.js';
import { chatLogprobs } from './logprobs.js';
import { mostTokens } from './prompt.js';
import { showsReasoning } from './reasoning.js';
import { checkSequences, checkTokensTogether, maskOf, samplingOptions, seedOf } from './sampling.js';

export function chatRoutes(context: ServerContext): Hono {
  return new Hono().post('/chat/completions', async (c) => {
    const body = await jsonBody(c, context, chatBody);
    const facts = requestFacts(c);
    using resolved = await context.resolve(body.model, facts.signal);
    const warnings = checkFields(body, chatBody);
    const { sequences, answer, after } = await prepare(context, resolved, body, facts);
    const generations = new Generations(context, resolved, sequences, facts);
    await generations.begun(beginMilliseconds);
    const completion = new Completion(resolved, body, generations, () => answer.reader(after));
    const headers = warningHeader([...warnings, ...answer.warnings]);
    if (!body.stream) return jsonAnswer(c, await completion.whole(), headers);
    return eventStream(completion.chunks(), {
      cancel: generations.cancel,
      errorBody: (error) => errorBody(error, context.log, facts.requestId, facts.signal),
      headers,
    });
  });
}

async function prepare(context: ServerContext, resolved: Resolved, body: ChatBody, facts: RequestFacts) {
  const { model } = resolved;
  if (typeof body.top_logprobs === 'number' && !body.logprobs) {
    throw badRequest("'top_logprobs': needs 'logprobs' to be true.", 'top_logprobs');
  }
  checkSequences(body.n ?? 1, model, 'n');
  const continued = body.continue_final_message === true;
  if (continued && body.add_generation_prompt === true) {
    throw badRequest(
      "'continue_final_message': cannot stand beside 'add_generation_prompt'.",
      'continue_final_message',
    );
  }
  const { prompt, answer, after } = await preparePrompt(
    model,
    body,
    {
      most: mostTokens(context, model),
      addGenerationPrompt: !continued && body.add_generation_prompt !== false,
      continued,
    },
    facts,
  );
  const { contextLength } = model.decoder.config;
  const { seed, ...sampling } = samplingOptions(body, model);
  const sequences = Array.from({ length: body.n ?? 1 }, (_, index) => {
    const mask = maskOf(body, model, answer.mask?.(after));
    return {
      prompt,
      options: {
        ...sampling,
        ...seedOf(seed, index),
        maxNewTokens: body.max_completion_tokens ?? body.max_tokens ?? contextLength - prompt.length,
        continues: continued,
        ...(body.logprobs ? { topLogprobs: body.top_logprobs ?? 0 } : {}),
        ...(mask ? { mask } : {}),
      },
    };
  });
  checkTokensTogether(sequences, model, 'n');
  return { sequences, answer, after };
}

interface Choice {
  reader: AnswerReader;
  end?: Generated;
  /** Whether the stream has named the role. */
  named?: boolean;
}

class Completion {
  readonly #head: { id: string; created: number; model: string; system_fingerprint: string };
  readonly #choices: Choice[];

  constructor(
    private readonly resolved: Resolved,
    private readonly body: ChatBody,
    private readonly generations: Generations,
    reader: () => AnswerReader,
  ) {
    this.#head = {
      id: newId('chatcmpl-'),
      created: unixSeconds(),
      model: body.model,
      system_fingerprint: systemFingerprint(resolved),
    };
    this.#choices = Array.from({ length: body.n ?? 1 }, () => ({ reader: reader() }));
  }

  async whole(): Promise<object> {
    const content = this.#choices.map(() => ({
      text: '',
      reasoning: '',
      calls: new Map<number, ToolCall>(),
      pieces: [] as Piece[],
    }));
    const take = (index: number, deltas: readonly Delta[]): void => {
      const into = content[index]!;
      for (const delta of deltas) {
        into.text += delta.content ?? '';
        into.reasoning += delta.reasoning_content ?? '';
        for (const { index: at, id, function: part } of delta.tool_calls ?? []) {
          const call = into.calls.get(at) ?? { id: '', type: 'function', function: { name: '', arguments: '' } };
          into.calls.set(at, call);
          call.id += id ?? '';
          call.function.name += part?.name ?? '';
          call.function.arguments += part?.arguments ?? '';
        }
      }
    };
    for await (const event of this.generations) {
      const { index } = event;
      if ('piece' in event && this.body.logprobs) content[index]!.pieces.push(event.piece);
      take(index, this.#deltas(index, event));
    }
    return {
      ...this.#head,
      object: 'chat.completion',
      choices: content.map(({ text, reasoning, calls, pieces }, index) => ({
        index,
        message: {
          role: 'assistant',
          content: text === '' && calls.size > 0 ? null : text,
          refusal: null,
          ...(reasoning === '' ? {} : { reasoning_content: reasoning, reasoning }),
          ...(calls.size > 0 ? { tool_calls: [...calls.values()] } : {}),
          annotations: [],
        },
        finish_reason: this.#finishReason(index),
        logprobs: this.#logprobs(pieces),
      })),
      usage: this.#usage(),
    };
  }

  async *chunks(): AsyncGenerator<object, void, void> {
    const includeUsage = this.body.stream_options?.include_usage === true;
    const head = { ...this.#head, object: 'chat.completion.chunk' };
    const chunk = (index: number, delta: object, pieces: readonly Piece[] = [], finish: string | null = null) => ({
      ...head,
      choices: [{ index, delta, logprobs: pieces.length > 0 ? this.#logprobs(pieces) : null, finish_reason: finish }],
      ...(includeUsage ? { usage: null } : {}),
    });
    const named = (index: number, content: '' | null) => {
      this.#choices[index]!.named = true;
      return chunk(index, { role: 'assistant', content, refusal: null });
    };
    // An answer that may be calls says with its first part whether it has content.
    if (!this.body.tools?.length) {
      for (const index of this.#choices.keys()) yield named(index, '');
    }
    for await (const event of this.generations) {
      const { index } = event;
      // Log probabilities go with the first delta of their piece.
      let pieces = 'piece' in event && this.body.logprobs && event.piece.logprob !== undefined ? [event.piece] : [];
      const deltas = this.#deltas(index, event);
      const choice = this.#choices[index]!;
      if (deltas.length === 0 && pieces.length > 0) deltas.push(choice.named ? { content: '' } : {});
      if (!choice.named && deltas.length > 0) yield named(index, deltas[0]!.content === undefined ? null : '');
      for (const delta of deltas) {
        yield chunk(index, delta, pieces);
        pieces = [];
      }
      if ('end' in event) {
        if (!choice.named) yield named(index, '');
        yield chunk(index, {}, [], this.#finishReason(index));
      }
    }
    if (includeUsage) yield { ...head, choices: [], usage: this.#usage() };
  }

  #deltas(index: number, event: { piece: Piece } | { end: Generated }): Delta[] {
    const choice = this.#choices[index]!;
    if ('end' in event) choice.end = event.end;
    return this.#events(choice.reader, event)
      .filter(({ type }) => type !== 'reasoning' || showsReasoning(this.body))
      .map(deltaOf);
  }

  #events(reader: AnswerReader, event: { piece: Piece } | { end: Generated }): ToolEvent[] {
    if (!('end' in event)) return reader.push(event.piece.text, event.piece.token);
    const { finishReason, stopString } = event.end;
    return reader.end({ cut: finishReason === 'length' || stopString !== undefined });
  }

  #logprobs(pieces: readonly Piece[]): object | null {
    if (!this.body.logprobs) return null;
    return { content: chatLogprobs(this.resolved.model.tokenizer, pieces), refusal: null };
  }

  #finishReason(index: number): string {
    const { reader, end } = this.#choices[index]!;
    return reader.complete && end?.finishReason === 'stop' ? 'tool_calls' : (end?.finishReason ?? 'stop');
  }

  #usage() {
    const reasoningTokens = this.#choices.reduce((sum, { reader }) => sum + reader.reasoningTokens, 0);
    return usageOf([this.#choices.flatMap(({ end }) => (end ? [end] : []))], reasoningTokens);
  }
}

interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}
