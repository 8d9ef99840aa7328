// An answer as a response: items of reasoning, text and calls, and the events by which they are written. Clients' parsers
// are strict: every item and part begins before its deltas, and ends.
import type { ToolEvent } from '../../text/calls/answer-reader.js';
import type { Piece } from '../../text/generate.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import type { ApiError } from '../http/errors.js';
import { unixSeconds } from '../openai/answers.js';
import type { ChatRun } from '../openai/chat-run.js';
import { chatLogprobs } from '../openai/logprobs.js';
import {
  type CallItem,
  itemId,
  type MessageItem,
  type OutputItem,
  type ReasoningItem,
  sealedReasoning,
} from './items.js';
import type { ResponsesBody } from './request.js';
import { type ResponseObject, usageOf } from './response.js';

export interface ResponseEvent {
  type: string;
  sequence_number: number;
  [field: string]: unknown;
}

export interface AnswerOptions {
  response: ResponseObject;
  body: ResponsesBody;
  namespaces: ReadonlyMap<string, { name: string; namespace: string }>;
  tokenizer: Tokenizer;
}

export class ResponseAnswer {
  #count = 0;
  #open: OutputItem | undefined;
  /** The text of the open item's part. */
  #text = '';
  readonly #logprobs: unknown[] = [];
  #cancelled = false;

  constructor(private readonly options: AnswerOptions) {}

  /** The response as far as it is written. */
  get response(): ResponseObject {
    return this.options.response;
  }

  /** The events before there is an answer. */
  *begin(): Generator<ResponseEvent, void, void> {
    yield this.#whole('response.created');
    if (this.response.background) yield this.#whole('response.queued');
  }

  /** Writes the answer. What fails on the way is an event as well; `failed` makes its error. */
  async *events(run: ChatRun, failed: (error: unknown) => ApiError): AsyncGenerator<ResponseEvent, void, void> {
    const { response } = this;
    response.status = 'in_progress';
    yield this.#whole('response.in_progress');
    try {
      for await (const { events, piece } of run) for (const event of events) yield* this.#take(event, piece);
      const cut = run.finishReason(0) === 'length';
      yield* this.#close(cut || this.#cancelled ? 'incomplete' : 'completed');
      response.usage = usageOf(run.usage());
      response.status = this.#cancelled ? 'cancelled' : cut ? 'incomplete' : 'completed';
      response.incomplete_details = cut ? { reason: 'max_output_tokens' } : null;
      response.completed_at = response.status === 'completed' ? unixSeconds() : null;
    } catch (error) {
      yield* this.#close('incomplete');
      this.fail(failed(error));
    }
    // Parsers know no event of a cancelled response.
    yield this.#whole(response.status === 'cancelled' ? 'response.incomplete' : `response.${response.status}`);
  }

  /** What is written from now on is that of a cancelled response. */
  cancel(): void {
    this.#cancelled = true;
  }

  /** Ends the response with an error. */
  fail({ code, message, status }: ApiError): void {
    this.response.status = 'failed';
    this.response.error = { code: status < 500 && code ? code : 'server_error', message };
  }

  *#take(event: ToolEvent, piece: Piece | undefined): Generator<ResponseEvent> {
    switch (event.type) {
      case 'reasoning':
        return yield* this.#reason(event.text);
      case 'text':
        return yield* this.#write(event.text, piece);
      case 'call':
        return yield* this.#call(event.id, event.name);
      case 'arguments':
        this.#text += event.text;
        yield this.#ofItem('response.function_call_arguments.delta', { delta: event.text });
    }
  }

  *#reason(text: string): Generator<ResponseEvent> {
    const summarised = this.#summarises;
    if (this.#open?.type !== 'reasoning') {
      yield* this.#close('completed');
      const id = this.#nextId('reasoning');
      const item: ReasoningItem = { id, type: 'reasoning', summary: [], content: [], status: 'in_progress' };
      yield* this.#add(item);
      const part = { type: 'reasoning_text', text: '' };
      yield this.#ofItem('response.content_part.added', { content_index: 0, part });
      if (summarised) {
        yield this.#ofItem('response.reasoning_summary_part.added', {
          summary_index: 0,
          part: { type: 'summary_text', text: '' },
        });
      }
    }
    this.#text += text;
    yield this.#ofItem('response.reasoning_text.delta', { content_index: 0, delta: text });
    if (summarised) yield this.#ofItem('response.reasoning_summary_text.delta', { summary_index: 0, delta: text });
  }

  *#write(text: string, piece: Piece | undefined): Generator<ResponseEvent> {
    if (this.#open?.type !== 'message') {
      yield* this.#close('completed');
      const id = this.#nextId('message');
      const item: MessageItem = { id, type: 'message', role: 'assistant', status: 'in_progress', content: [] };
      yield* this.#add(item);
      const part = { type: 'output_text', text: '', annotations: [], logprobs: [] };
      yield this.#ofItem('response.content_part.added', { content_index: 0, part });
    }
    this.#text += text;
    const logprobs = this.#wantsLogprobs && piece ? chatLogprobs(this.options.tokenizer, [piece]) : [];
    this.#logprobs.push(...logprobs);
    yield this.#ofItem('response.output_text.delta', { content_index: 0, delta: text, logprobs: [...logprobs] });
  }

  *#call(callId: string, offered: string): Generator<ResponseEvent> {
    yield* this.#close('completed');
    const id = this.#nextId('function_call');
    const known = this.options.namespaces.get(offered) ?? { name: offered };
    const item: CallItem = {
      id,
      type: 'function_call',
      call_id: callId,
      ...known,
      arguments: '',
      status: 'in_progress',
    };
    yield* this.#add(item);
  }

  *#add(item: OutputItem): Generator<ResponseEvent> {
    this.#open = item;
    this.#text = '';
    this.#logprobs.length = 0;
    yield this.#event('response.output_item.added', { output_index: this.response.output.length, item: { ...item } });
  }

  /** Ends the open item. */
  *#close(status: 'completed' | 'incomplete'): Generator<ResponseEvent> {
    const item = this.#open;
    if (!item) return;
    const text = this.#text;
    if (item.type === 'reasoning') {
      const part = { type: 'reasoning_text' as const, text };
      item.content = [part];
      yield this.#ofItem('response.reasoning_text.done', { content_index: 0, text });
      yield this.#ofItem('response.content_part.done', { content_index: 0, part });
      if (this.#summarises) {
        const summary = { type: 'summary_text' as const, text };
        item.summary = [summary];
        yield this.#ofItem('response.reasoning_summary_text.done', { summary_index: 0, text });
        yield this.#ofItem('response.reasoning_summary_part.done', { summary_index: 0, part: summary });
      }
      if (this.options.body.include?.includes('reasoning.encrypted_content')) {
        item.encrypted_content = sealedReasoning(text);
      }
    } else if (item.type === 'message') {
      const logprobs = [...this.#logprobs];
      const part = { type: 'output_text' as const, text, annotations: [], logprobs };
      item.content = [part];
      yield this.#ofItem('response.output_text.done', { content_index: 0, text, logprobs });
      yield this.#ofItem('response.content_part.done', { content_index: 0, part });
    } else {
      item.arguments = text;
      yield this.#ofItem('response.function_call_arguments.done', { arguments: text, name: item.name });
    }
    item.status = status;
    yield this.#event('response.output_item.done', { output_index: this.response.output.length, item: { ...item } });
    this.response.output.push(item);
    this.#open = undefined;
  }

  /** An open model's summary of its reasoning is the reasoning. */
  get #summarises(): boolean {
    const { reasoning } = this.options.body;
    return Boolean(reasoning?.summary ?? reasoning?.generate_summary);
  }

  get #wantsLogprobs(): boolean {
    return wantsLogprobs(this.options.body);
  }

  #nextId(type: OutputItem['type']): string {
    return itemId(type, this.response.id, this.response.output.length);
  }

  #ofItem(type: string, fields: object): ResponseEvent {
    return this.#event(type, { item_id: this.#open!.id, output_index: this.response.output.length, ...fields });
  }

  #whole(type: string): ResponseEvent {
    return this.#event(type, { response: { ...this.response, output: [...this.response.output] } });
  }

  #event(type: string, fields: object): ResponseEvent {
    return { type, sequence_number: this.#count++, ...fields };
  }
}

export const wantsLogprobs = ({ include, top_logprobs: top }: ResponsesBody): boolean =>
  include?.includes('message.output_text.logprobs') === true || (top ?? 0) > 0;
