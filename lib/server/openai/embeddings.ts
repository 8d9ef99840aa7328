// POST /v1/embeddings: texts as vectors, as the model makes them.
import { Hono } from 'hono';
import { z } from 'zod';
import { type Encoded, encodedIds, encodedText } from '../../engine/texts/encoded.js';
import { promptOf, shortened } from '../../engine/texts/texts.js';
import type { Model } from '../../model.js';
import { refuseRanker } from '../../models/kind.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest } from '../http/errors.js';
import { jsonAnswer, listOf } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { checkFields, warningHeader } from './fields.js';
import { checkTokens, inputsOf, promptInput, tokenizerOf } from './prompt.js';
import { computeTexts, countTokens, encodedAs, lengthFields, lengthOf } from './texts.js';

const embeddingsBody = z.looseObject({
  model: z.string().min(1),
  input: promptInput(2048),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.number().int().min(1).nullish(),
  /** Put before each text: itself, or by its name among the model's prompts, as TEI has it. */
  prompt: z.string().nullish(),
  prompt_name: z.string().nullish(),
  ...lengthFields,
});

export function embeddingRoutes(context: ServerContext): Hono {
  return new Hono().post('/embeddings', async (c) => {
    const body = await jsonBody(c, context, embeddingsBody);
    const facts = requestFacts(c);
    using resolved = await context.resolve(body.model, facts.signal);
    const warnings = checkFields(body, embeddingsBody, { neutral: { add_special_tokens: [true] } });
    const { model } = resolved;
    refuseRanker('embed', model.decoder.config);
    const { size, normalizes } = model.embedder;
    const dimensions = body.dimensions ?? size;
    if (dimensions > size) {
      throw badRequest(`'dimensions': is ${dimensions}, more than the model's ${size}.`, 'dimensions');
    }
    const inputs = await encodedInputs(context, model, body, facts.signal);
    const vectors = await computeTexts(context, resolved, facts, inputs, ({ ids, ...rest }, options) =>
      model.engine.embed(ids, { ...options, ...rest }),
    );
    const tokens = countTokens(inputs);
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

async function encodedInputs(
  context: ServerContext,
  model: Model,
  body: z.infer<typeof embeddingsBody>,
  signal: AbortSignal,
): Promise<Encoded[]> {
  const prompt = promptAsked(model, body);
  const { most: allowed, truncate } = lengthOf(context, body);
  const most = Math.min(allowed, model.longestText);
  const given = inputsOf(body.input);
  const inputs: Encoded[] = [];
  for (const [i, input] of given.entries()) {
    signal.throwIfAborted();
    const param = given.length > 1 ? `input[${i}]` : 'input';
    const rule = { most, truncate, subject: param };
    if (typeof input === 'string') {
      inputs.push(await encodedAs(param, encodedText(tokenizerOf(model), input, prompt, model.embedder, rule)));
      continue;
    }
    checkTokens(model, input, param);
    inputs.push(await encodedAs(param, (async () => encodedIds(input, rule))()));
  }
  return inputs;
}

/** @throws ApiError 400 for a prompt that the model does not have. */
function promptAsked({ embedder }: Model, { prompt, prompt_name: name }: z.infer<typeof embeddingsBody>): string {
  const param = 'prompt_name';
  if (typeof prompt === 'string' && typeof name === 'string') {
    throw badRequest(`'${param}': cannot be given together with 'prompt'.`, param);
  }
  if (typeof name !== 'string') return promptOf(embedder, { prompt: prompt ?? undefined });
  if (Object.hasOwn(embedder.prompts, name)) return embedder.prompts[name]!;
  const known = Object.keys(embedder.prompts).join(', ') || 'none';
  throw badRequest(`'${param}': expected the name of a prompt of the model (${known}).`, param);
}
