// POST /api/embed, and /api/embeddings, its form of earlier releases: texts as vectors of length 1.
import type { Context } from 'hono';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { jsonAnswer, listOf } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { vectorsOf } from '../openai/vectors.js';
import type { Resolved } from '../served.js';
import { embedBody, embeddingsBody } from './request.js';

type Resolve = (context: ServerContext, name: string, signal: AbortSignal) => Promise<Resolved>;

export async function embedded(c: Context, context: ServerContext, resolve: Resolve): Promise<Response> {
  const body = await jsonBody(c, context, embedBody);
  const facts = requestFacts(c);
  using resolved = await resolve(context, body.model, facts.signal);
  // Texts that are too long are cut unless the request says otherwise.
  const asked = { input: body.input, dimensions: body.dimensions, truncate: body.truncate ?? true };
  const { vectors, tokens } = await vectorsOf(context, resolved, facts, asked);
  return jsonAnswer(c, {
    model: body.model,
    embeddings: listOf(function* () {
      for (const vector of vectors) yield [...ofLengthOne(vector)];
    }),
    total_duration: Math.round((performance.now() - facts.since) * 1e6),
    load_duration: 0,
    prompt_eval_count: tokens,
  });
}

/** One text, whose vector is as the model makes it. */
export async function embeddedOne(c: Context, context: ServerContext, resolve: Resolve): Promise<Response> {
  const body = await jsonBody(c, context, embeddingsBody);
  const facts = requestFacts(c);
  using resolved = await resolve(context, body.model, facts.signal);
  const { vectors } = await vectorsOf(context, resolved, facts, { input: body.prompt, truncate: true });
  return c.json({ embedding: [...vectors[0]!] });
}

function ofLengthOne(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((x) => x / length);
}
