// POST /v1/embeddings: texts as vectors, as the model makes them.
import { Hono } from 'hono';
import { z } from 'zod';
import { shortened } from '../../engine/texts/texts.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest } from '../http/errors.js';
import { jsonAnswer, listOf } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { failedAs } from '../metrics.js';
import { checkFields, warningHeader } from './fields.js';
import { mapTexts } from './map-texts.js';
import { inputsOf, plainPrompt, promptInput } from './prompt.js';

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
    const warnings = checkFields(body, embeddingsBody, { neutral: { add_special_tokens: [true] } });
    const { size, normalizes } = resolved.model.embedder;
    const dimensions = body.dimensions ?? size;
    if (dimensions > size) {
      throw badRequest(`'dimensions': is ${dimensions}, more than the model's ${size}.`, 'dimensions');
    }
    const given = inputsOf(body.input);
    const { promptTokens } = context.settings.limits;
    const most = Math.min(promptTokens, resolved.model.longestText);
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
    const data = listOf(function* () {
      for (const [index, whole] of vectors.entries()) {
        const vector = shortened(whole, dimensions, normalizes);
        const embedding = body.encoding_format === 'base64' ? base64(vector) : [...vector];
        yield { object: 'embedding', index, embedding };
      }
    });
    const usage = { prompt_tokens: tokens, total_tokens: tokens };
    return jsonAnswer(c, { object: 'list', data, model: body.model, usage }, warningHeader(warnings));
  });
}

const base64 = (vector: Float32Array): string =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64'); // little-endian, as machines are
