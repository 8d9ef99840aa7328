// POST /v1/messages and /v1/messages/count_tokens: Anthropic's Messages over the same engine as chat completions.
import { Hono } from 'hono';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { asApiError } from '../http/errors.js';
import { jsonAnswer } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { eventStream } from '../http/stream.js';
import { preparePrompt } from '../openai/chat-prompt.js';
import { ChatRun } from '../openai/chat-run.js';
import { warningHeader } from '../openai/fields.js';
import { listedModels } from '../openai/models.js';
import type { Resolved } from '../served.js';
import { MessageAnswer } from './answer.js';
import { chatBodyOf, conversationOf } from './conversation.js';
import { messagesErrorBody } from './errors.js';
import { countBody, messagesBody } from './request.js';

// A prompt may be counted that could not be answered.
const mostCounted = 2 ** 20;

export function messagesRoutes(context: ServerContext): Hono {
  return new Hono()
    .get('/models', async (c, next) => {
      if (c.req.header('anthropic-version') === undefined) return next();
      const models = await listedModels(context);
      const data = models.map(({ id, created, max_model_len: most }) => ({
        type: 'model',
        id,
        display_name: id,
        created_at: new Date(created * 1000).toISOString(),
        max_input_tokens: most,
        max_tokens: most,
      }));
      return c.json({ data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null });
    })
    .post('/messages', async (c) => {
      const body = await jsonBody(c, context, messagesBody);
      const facts = requestFacts(c);
      using resolved = await modelOf(context, body.model, facts.signal);
      const run = await ChatRun.begin(context, resolved, chatBodyOf(body, resolved.id), facts);
      const answer = new MessageAnswer(body.model, run, body.thinking?.display === 'omitted');
      const headers = { 'request-id': facts.requestId, ...warningHeader(run.warnings) };
      if (!body.stream) return jsonAnswer(c, await answer.whole(), headers);
      return eventStream(answer.stream(), {
        cancel: run.cancel,
        errorBody: (error) =>
          messagesErrorBody(asApiError(error, context.log, facts.requestId, facts.signal), facts.requestId),
        framing: 'named',
        headers,
      });
    })
    .post('/messages/count_tokens', async (c) => {
      const body = await jsonBody(c, context, countBody);
      const facts = requestFacts(c);
      using resolved = await modelOf(context, body.model, facts.signal);
      const { continue_final_message: continued, ...conversation } = conversationOf(body, resolved.id);
      const limits = { most: mostCounted, addGenerationPrompt: !continued, continued: continued === true };
      const { prompt } = await preparePrompt(resolved.model, conversation, limits, facts);
      return c.json({ input_tokens: prompt.length });
    });
}

/** Clients ask for models of Anthropic in the background, whatever they were told: those are the first one that is served. */
function modelOf(context: ServerContext, name: string, signal: AbortSignal): Promise<Resolved> {
  const [first] = context.models.keys();
  const foreign = /^(anthropic\/)?claude-/.test(name) && !context.models.has(name);
  return context.resolve(foreign ? (first ?? name) : name, signal);
}
