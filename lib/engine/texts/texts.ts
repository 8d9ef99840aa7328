// Embeddings and scores of texts: prompts, lengths, pairs and dimensions, over an engine that computes one text at a time
// among all that it does.
import { z } from 'zod';
import { mapBounded } from '../../flow/bounded.js';
import { checkOptions, signalOption } from '../../flow/options.js';
import { Adapter } from '../../lora/adapter.js';
import { embedderOf } from '../../models/config.js';
import { refuseRanker } from '../../models/kind.js';
import { normalized } from '../../parts/pooling.js';
import type { Embedder } from '../../parts/text-head.js';
import { type Encoded, encodedIds, encodedText, longestText } from './encoded.js';
import { type Pair, scoringOf } from './scoring.js';
import type { TextsModel } from './texts-model.js';

/** A text, or its token ids with all special tokens. */
export type TextInput = string | readonly number[];

interface SharedOptions {
  /** Whether texts that are too long lose their ends, instead of being refused. Default false. */
  truncate?: boolean | undefined;
  adapter?: Adapter | undefined;
  /** Who asks: the engine is fair between clients. */
  client?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface EmbedTextsOptions extends SharedOptions {
  /** Put before each text, such as `'query: '`. Default: the model's default prompt, if it has one. */
  prompt?: string | undefined;
  /** The name of one of the model's own prompts, such as `'query'`, instead of `prompt`. */
  promptName?: string | undefined;
  /** The first so many numbers of a vector alone, of length 1 again if the whole was. Default: all. */
  dimensions?: number | undefined;
  /** Whether vectors are made of length 1. Default: as the model's files say, else true. */
  normalize?: boolean | undefined;
}

export interface RankOptions extends SharedOptions {
  /** What counts as relevant, for rerankers that are asked in words. Default: the model's own instruction. */
  instruction?: string | undefined;
  /** Scores are logits, whatever function the model has for them. Default false. */
  raw?: boolean | undefined;
}

/** A text's place in the list that was given, and how relevant it is. */
export interface Ranked {
  index: number;
  score: number;
}

const shared = {
  truncate: z.boolean().optional(),
  adapter: z.instanceof(Adapter).optional(),
  client: z.string().optional(),
  signal: signalOption.optional(),
};

const embedSchema = z.strictObject({
  ...shared,
  prompt: z.string().optional(),
  promptName: z.string().optional(),
  dimensions: z.number().int().min(1).optional(),
  normalize: z.boolean().optional(),
});

const rankSchema = z.strictObject({ ...shared, instruction: z.string().optional(), raw: z.boolean().optional() });

/** As `Model.embed`. */
export async function embedTexts(
  model: TextsModel,
  texts: readonly TextInput[],
  options: EmbedTextsOptions,
): Promise<Float32Array[]> {
  const given = checkOptions('embed', embedSchema, options);
  const { adapter, client, signal, truncate, dimensions, normalize } = given;
  refuseRanker('embed', model.config);
  const embedder = embedderOf(model.config);
  if (dimensions !== undefined && dimensions > embedder.size)
    throw new RangeError(`embed: option 'dimensions' is ${dimensions}, more than the model's ${embedder.size}`);
  const prompt = promptOf(embedder, given);
  const most = Math.min(longestText(model.config, embedder), model.engine.capacity);
  const encoded = async (text: TextInput, index: number): Promise<Encoded> => {
    const rule = { most, truncate, subject: `embed: text ${index}` };
    if (typeof text !== 'string') return encodedIds(text, rule);
    return encodedText(model.tokenizer(), text, prompt, embedder, rule);
  };
  const whole = normalize ?? embedder.normalizes;
  return mapBounded(texts, atOnce(model), signal, async (text, index, stop) => {
    const { ids, ...rest } = await encoded(text, index);
    const options = { ...rest, adapter, client, normalize: whole, signal: stop };
    return shortened(await model.engine.embed(ids, options), dimensions, whole);
  });
}

/** The first `dimensions` numbers of a vector, of length 1 again where the whole was. */
export function shortened(vector: Float32Array, dimensions = vector.length, normalizes = true): Float32Array {
  if (dimensions >= vector.length) return vector;
  const head = Float64Array.from(vector.subarray(0, dimensions));
  return Float32Array.from(normalizes ? normalized(head) : head);
}

/** What is put before texts. @throws RangeError for a prompt that the model does not have. */
export function promptOf(
  { prompts, defaultPrompt }: Embedder,
  { prompt, promptName }: Pick<EmbedTextsOptions, 'prompt' | 'promptName'>,
): string {
  if (prompt !== undefined && promptName !== undefined)
    throw new TypeError("embed: option 'prompt' cannot be given together with 'promptName'");
  if (prompt !== undefined) return prompt;
  const name = promptName ?? defaultPrompt;
  if (name === undefined) return '';
  if (Object.hasOwn(prompts, name)) return prompts[name]!;
  const known = Object.keys(prompts).join(', ') || 'none';
  throw new RangeError(
    `embed: option 'promptName' must be the name of a prompt of the model (${known}), got '${name}'`,
  );
}

/**
 * How relevant each text is to its query, in the order of `pairs`. Of an embedding model, the cosine of the two vectors.
 */
export async function scorePairs(model: TextsModel, pairs: readonly Pair[], options: RankOptions): Promise<number[]> {
  const { adapter, client, signal, ...rest } = checkOptions('rank', rankSchema, options);
  const scoring = scoringOf(model, pairs, rest);
  const results = await mapBounded(scoring.inputs, atOnce(model), signal, async (input, _, stop) =>
    scoring.compute(await input.encode(), { adapter, client, signal: stop }),
  );
  return scoring.scores(results);
}

/** As many as fill a step; the rest wait here, and the queue stays open for others. An encoder takes whole texts at once. */
const atOnce = ({ engine: { settings }, config: { bidirectional } }: TextsModel): number =>
  Math.min(bidirectional ? settings.maxBatch : 8, settings.maxBatch + settings.maxQueued);
