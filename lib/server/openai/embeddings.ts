// POST /v1/embeddings: the mean of the final hidden states, of length 1.
import { Hono } from 'hono';
import { z } from 'zod';
import { ownTurn } from '../../flow/pause.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest } from '../http/errors.js';
import { requestFacts } from '../http/request.js';
import { failedAs } from '../metrics.js';
import { mapTexts } from './map-texts.js';
import { inputsOf, mostTokens, plainPrompt, promptInput } from './prompt.js';

const embeddingsBody = z.looseObject({
  model: z.string().min(1),
  input: promptInput(2048),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.number().int().min(1).nullish(),
});

export function embeddingRoutes(context: ServerContext): Hono {
  return new Hono().post('/embeddings', async (c) => {
    const body = await jsonBody(c, context, embeddingsBody);
    const facts = requestFacts(c);
    using resolved = await context.resolve(body.model, facts.signal);
    const { hiddenSize } = resolved.model.decoder.config;
    const dimensions = body.dimensions ?? hiddenSize;
    if (dimensions > hiddenSize) {
      throw badRequest(`'dimensions': is ${dimensions}, more than the model's ${hiddenSize}.`, 'dimensions');
    }
    const given = inputsOf(body.input);
    const most = mostTokens(context, resolved.model);
    const inputs: (readonly number[])[] = [];
    for (const [i, input] of given.entries()) {
      facts.signal.throwIfAborted();
      inputs.push(await plainPrompt(resolved.model, input, given.length > 1 ? `input[${i}]` : 'input', most));
    }
    const { model, adapter, served } = resolved;
    const vectors = await mapTexts(context, model, facts, inputs, async (ids, signal) => {
      const followed = context.metrics.follow(served.id, facts.since);
      try {
        const vector = await model.engine.embed(ids, { adapter, client: facts.client, signal });
        followed.finish('stop', ids.length);
        return vector;
      } catch (error) {
        followed.finish(failedAs(error, signal.aborted), ids.length);
        throw error;
      }
    });
    const tokens = inputs.reduce((sum, ids) => sum + ids.length, 0);
    const entry = (index: number): object => {
      const vector = shorten(vectors[index]!, dimensions);
      const embedding = body.encoding_format === 'base64' ? base64(vector) : [...vector];
      return { object: 'embedding', index, embedding };
    };
    const rest = { model: body.model, usage: { prompt_tokens: tokens, total_tokens: tokens } };
    const together = Math.ceil(numbersTogether / dimensions);
    return c.body(listed(vectors.length, together, entry, rest), 200, { 'content-type': 'application/json' });
  });
}

// Written as JSON in a few milliseconds; thousands of vectors take seconds.
const numbersTogether = 8192;

/** `{"object":"list","data":[…],…}`, some entries in each turn of the event loop. */
function listed(count: number, together: number, entry: (index: number) => object, rest: object): ReadableStream {
  const encoder = new TextEncoder();
  let next = 0;
  return new ReadableStream({
    async pull(controller) {
      await ownTurn();
      const entries = Array.from({ length: Math.min(together, count - next) }, (_, i) =>
        JSON.stringify(entry(next + i)),
      );
      const before = next === 0 ? '{"object":"list","data":[' : ',';
      next += entries.length;
      const after = next === count ? `],${JSON.stringify(rest).slice(1)}` : '';
      controller.enqueue(encoder.encode(before + entries.join(',') + after));
      if (next === count) controller.close();
    },
  });
}

/** The first dimensions alone, made a unit vector again. */
function shorten(vector: Float32Array, dimensions: number): Float32Array {
  if (dimensions >= vector.length) return vector;
  const head = vector.slice(0, dimensions);
  const norm = Math.hypot(...head) || 1;
  return head.map((x) => x / norm);
}

const base64 = (vector: Float32Array): string =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64'); // little-endian, as machines are
