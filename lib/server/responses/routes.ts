// /v1/responses: OpenAI's Responses over the engine of chat completions. Made whole or as a stream, in the background,
// found again, cancelled, deleted; their input listed and counted.
import { type Context, Hono } from 'hono';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { ApiError, asApiError, badRequest, notFound } from '../http/errors.js';
import { jsonAnswer } from '../http/json-pieces.js';
import { pageOf } from '../http/paging.js';
import { requestFacts } from '../http/request.js';
import { eventStream } from '../http/stream.js';
import { newId } from '../ids.js';
import { unixSeconds } from '../openai/answers.js';
import { preparePrompt } from '../openai/chat-prompt.js';
import type { ChatBody } from '../openai/chat-request.js';
import { ChatRun } from '../openai/chat-run.js';
import { checkFields, warningHeader } from '../openai/fields.js';
import type { RequestFacts } from '../openai/generation.js';
import { tokenizerOf } from '../openai/prompt.js';
import type { Resolved } from '../served.js';
import { ResponseAnswer, type ResponseEvent, wantsLogprobs } from './answer.js';
import { type Conversation, conversationOf } from './conversation.js';
import { type InputBody, type InputItem, inputBody, type ResponsesBody, responsesBody } from './request.js';
import { newResponse, type ResponseObject } from './response.js';
import { EventLog, RunningResponses } from './running.js';
import type { KeptResponse, ResponseStore } from './store.js';

// A prompt may be counted that could not be answered.
const mostCounted = 2 ** 20;

export function responsesRoutes(context: ServerContext, store: ResponseStore): Hono {
  const running = new RunningResponses();
  const maker = new ResponseMaker(context, store, running);
  const routes = new Hono();
  routes.post('/responses', (c) => maker.create(c));
  routes.post('/responses/input_tokens', async (c) => {
    const body = await jsonBody(c, context, inputBody);
    const facts = requestFacts(c);
    using resolved = await context.resolve(body.model, facts.signal);
    const { body: chat } = conversationOf(body, (await itemsOf(store, body)).all);
    const { prompt } = await preparePrompt(resolved.model, chat, { most: mostCounted }, facts);
    return c.json({ object: 'response.input_tokens', input_tokens: prompt.length });
  });
  routes.get('/responses/:id', async (c) => {
    const { response } = await keptOf(store, running, c);
    if (c.req.query('stream') !== 'true') return jsonAnswer(c, response);
    const log = running.get(response.id)?.log;
    if (!log) {
      throw badRequest("'stream': the events of this response are not kept any more: retrieve it without.", 'stream');
    }
    return eventStream(log.from(startingAfter(c)), {
      cancel: () => {}, // the response goes on without this reader
      errorBody: (error) => asApiError(error, context.log, c.get('requestId')).body,
      framing: 'named',
    });
  });
  routes.delete('/responses/:id', async (c) => {
    const { response } = await keptOf(store, running, c);
    running.get(response.id)?.cancel();
    await store.delete(response.id);
    return c.json({ id: response.id, object: 'response', deleted: true });
  });
  routes.post('/responses/:id/cancel', async (c) => {
    const { response } = await keptOf(store, running, c);
    if (!response.background) {
      throw badRequest('Only responses that were made with background are cancelled: close the connection of others.');
    }
    const at = running.get(response.id);
    if (at && !at.log.ended) {
      at.cancel();
      for await (const _ of at.log.from(-1)); // until it has ended
    }
    return jsonAnswer(c, (await keptOf(store, running, c)).response);
  });
  routes.get('/responses/:id/input_items', async (c) => {
    const { response, input } = await keptOf(store, running, c);
    const items = input.map((item, at) => listedItem(item, item.id ?? `item_${response.id.slice(5)}_${at}`));
    if (c.req.query('order') !== 'asc') items.reverse();
    const { data, has_more } = pageOf(c, items, { limit: 20, most: 100 });
    return c.json({ object: 'list', data, has_more, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null });
  });
  return routes;
}

/** Makes responses, and keeps those that are to be kept. */
class ResponseMaker {
  constructor(
    private readonly context: ServerContext,
    private readonly store: ResponseStore,
    private readonly running: RunningResponses,
  ) {}

  async create(c: Context): Promise<Response> {
    const { context } = this;
    const body = await jsonBody(c, context, responsesBody);
    const unknown = checkFields(body, responsesBody, { alsoKnown: letThrough });
    if (body.background && body.store === false) {
      throw badRequest("'background': needs 'store', which is false.", 'background');
    }
    const facts = requestFacts(c);
    const resolved = await context.resolve(body.model, facts.signal);
    let isOwn = true;
    try {
      const items = await itemsOf(this.store, body);
      const conversation = conversationOf(body, items.all);
      const own = body.background ? inBackground(facts) : undefined;
      const run = await this.#run(resolved, body, conversation, own?.facts ?? facts);
      const warnings = [...unknown, ...conversation.warnings, ...run.warnings];
      const response = newResponse(newId('resp_'), resolved.id, body, unixSeconds(), warnings);
      const { namespaces } = conversation;
      const answer = new ResponseAnswer({ response, body, namespaces, tokenizer: tokenizerOf(resolved.model) });
      const failed = (error: unknown): ApiError => asApiError(error, context.log, facts.requestId, facts.signal);
      const kept: KeptResponse = { response, input: items.own };
      const events = this.#events(answer, run, failed, body.store === false ? undefined : kept);
      const headers = warningHeader(warnings);
      if (own) {
        isOwn = false;
        return await this.#background(
          c,
          { answer, run, kept, resolved, headers, streams: body.stream === true },
          events,
        );
      }
      if (body.stream) {
        return eventStream(events, {
          cancel: run.cancel,
          errorBody: (error) => errorEvent(failed(error)),
          framing: 'named',
          headers,
        });
      }
      for await (const event of events) if (event.type === 'response.failed') throw failureOf(response);
      return jsonAnswer(c, response, headers);
    } finally {
      if (isOwn) resolved[Symbol.dispose]();
    }
  }

  /** With `truncation: 'auto'` the oldest messages of a conversation that is too long are left out. */
  async #run(
    resolved: Resolved,
    body: ResponsesBody,
    { body: chat }: Conversation,
    facts: RequestFacts,
  ): Promise<ChatRun> {
    const request: ChatBody = { ...chat, ...samplingOf(body) };
    for (;;) {
      try {
        return await ChatRun.begin(this.context, resolved, request, facts);
      } catch (error) {
        if (!(error instanceof ApiError) || error.tokens === undefined || body.truncation !== 'auto') throw error;
        const shorter = withoutOldest(request.messages, error.tokens);
        if (!shorter) throw error;
        request.messages = shorter;
      }
    }
  }

  /** The events of a response, which is kept before its last one. */
  async *#events(
    answer: ResponseAnswer,
    run: ChatRun,
    failed: (error: unknown) => ApiError,
    kept: KeptResponse | undefined,
  ): AsyncGenerator<ResponseEvent, void, void> {
    yield* answer.begin();
    for await (const event of answer.events(run, failed)) {
      if (kept && lasts.has(event.type)) await this.#keep(kept);
      yield event;
    }
  }

  /** An answer that cannot be kept is an answer all the same. */
  async #keep(kept: KeptResponse): Promise<void> {
    try {
      await this.store.keep(kept);
    } catch (error) {
      this.context.log.error({ error: String(error), response: kept.response.id }, 'response not kept');
    }
  }

  /** Answers at once, and writes on without the client. */
  async #background(
    c: Context,
    { answer, run, kept, resolved, headers, streams }: Background,
    events: AsyncGenerator<ResponseEvent, void, void>,
  ): Promise<Response> {
    const { context } = this;
    const { response } = kept;
    response.status = 'queued';
    await this.store.keep({ ...kept, response: { ...response } });
    const log = new EventLog();
    const cancel = (): void => {
      answer.cancel();
      run.cancel();
    };
    this.running.add(response.id, { log, cancel });
    const writing = (async () => {
      try {
        for await (const event of events) log.push(event);
      } finally {
        log.end();
        resolved[Symbol.dispose]();
      }
    })();
    context.track(writing);
    if (!streams) return jsonAnswer(c, { ...response }, headers);
    return eventStream(log.from(-1), {
      cancel: () => {},
      errorBody: (error) => asApiError(error, context.log, c.get('requestId')).body,
      framing: 'named',
      headers,
    });
  }
}

interface Background {
  answer: ResponseAnswer;
  run: ChatRun;
  kept: KeptResponse;
  resolved: Resolved;
  headers: Readonly<Record<string, string>>;
  streams: boolean;
}

const lasts = new Set(['response.completed', 'response.incomplete', 'response.failed']);

/** Fields of OpenAI's that change no answer here. */
const letThrough = [
  'prompt_cache_options',
  'context_management',
  'moderation',
  'client_metadata',
  'stream_options',
  'verbosity',
];

/** A request whose client may leave. */
const inBackground = (facts: RequestFacts): { facts: RequestFacts } => ({
  facts: { ...facts, signal: new AbortController().signal },
});

const errorEvent = ({ code, message, param }: ApiError): object => ({
  type: 'error',
  code,
  message,
  param,
  sequence_number: 0,
});

function failureOf({ error }: ResponseObject): ApiError {
  const known = error?.code !== 'server_error';
  return new ApiError(known ? 400 : 500, error?.message ?? 'The server failed to answer this request.', {
    code: error?.code ?? 'internal_error',
  });
}

function samplingOf(body: ResponsesBody): Partial<ChatBody> {
  const { max_output_tokens, temperature, top_p, top_k, min_p, repetition_penalty, seed } = body;
  return {
    max_completion_tokens: max_output_tokens ?? null,
    temperature: temperature ?? null,
    top_p: top_p ?? null,
    top_k: top_k ?? null,
    min_p: min_p ?? null,
    repetition_penalty: repetition_penalty ?? null,
    seed: seed ?? null,
    thinking_token_budget: body.thinking_token_budget ?? null,
    chat_template_kwargs: body.chat_template_kwargs ?? null,
    ...(wantsLogprobs(body) ? { logprobs: true, top_logprobs: body.top_logprobs ?? 0 } : {}),
  };
}

/** The conversation without its oldest messages, as many as the tokens above the limit are of all; undefined: none can go. */
function withoutOldest(
  messages: ChatBody['messages'],
  { given, most }: { given: number; most: number },
): ChatBody['messages'] | undefined {
  const kept = messages.filter(({ role }) => role === 'system');
  const others = messages.filter(({ role }) => role !== 'system');
  let from = Math.max(1, Math.ceil(others.length * (1 - most / given)));
  // A result does not stand without its call.
  while (from < others.length && others[from]!.role === 'tool') from += 1;
  return from < others.length ? [...kept, ...others.slice(from)] : undefined;
}

/** Items of this request, and with those of the responses before it. */
async function itemsOf(store: ResponseStore, body: InputBody): Promise<{ own: InputItem[]; all: InputItem[] }> {
  const { input, previous_response_id: previous } = body;
  const given: InputItem[] =
    typeof input === 'string' ? [{ type: 'message', role: 'user', content: input }] : (input ?? []);
  const own: InputItem[] = [];
  for (const [at, item] of given.entries()) {
    const isReference = item.type === 'item_reference' || (!item.type && !item.role && typeof item.id === 'string');
    if (!isReference) {
      own.push(item);
      continue;
    }
    const found = await store.item(item.id ?? '');
    if (found) own.push(found);
    // What was thought may be gone: the conversation stands without it.
    else if (!item.id?.startsWith('rs_')) {
      const param = `input[${at}].id`;
      throw notFound(
        `'${param}': there is no item ${JSON.stringify(String(item.id).slice(0, 100))}.`,
        param,
        'item_not_found',
      );
    }
  }
  const before = previous ? await store.history(previous) : [];
  if (!before) {
    const message = `'previous_response_id': there is no response ${JSON.stringify(String(previous).slice(0, 100))}.`;
    throw badRequest(message, 'previous_response_id', 'previous_response_not_found');
  }
  return { own, all: [...before, ...own] };
}

/** An item of the input in its full form. */
function listedItem(item: InputItem, id: string): InputItem & { id: string } {
  if ((item.type ?? 'message') !== 'message') return { ...item, id };
  const of =
    item.role === 'assistant' ? { type: 'output_text', annotations: [], logprobs: [] } : { type: 'input_text' };
  const content = typeof item.content === 'string' ? [{ ...of, text: item.content }] : item.content;
  return { ...item, type: 'message', id, content, status: item.status ?? 'completed' };
}

/** @throws ApiError 404 for a response that is not kept. */
async function keptOf(store: ResponseStore, running: RunningResponses, c: Context): Promise<KeptResponse> {
  const id = c.req.param('id') ?? '';
  const kept = /^resp_\w+$/.test(id) ? await store.get(id) : undefined;
  if (!kept) throw notFound(`There is no response ${JSON.stringify(id.slice(0, 100))}.`, 'response_id');
  const { response } = kept;
  const isOpen = response.status === 'queued' || response.status === 'in_progress';
  if (!isOpen || running.get(id)) return kept;
  const error = { code: 'server_error', message: 'The server ended while it wrote this response.' };
  return { ...kept, response: { ...response, status: 'failed', error } };
}

function startingAfter(c: Context): number {
  const text = c.req.query('starting_after');
  if (text === undefined) return -1;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw badRequest("'starting_after': expected the number of an event.", 'starting_after');
}
