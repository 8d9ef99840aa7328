// POST /v1/embeddings: texts as vectors, as the model makes them.
import { Hono } from 'hono';
import { z } from 'zod';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { jsonAnswer, listOf } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { checkFields, warningHeader } from './fields.js';
import { vectorFields, vectorsOf } from './vectors.js';

const embeddingsBody = z.looseObject({
  model: z.string().min(1),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  ...vectorFields,
});

export function embeddingRoutes(context: ServerContext): Hono {
  return new Hono().post('/embeddings', async (c) => {
    const body = await jsonBody(c, context, embeddingsBody);
    const facts = requestFacts(c);
    using resolved = await context.resolve(body.model, facts.signal);
    const warnings = checkFields(body, embeddingsBody, { neutral: { add_special_tokens: [true] } });
    const { vectors, tokens } = await vectorsOf(context, resolved, facts, body);
    const data = listOf(function* () {
      for (const [index, vector] of vectors.entries()) {
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
