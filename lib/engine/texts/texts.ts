// Embeddings and scores of texts: prompts, lengths, pairs and dimensions, over an engine that computes one text at a time
// among all that it does.
import { z } from 'zod';
import { mapBounded } from '../../flow/bounded.js';
import { checkOptions, signalOption } from '../../flow/options.js';
import { Adapter } from '../../lora/adapter.js';
import { type DecoderConfig, embedderOf } from '../../models/config.js';
import { refuseRanker, WrongKind } from '../../models/kind.js';
import { normalized } from '../../parts/pooling.js';
import { type Embedder, type Ranker, tokenLogits } from '../../parts/text-head.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import type { Engine } from '../engine.js';
import { type Encoded, encodedForRanker, encodedIds, encodedText, longestText } from './encoded.js';

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

/** A model as it is asked for vectors and scores. */
export interface TextsModel {
  readonly engine: Engine;
  readonly config: DecoderConfig;
  /** @throws Error if the model came without one. */
  tokenizer(): Tokenizer;
}

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
  const encoded = (text: TextInput, index: number): Encoded => {
    const rule = { truncate, subject: `embed: text ${index}` };
    if (typeof text !== 'string') return encodedIds(text, most, rule);
    return encodedText(model.tokenizer(), text, prompt, embedder, most, rule);
  };
  const whole = normalize ?? embedder.normalizes;
  return mapBounded(texts, atOnce(model), signal, async (text, index, stop) => {
    const { ids, ...rest } = encoded(text, index);
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

function promptOf({ prompts, defaultPrompt }: Embedder, { prompt, promptName }: EmbedTextsOptions): string {
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
export async function scorePairs(
  model: TextsModel,
  pairs: readonly (readonly [query: string, text: string])[],
  options: RankOptions,
): Promise<number[]> {
  const given = checkOptions('rank', rankSchema, options);
  const ranker = rankerOf(model);
  if (!ranker) return cosines(model, pairs, given);
  const { adapter, client, signal, truncate, instruction, raw = false } = given;
  const most = Math.min(longestText(model.config, ranker), model.engine.capacity);
  const tokenizer = model.tokenizer();
  return mapBounded(pairs, atOnce(model), signal, async (pair, index, stop) => {
    const rule = { truncate, subject: `rank: text ${index} with its query` };
    const { ids, types } = encodedForRanker(tokenizer, pair, ranker, instruction, most, rule);
    const logit = await model.engine.rate(ids, ranker, { types, adapter, client, signal: stop });
    return raw || !ranker.sigmoid ? logit : 1 / (1 + Math.exp(-logit));
  });
}

/** The reranker that a model is, or can be asked to be; undefined where its vectors are compared instead. */
export function rankerOf({ config, tokenizer }: TextsModel): Ranker | undefined {
  const { ranker, embedder, asks, bidirectional } = config;
  if (ranker) return ranker.asks === undefined && asks && !bidirectional ? { ...ranker, asks } : ranker;
  if (embedder || bidirectional) return undefined;
  const ids = asks && ['yes', 'no'].map((word) => tokenizer().tokenToId(word));
  const [yes, no] = ids ?? [];
  if (!asks || yes === undefined || no === undefined)
    throw new WrongKind(`rank: this model (${config.modelType}) is no reranker and no embedding model`);
  const layers = [tokenLogits(config.head, yes, no)];
  return { pooling: ['last'], layers, size: 1, sigmoid: true, maxLength: undefined, asks };
}

async function cosines(
  model: TextsModel,
  pairs: readonly (readonly [query: string, text: string])[],
  { truncate, adapter, client, signal }: RankOptions,
): Promise<number[]> {
  const { prompts } = embedderOf(model.config);
  const vectors = async (side: 0 | 1, names: readonly string[]): Promise<ReadonlyMap<string, Float32Array>> => {
    const texts = [...new Set(pairs.map((pair) => pair[side]))];
    const promptName = names.find((name) => Object.hasOwn(prompts, name));
    const options = { truncate, adapter, client, signal, normalize: true, promptName };
    const made = await embedTexts(model, texts, options);
    return new Map(texts.map((text, i) => [text, made[i]!]));
  };
  const queries = await vectors(0, ['query']);
  const texts = await vectors(1, ['document', 'passage']);
  return pairs.map(([query, text]) => {
    const other = texts.get(text)!;
    return queries.get(query)!.reduce((sum, x, i) => sum + x * other[i]!, 0);
  });
}

/** As many as fill a step; the rest wait here, and the queue stays open for others. An encoder takes whole texts at once. */
const atOnce = ({ engine: { settings }, config: { bidirectional } }: TextsModel): number =>
  Math.min(bidirectional ? settings.maxBatch : 8, settings.maxBatch + settings.maxQueued);
