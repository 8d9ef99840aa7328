// The vectors of a request's texts, for every route that answers with some.
import { z } from 'zod';
import { type Encoded, encodedIds, encodedText } from '../../engine/texts/encoded.js';
import { promptOf, shortened } from '../../engine/texts/texts.js';
import type { Model } from '../../model.js';
import { refuseRanker } from '../../models/kind.js';
import type { ServerContext } from '../context.js';
import { badRequest } from '../http/errors.js';
import type { Resolved } from '../served.js';
import type { RequestFacts } from './generation.js';
import { checkTokens, inputsOf, promptInput, tokenizerOf } from './prompt.js';
import { computeTexts, countTokens, encodedAs, lengthFields, lengthOf } from './texts.js';

export const vectorFields = {
  input: promptInput(2048),
  dimensions: z.number().int().min(1).nullish(),
  /** Put before each text: itself, or by its name among the model's prompts, as TEI has it. */
  prompt: z.string().nullish(),
  prompt_name: z.string().nullish(),
  ...lengthFields,
};

type Asked = z.infer<z.ZodObject<typeof vectorFields>>;

/** @throws ApiError 400 that names the field; WrongKind for a reranker. */
export async function vectorsOf(
  context: ServerContext,
  resolved: Resolved,
  facts: RequestFacts,
  asked: Asked,
): Promise<{ vectors: Float32Array[]; tokens: number }> {
  const { model } = resolved;
  refuseRanker('embed', model.decoder.config);
  const { size, normalizes } = model.embedder;
  const dimensions = asked.dimensions ?? size;
  if (dimensions > size) {
    throw badRequest(`'dimensions': is ${dimensions}, more than the model's ${size}.`, 'dimensions');
  }
  const inputs = await encodedInputs(context, model, asked, facts.signal);
  const vectors = await computeTexts(context, resolved, facts, inputs, async ({ ids, ...rest }, options) =>
    shortened(await model.engine.embed(ids, { ...options, ...rest }), dimensions, normalizes),
  );
  return { vectors, tokens: countTokens(inputs) };
}

async function encodedInputs(
  context: ServerContext,
  model: Model,
  asked: Asked,
  signal: AbortSignal,
): Promise<Encoded[]> {
  const prompt = promptAsked(model, asked);
  const { most: allowed, truncate } = lengthOf(context, asked);
  const most = Math.min(allowed, model.longestText);
  const given = inputsOf(asked.input);
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
function promptAsked({ embedder }: Model, { prompt, prompt_name: name }: Asked): string {
  const param = 'prompt_name';
  if (typeof prompt === 'string' && typeof name === 'string') {
    throw badRequest(`'${param}': cannot be given together with 'prompt'.`, param);
  }
  if (typeof name !== 'string') return promptOf(embedder, { prompt: prompt ?? undefined });
  if (Object.hasOwn(embedder.prompts, name)) return embedder.prompts[name]!;
  const known = Object.keys(embedder.prompts).join(', ') || 'none';
  throw badRequest(`'${param}': expected the name of a prompt of the model (${known}).`, param);
}
