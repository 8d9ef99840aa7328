// Ollama's API for tools that speak only that, over the same engine: chat, generate, what is served, and what pulling a
// model that is here answers.
import { type Context, Hono } from 'hono';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { ApiError, asApiError } from '../http/errors.js';
import { jsonAnswer } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { eventStream } from '../http/stream.js';
import type { ChatBody } from '../openai/chat-request.js';
import { ChatRun } from '../openai/chat-run.js';
import type { Resolved } from '../served.js';
import { asMessage, asResponse, OllamaAnswer } from './answer.js';
import { chatBodyOf, generateBodyOf } from './conversation.js';
import { embedded, embeddedOne } from './embed.js';
import { ollamaErrorBody } from './errors.js';
import { running, shown, tagged } from './models.js';
import { chatBody, generateBody, nameBody } from './request.js';

/** The release of Ollama whose API this is: clients refuse older ones. */
const version = '0.12.6';

export function ollamaRoutes(context: ServerContext): Hono {
  const answered = async (c: Context, resolved: Resolved, body: ChatBody, given: Given): Promise<Response> => {
    const facts = requestFacts(c);
    const run = await ChatRun.begin(context, resolved, body, facts);
    const answer = new OllamaAnswer(given.model, run, given.write);
    if (given.stream === false) return jsonAnswer(c, await answer.whole());
    return eventStream(answer.lines(), {
      cancel: run.cancel,
      errorBody: (error) => ollamaErrorBody(asApiError(error, context.log, facts.requestId, facts.signal)),
      framing: 'lines',
    });
  };
  const named = async (c: Context): Promise<Resolved> => {
    const { model, name } = await jsonBody(c, context, nameBody);
    return resolve(context, model ?? name ?? '', c.req.raw.signal);
  };
  return new Hono()
    .post('/api/chat', async (c) => {
      const body = await jsonBody(c, context, chatBody);
      using resolved = await resolve(context, body.model, c.req.raw.signal);
      if (!body.messages?.length) return c.json(loaded(body, asMessage({ content: '', thinking: '', calls: [] })));
      const { model, stream } = body;
      return answered(c, resolved, chatBodyOf(body, resolved.id), { model, stream, write: asMessage });
    })
    .post('/api/generate', async (c) => {
      const body = await jsonBody(c, context, generateBody);
      using resolved = await resolve(context, body.model, c.req.raw.signal);
      if (!body.prompt) return c.json(loaded(body, { response: '' }));
      if (body.raw) throw new ApiError(400, "'raw': is not supported: /v1/completions takes prompts as they are.");
      const { model, stream } = body;
      return answered(c, resolved, generateBodyOf(body, resolved.id), { model, stream, write: asResponse });
    })
    .post('/api/embed', (c) => embedded(c, context, resolve))
    .post('/api/embeddings', (c) => embeddedOne(c, context, resolve))
    .get('/api/tags', async (c) => {
      await context.ready;
      await Promise.all(Array.from(context.models.values(), ({ adapters }) => adapters.refresh()));
      return c.json({ models: tagged(context) });
    })
    .post('/api/show', async (c) => {
      using resolved = await named(c);
      return c.json(shown(resolved));
    })
    .get('/api/ps', async (c) => {
      await context.ready;
      return c.json({ models: running(context) });
    })
    .get('/api/version', (c) => c.json({ version }))
    .post('/api/pull', async (c) => {
      using _ = await named(c);
      return c.body(`${JSON.stringify({ status: 'success' })}\n`, 200, { 'content-type': 'application/x-ndjson' });
    });
}

interface Given {
  model: string;
  stream: boolean | null | undefined;
  write: ConstructorParameters<typeof OllamaAnswer>[2];
}

/** Without a prompt a model is loaded, or unloaded: all that are served stay in memory. */
function loaded(
  { model, keep_alive: keep }: { model: string; keep_alive?: string | number | null | undefined },
  empty: object,
) {
  const reason = keep === 0 || keep === '0' ? 'unload' : 'load';
  return { model, created_at: new Date().toISOString(), ...empty, done: true, done_reason: reason };
}

/** Names have a tag there, `latest` where none is said. */
async function resolve(context: ServerContext, name: string, signal: AbortSignal): Promise<Resolved> {
  await context.ready;
  return context.resolve(context.models.has(name) ? name : name.replace(/:latest$/, ''), signal);
}
