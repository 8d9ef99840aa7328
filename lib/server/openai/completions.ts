// POST /v1/completions: texts continued, in the older form of the API.
import { Hono } from 'hono';
import { z } from 'zod';
import type { Model } from '../../model.js';
import type { Generated, Piece } from '../../text/generate.js';
import type { TokenMask } from '../../text/mask.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest, errorBody } from '../http/errors.js';
import { jsonAnswer } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { eventStream } from '../http/stream.js';
import { newId } from '../ids.js';
import { failedAs } from '../metrics.js';
import type { Resolved } from '../served.js';
import { systemFingerprint, unixSeconds, usageOf } from './answers.js';
import { planAnswer } from './chat-answer.js';
import { textFormatOf } from './constraints.js';
import { checkFields, warningHeader } from './fields.js';
import { beginMilliseconds, Generations, type RequestFacts, type Sequence } from './generation.js';
import { type CompletionLogprobs, completionLogprobs, type ScoredText } from './logprobs.js';
import { inputsOf, mostTokens, plainPrompt, promptInput } from './prompt.js';
import { promptLogprobs } from './prompt-logprobs.js';
import { checkSequences, checkTokensTogether, maskOf, samplingFields, samplingOptions, seedOf } from './sampling.js';

const completionBody = z.looseObject({
  ...samplingFields,
  prompt: promptInput(128),
  max_tokens: z.number().int().min(0).nullish(),
  logprobs: z.number().int().min(0).max(5).nullish(),
  echo: z.boolean().nullish(),
  best_of: z.number().int().min(1).max(20).nullish(),
  suffix: z.literal('', { error: 'is not supported: these models continue texts, they do not fill gaps' }).nullish(),
});

type CompletionBody = z.infer<typeof completionBody>;

export function completionRoutes(context: ServerContext): Hono {
  return new Hono().post('/completions', async (c) => {
    const body = await jsonBody(c, context, completionBody);
    const facts = requestFacts(c);
    using resolved = await context.resolve(body.model, facts.signal);
    const prompts = inputsOf(body.prompt);
    const warnings = checkFields(body, completionBody, { neutral: { add_special_tokens: [true] } });
    const { sequences, relaxed } = await prepare(context, resolved.model, body, prompts);
    const echoed = await echoedLogprobs(context, resolved, body, sequences, facts);
    const generations = new Generations(context, resolved, sequences, facts);
    await generations.begun(beginMilliseconds);
    const completion = new TextCompletion(resolved, body, prompts, echoed, generations);
    const headers = warningHeader([...warnings, ...relaxed]);
    if (!body.stream) return jsonAnswer(c, await completion.whole(), headers);
    return eventStream(completion.chunks(), {
      cancel: generations.cancel,
      errorBody: (error) => errorBody(error, context.log, facts.requestId, facts.signal),
      headers,
    });
  });
}

/** The candidates of each prompt, one prompt after the other, and what their constraint does not enforce. */
async function prepare(
  context: ServerContext,
  model: Model,
  body: CompletionBody,
  given: (string | number[])[],
): Promise<{ sequences: Sequence[]; relaxed: readonly string[] }> {
  const n = body.n ?? 1;
  const candidates = body.best_of ?? n;
  if (candidates < n) throw badRequest(`'best_of': is ${candidates}, less than 'n', which is ${n}.`, 'best_of');
  if (candidates > n && body.stream)
    throw badRequest("'best_of': a stream cannot choose; send it without 'stream'.", 'best_of');
  const param = given.length > 1 ? 'prompt' : 'n';
  checkSequences(given.length * candidates, model, param);
  const { seed, ...sampling } = samplingOptions(body, model);
  const topLogprobs = body.logprobs ?? (candidates > n ? 0 : undefined);
  const most = mostTokens(context, model);
  const prompts: (readonly number[])[] = [];
  for (const [at, prompt] of given.entries()) {
    prompts.push(await plainPrompt(model, prompt, given.length > 1 ? `prompt[${at}]` : 'prompt', most));
  }
  const answer = textFormatOf(body) ? await planAnswer(model, body) : undefined;
  const sequences = prompts.flatMap((prompt) =>
    Array.from({ length: candidates }, (_, i) => ({
      prompt,
      options: {
        ...masked(maskOf(body, model, answer?.mask?.({ continued: '' }))),
        ...sampling,
        ...seedOf(seed, i),
        maxNewTokens: body.max_tokens ?? 16,
        ...(topLogprobs === undefined ? {} : { topLogprobs }),
      },
    })),
  );
  // Texts that are only echoed do not queue.
  if (body.max_tokens !== 0) checkTokensTogether(sequences, model, param);
  return { sequences, relaxed: answer?.warnings ?? [] };
}

const masked = (mask: TokenMask | undefined): { mask?: TokenMask } => (mask ? { mask } : {});

/** Of each prompt, where they are asked for. Sequences that come no further are counted here. */
async function echoedLogprobs(
  context: ServerContext,
  resolved: Resolved,
  { echo, logprobs, best_of, n }: CompletionBody,
  sequences: readonly Sequence[],
  facts: RequestFacts,
): Promise<ScoredText[]> {
  if (!echo || typeof logprobs !== 'number') return [];
  const candidates = best_of ?? n ?? 1;
  const prompts = sequences.filter((_, i) => i % candidates === 0).map(({ prompt }) => prompt);
  try {
    return await promptLogprobs(context, resolved, facts, prompts, logprobs);
  } catch (error) {
    const failed = failedAs(error, facts.signal.aborted || context.signal.aborted);
    for (const { prompt } of sequences) {
      context.metrics.follow(resolved.served.id, facts.since).finish(failed, prompt.length, 0);
    }
    throw error;
  }
}

interface Candidate {
  pieces: Piece[];
  end?: Generated;
}

class TextCompletion {
  readonly #head: { id: string; object: 'text_completion'; created: number; model: string; system_fingerprint: string };
  readonly #perPrompt: number;
  readonly #candidates: Candidate[];

  constructor(
    private readonly resolved: Resolved,
    private readonly body: CompletionBody,
    private readonly prompts: readonly (string | number[])[],
    /** Of each prompt, where they were asked for. */
    private readonly echoed: readonly ScoredText[],
    private readonly generations: Generations,
  ) {
    this.#perPrompt = body.best_of ?? body.n ?? 1;
    this.#candidates = Array.from({ length: prompts.length * this.#perPrompt }, () => ({ pieces: [] }));
    this.#head = {
      id: newId('cmpl-'),
      object: 'text_completion',
      created: unixSeconds(),
      model: resolved.id,
      system_fingerprint: systemFingerprint(resolved),
    };
  }

  async whole(): Promise<object> {
    for await (const event of this.generations) {
      const candidate = this.#candidates[event.index]!;
      if ('piece' in event) candidate.pieces.push(event.piece);
      else candidate.end = event.end;
    }
    const n = this.body.n ?? 1;
    const chosen = this.#groups().flatMap((group, at) => best(group, n).map((candidate) => ({ candidate, at })));
    return {
      ...this.#head,
      choices: chosen.map(({ candidate, at }, index) => {
        const echo = this.#echo(at);
        const before = this.echoed[at];
        const { pieces } = candidate;
        return {
          text: echo + (candidate.end?.text ?? ''),
          index,
          logprobs: before
            ? this.#logprobs({ ...before, pieces: [...before.pieces, ...pieces] }, 0)
            : this.#logprobs({ pieces }, echo.length),
          finish_reason: candidate.end?.finishReason ?? 'stop',
        };
      }),
      usage: this.#usage(),
    };
  }

  async *chunks(): AsyncGenerator<object, void, void> {
    const includeUsage = this.body.stream_options?.include_usage === true;
    const chunk = (
      index: number,
      text: string,
      logprobs: CompletionLogprobs | null,
      finish: string | null,
    ): object => ({
      ...this.#head,
      choices: [{ text, index, logprobs, finish_reason: finish }],
      ...(includeUsage ? { usage: null } : {}),
    });
    const offsets = this.#candidates.map((_, index) => this.#echo(this.#promptOf(index)).length);
    if (this.body.echo) {
      for (const index of this.#candidates.keys()) {
        const at = this.#promptOf(index);
        const before = this.echoed[at];
        yield chunk(index, this.#echo(at), before ? this.#logprobs(before, 0) : null, null);
      }
    }
    for await (const event of this.generations) {
      const { index } = event;
      if ('end' in event) {
        this.#candidates[index]!.end = event.end;
        yield chunk(index, '', null, event.end.finishReason);
        continue;
      }
      const { piece } = event;
      const logprobs = this.#logprobs({ pieces: [piece] }, offsets[index]!);
      offsets[index]! += piece.text.length;
      if (piece.text !== '' || logprobs) yield chunk(index, piece.text, logprobs, null);
    }
    if (includeUsage) yield { ...this.#head, choices: [], usage: this.#usage() };
  }

  #promptOf(index: number): number {
    return Math.floor(index / this.#perPrompt);
  }

  #echo(at: number): string {
    if (!this.body.echo) return '';
    const prompt = this.prompts[at]!;
    if (typeof prompt === 'string') return prompt;
    return this.resolved.model.hasTokenizer ? this.resolved.model.tokenizer.decode(prompt) : '';
  }

  #groups(): Candidate[][] {
    return this.prompts.map((_, at) => this.#candidates.slice(at * this.#perPrompt, (at + 1) * this.#perPrompt));
  }

  #logprobs(text: ScoredText, offset: number): CompletionLogprobs | null {
    if (typeof this.body.logprobs !== 'number') return null;
    const { model } = this.resolved;
    return completionLogprobs(model.hasTokenizer ? model.tokenizer : undefined, text, offset);
  }

  #usage() {
    return usageOf(this.#groups().map((group) => group.flatMap(({ end }) => (end ? [end] : []))));
  }
}

/** The `n` whose tokens are likeliest on average. */
function best(group: readonly Candidate[], n: number): Candidate[] {
  if (group.length <= n) return [...group];
  const mean = ({ pieces }: Candidate): number =>
    pieces.reduce((sum, { logprob = 0 }) => sum + logprob, 0) / Math.max(1, pieces.length);
  return [...group].sort((a, b) => mean(b) - mean(a)).slice(0, n);
}
