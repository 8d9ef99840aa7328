// POST /v1/chat/completions, whole or as a stream of chunks.
import { Hono } from 'hono';
import type { ToolEvent } from '../../text/calls/answer-reader.js';
import type { Piece } from '../../text/generate.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { errorBody } from '../http/errors.js';
import { jsonAnswer } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { eventStream } from '../http/stream.js';
import { newId } from '../ids.js';
import type { Resolved } from '../served.js';
import { systemFingerprint, unixSeconds } from './answers.js';
import { type Delta, deltaOf } from './chat-answer.js';
import { type ChatBody, chatBody } from './chat-request.js';
import { ChatRun } from './chat-run.js';
import { checkFields, warningHeader } from './fields.js';
import { chatLogprobs } from './logprobs.js';
import { showsReasoning } from './reasoning.js';

export function chatRoutes(context: ServerContext): Hono {
  return new Hono().post('/chat/completions', async (c) => {
    const body = await jsonBody(c, context, chatBody);
    const facts = requestFacts(c);
    using resolved = await context.resolve(body.model, facts.signal);
    const warnings = checkFields(body, chatBody);
    const run = await ChatRun.begin(context, resolved, body, facts);
    const completion = new Completion(resolved, body, run);
    const headers = warningHeader([...warnings, ...run.warnings]);
    if (!body.stream) return jsonAnswer(c, await completion.whole(), headers);
    return eventStream(completion.chunks(), {
      cancel: run.cancel,
      errorBody: (error) => errorBody(error, context.log, facts.requestId, facts.signal),
      headers,
    });
  });
}

class Completion {
  readonly #head: { id: string; created: number; model: string; system_fingerprint: string };
  /** Whether the stream has named the role, by choice. */
  readonly #named: boolean[];

  constructor(
    private readonly resolved: Resolved,
    private readonly body: ChatBody,
    private readonly run: ChatRun,
  ) {
    this.#head = {
      id: newId('chatcmpl-'),
      created: unixSeconds(),
      model: resolved.id,
      system_fingerprint: systemFingerprint(resolved),
    };
    this.#named = Array.from({ length: body.n ?? 1 }, () => false);
  }

  async whole(): Promise<object> {
    const content = this.#named.map(() => ({
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
    for await (const { index, events, piece } of this.run) {
      if (piece && this.body.logprobs) content[index]!.pieces.push(piece);
      take(index, this.#deltas(events));
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
        finish_reason: this.run.finishReason(index),
        logprobs: this.#logprobs(pieces),
      })),
      usage: this.run.usage(),
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
      this.#named[index] = true;
      return chunk(index, { role: 'assistant', content, refusal: null });
    };
    // An answer that may be calls says with its first part whether it has content.
    if (!this.body.tools?.length) {
      for (const index of this.#named.keys()) yield named(index, '');
    }
    for await (const { index, events, piece, end } of this.run) {
      // Log probabilities go with the first delta of their piece.
      let pieces = piece && this.body.logprobs && piece.logprob !== undefined ? [piece] : [];
      const deltas = this.#deltas(events);
      if (deltas.length === 0 && pieces.length > 0) deltas.push(this.#named[index] ? { content: '' } : {});
      if (!this.#named[index] && deltas.length > 0) yield named(index, deltas[0]!.content === undefined ? null : '');
      for (const delta of deltas) {
        yield chunk(index, delta, pieces);
        pieces = [];
      }
      if (end) {
        if (!this.#named[index]) yield named(index, '');
        yield chunk(index, {}, [], this.run.finishReason(index));
      }
    }
    if (includeUsage) yield { ...head, choices: [], usage: this.run.usage() };
  }

  #deltas(events: readonly ToolEvent[]): Delta[] {
    return events.filter(({ type }) => type !== 'reasoning' || showsReasoning(this.body)).map(deltaOf);
  }

  #logprobs(pieces: readonly Piece[]): object | null {
    if (!this.body.logprobs) return null;
    return { content: chatLogprobs(this.resolved.model.tokenizer, pieces), refusal: null };
  }
}

interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}
