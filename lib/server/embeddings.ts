// POST /v1/embeddings: the mean of the final hidden states, of length 1.
import { Hono } from 'hono';
import { z } from 'zod';
import { jsonBody } from './body.js';
import type { Resolved, ServerContext } from './context.js';
import { badRequest } from './errors.js';
import type { RequestFacts } from './generation.js';
import { plainPrompt } from './prompt.js';
import { requestFacts } from './request.js';

const token = z.number().int().min(0);

export const inputForms = 'expected a string, an array of strings, an array of tokens, or an array of arrays of tokens';

const embeddingsBody = z.looseObject({
  model: z.string().min(1),
  input: z.union(
    [z.string(), z.array(z.string()).min(1).max(2048), z.array(token).min(1), z.array(z.array(token)).min(1).max(2048)],
    {
      error: inputForms,
    },
  ),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.number().int().min(1).nullish(),
});

// As many as a step takes side by side; the rest wait their turn here, and the queue stays open for others.
const atOnce = 8;

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
    const inputs = inputsOf(body.input).map((input, i, all) =>
      plainPrompt(context, resolved.model, input, all.length > 1 ? `input[${i}]` : 'input'),
    );
    const vectors = await embedAll(resolved, inputs, facts);
    const tokens = inputs.reduce((sum, ids) => sum + ids.length, 0);
    return c.json({
      object: 'list',
      data: vectors.map((vector, index) => {
        const shortened = shorten(vector, dimensions);
        return {
          object: 'embedding',
          index,
          embedding: body.encoding_format === 'base64' ? base64(shortened) : [...shortened],
        };
      }),
      model: body.model,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  });
}

/** One prompt or several. */
export function inputsOf(input: string | string[] | number[] | number[][]): (string | number[])[] {
  if (typeof input === 'string') return [input];
  return typeof input[0] === 'number' ? [input as number[]] : (input as string[] | number[][]);
}

async function embedAll(
  { model, adapter }: Resolved,
  inputs: number[][],
  { client, signal }: RequestFacts,
): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < inputs.length) {
      const index = next++;
      vectors[index] = await model.engine.embed(inputs[index]!, { adapter, client, signal });
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, inputs.length) }, worker));
  return vectors;
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
