// Architecture: one family of models, declared in one file of architectures/. It says by which names files call it, which
// keys its config has, and of which parts a model is made.
import { z } from 'zod';
import type { Gguf } from '../files/gguf.js';
import { check } from '../files/json.js';
import { branch, chain } from '../parts/block.js';
import { type EmbeddingOptions, tokenEmbedding } from '../parts/embedding.js';
import { type HeadOptions, outputHead } from '../parts/head.js';
import { type NormKind, type NormOptions, norm } from '../parts/norm.js';
import { type Inside, inside, type Part, type Weight } from '../parts/part.js';
import { type Rope, type RopeSettings, ropeFrequencies } from '../parts/rope.js';
import type { DecoderConfig } from './config.js';

type Json = Record<string, unknown>;

export interface Architecture {
  /** `model_type` in config.json. */
  readonly types: readonly string[];
  /** None where files of these models call another architecture's name, which gives the same numbers. */
  readonly gguf: readonly GgufForm[];
  /** Its models make vectors and scores of texts, and no text. */
  readonly encoder?: boolean | undefined;
  /** @throws Error that names the file and the field: missing, wrong, or with a value that is not supported. */
  decoder(file: string, json: Json): DecoderConfig;
}

export interface GgufForm {
  /** `general.architecture` */
  readonly name: string;
  /** Whether its files hold a mixture of experts, or may; a dense architecture may have the same name. */
  readonly experts?: boolean | 'maybe';
  /** Values may have another size than keys; `config` reads it. */
  readonly ownValueLength?: true;
  /** `feed_forward_length` and `attention.head_count_kv` may be lists with an entry for each layer. */
  readonly perLayer?: boolean;
  /** Tells its files from those of another architecture with the same name, which stands behind it in the catalogue. */
  is?(keys: GgufKeys): boolean;
  /** The keys beyond those that all decoders share, which are `shared`. */
  config?(keys: GgufKeys, shared: Json): Json;
}

/** The metadata of a GGUF file, under its architecture's prefix. */
export interface GgufKeys {
  readonly gguf: Gguf;
  /** @throws Error if the key is not a finite number. */
  number(key: string): number | undefined;
  /** @throws Error if the key is missing, or not a whole number above 0. */
  size(key: string, fallback?: number): number;
  /** The same for each layer, by a list or one number for all. */
  sizes(key: string, fallback?: number): number[];
  /**
   * The same of a key that may have a number for each layer, which must be one size, and 0 where a layer has no such part.
   *
   * @throws Error if the key is missing, or neither.
   */
  sizeOfAll(key: string, fallback?: number): number;
  /**
   * The kinds of layers by `attention.sliding_window_pattern`, which lists them or is a period whose last layer sees all;
   * by `period` where there is none.
   *
   * @throws Error if the key is neither.
   */
  kinds(period: number): LayerKind[];
}

/** Declares an architecture: `decoder` gets what `schema` made of config.json. */
export function architecture<Schema extends z.ZodType>(declared: {
  types: readonly string[];
  gguf?: GgufForm | readonly GgufForm[];
  encoder?: boolean;
  schema: Schema;
  decoder(file: string, config: z.output<Schema>): Omit<DecoderConfig, 'modelType'>;
}): Architecture {
  const { types, gguf = [], encoder, schema, decoder } = declared;
  return {
    types,
    gguf: [gguf].flat(),
    encoder,
    decoder: (file, json) => ({ modelType: String(json.model_type), ...decoder(file, check(file, schema, json)) }),
  };
}

export const size = z.number().int().positive();
export const optional = <T extends z.ZodType>(type: T) => type.nullish();

export const ropeSchema = z.looseObject({
  rope_type: optional(z.string()),
  type: optional(z.string()),
  rope_theta: optional(z.number().positive()),
  partial_rotary_factor: optional(z.number().positive()),
  factor: optional(z.number().positive()),
  low_freq_factor: optional(z.number().positive()),
  high_freq_factor: optional(z.number().positive()),
  original_max_position_embeddings: optional(size),
  beta_fast: optional(z.number()),
  beta_slow: optional(z.number()),
  attention_factor: optional(z.number()),
  mscale: optional(z.number()),
  mscale_all_dim: optional(z.number()),
  truncate: optional(z.boolean()),
  short_factor: optional(z.array(z.number())),
  long_factor: optional(z.array(z.number())),
});

/** Far more than any model has: a config that asks for more is damaged, and would take all memory. */
const mostLayers = 4096;

/** The keys that config.json has for nearly every decoder. */
export const denseSchema = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size.max(mostLayers),
  num_attention_heads: size,
  num_key_value_heads: optional(size),
  head_dim: optional(size),
  max_position_embeddings: optional(size),
  original_max_position_embeddings: optional(size),
  rms_norm_eps: optional(z.number().positive()),
  hidden_act: optional(z.string()),
  rope_theta: optional(z.number().positive()),
  rope_scaling: optional(ropeSchema),
  rope_parameters: optional(ropeSchema), // transformers 5 keeps theta and scaling together
  partial_rotary_factor: optional(z.number().positive()),
  attention_bias: optional(z.boolean()),
  mlp_bias: optional(z.boolean()),
  tie_word_embeddings: optional(z.boolean()),
  bos_token_id: optional(z.number().int()),
  eos_token_id: optional(z.union([z.number().int(), z.array(z.number().int())])),
});

export type DenseConfig = z.output<typeof denseSchema>;

type SizeKeys = 'hidden_size' | 'intermediate_size' | 'num_attention_heads' | 'num_key_value_heads' | 'head_dim';
type OutlineKeys =
  | 'vocab_size'
  | 'hidden_size'
  | 'num_hidden_layers'
  | 'max_position_embeddings'
  | 'tie_word_embeddings'
  | 'bos_token_id'
  | 'eos_token_id';

/**
 * The sizes that parts are made with, checked against each other.
 *
 * @throws Error that names the file and the field.
 */
export function sizes(file: string, json: Pick<DenseConfig, SizeKeys>, headDim?: number) {
  const { hidden_size: hiddenSize, num_attention_heads: heads } = json;
  const kvHeads = json.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) {
    throw new Error(`${file}: num_attention_heads (${heads}) must be a multiple of num_key_value_heads (${kvHeads})`);
  }
  const given = json.head_dim ?? headDim;
  if (!given && hiddenSize % heads !== 0) {
    throw new Error(
      `${file}: hidden_size (${hiddenSize}) must be a multiple of num_attention_heads (${heads}) where head_dim is not given`,
    );
  }
  const dim = given ?? hiddenSize / heads;
  if (dim % 2 !== 0) throw new Error(`${file}: head_dim must be even, got ${dim}`);
  return { hiddenSize, heads, kvHeads, headDim: dim, intermediateSize: json.intermediate_size };
}

/** @throws Error that names the file and the key, if its value is not the one that is supported. */
export function only(file: string, key: string, value: string | null | undefined, supported: string): void {
  if (value !== null && value !== undefined && value !== supported)
    throw new Error(`${file}: ${key} must be '${supported}', got '${value}'`);
}

type RopeKeys =
  | 'rope_parameters'
  | 'rope_scaling'
  | 'rope_theta'
  | 'partial_rotary_factor'
  | 'max_position_embeddings'
  | 'original_max_position_embeddings';

/** Rotary embeddings by either spelling of the config. @throws Error that names the file and the field. */
export function ropeOf(file: string, json: Pick<DenseConfig, RopeKeys>, headDim: number, defaultTheta = 10000): Rope {
  const settings = json.rope_parameters ?? json.rope_scaling ?? {};
  const present = (values: object): object =>
    Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== undefined));
  const { max_position_embeddings, original_max_position_embeddings, partial_rotary_factor, rope_theta } = json;
  const given = {
    original_max_position_embeddings: max_position_embeddings,
    max_position_embeddings,
    partial_rotary_factor,
    ...present(settings),
    ...present({ original_max_position_embeddings }), // Phi's place for it, which wins
    rope_type: settings.rope_type ?? settings.type ?? 'default',
    rope_theta: settings.rope_theta ?? rope_theta ?? defaultTheta,
  };
  return ropeFrequencies(file, present(given) as RopeSettings, headDim);
}

/** Rotary embeddings for each kind of layer, as transformers 5 spells them. */
export const ropesSchema = optional(
  z.strictObject({ full_attention: optional(ropeSchema), sliding_attention: optional(ropeSchema) }),
);

const kinds = ['full_attention', 'sliding_attention'] as const;
export type LayerKind = (typeof kinds)[number];

/**
 * What kind of attention each layer has: config.json's own list, or what `derived` says.
 *
 * @throws Error that names the file, for a list of another length or with a kind that is not supported.
 */
export function layerKinds<Kind extends string = LayerKind>(
  file: string,
  json: { num_hidden_layers: number; layer_types?: readonly string[] | null | undefined },
  derived: (index: number) => NoInfer<Kind>,
  known: readonly Kind[] = kinds as readonly string[] as readonly Kind[],
): Kind[] {
  const { num_hidden_layers: count, layer_types: list } = json;
  if (!list) return Array.from({ length: count }, (_, i) => derived(i));
  if (list.length !== count)
    throw new Error(`${file}: layer_types must have ${count} entries, as num_hidden_layers says, got ${list.length}`);
  return list.map((name, i) => {
    const kind = known.find((one) => one === name);
    if (!kind) throw new Error(`${file}: layer_types[${i}] must be one of ${known.join(', ')}, got '${name}'`);
    return kind;
  });
}

/** The keys of configs in which windows begin at a layer, where they are used at all. */
export const lateWindowSchema = z.looseObject({
  use_sliding_window: optional(z.boolean()),
  sliding_window: optional(size),
  max_window_layers: optional(z.number().int().min(0)),
  layer_types: optional(z.array(z.string())),
});

type LateWindowKeys = z.output<typeof lateWindowSchema> & Pick<DenseConfig, 'num_hidden_layers'>;

/**
 * The window of each layer, undefined where it sees everything: windows begin at layer `max_window_layers`, or where
 * `layer_types` says.
 *
 * @throws Error that names the file, for `layer_types` of another length or with a kind that is not supported.
 */
export function lateWindows(file: string, json: LateWindowKeys): (number | undefined)[] {
  const { sliding_window: given = 4096, max_window_layers: first } = json;
  const window = json.use_sliding_window ? given : null;
  const kinds = layerKinds(file, json, (i) => (window && i >= (first ?? 28) ? 'sliding_attention' : 'full_attention'));
  return windowsOf(file, kinds, window);
}

/** The window of each layer. @throws Error that names the file, if a layer has a window and its size is not given. */
export function windowsOf(
  file: string,
  kinds: readonly LayerKind[],
  window: number | null | undefined,
): (number | undefined)[] {
  return kinds.map((kind, i) => {
    if (kind === 'full_attention') return undefined;
    if (!window) throw new Error(`${file}: layer_types[${i}] is sliding_attention, so sliding_window must be given`);
    return window;
  });
}

/**
 * A layer with one norm before each branch, under the usual names: `x + mixer(norm(x))`, then `x + mlp(norm(x))`. `second`
 * is what GGUF files call the second one.
 */
export function preNorm(layer: Inside, options: NormOptions, mixer: Part, mlp: Part, second = 'ffn_norm'): Part {
  return chain(
    branch(norm(layer('input_layernorm', 'attn_norm'), options), mixer),
    branch(norm(layer('post_attention_layernorm', second), options), mlp),
  );
}

interface ModuleNames {
  embedding: string;
  layers: string;
  norm: string;
  /** The norm in GGUF files, where not `output_norm`. */
  ggufNorm?: string;
  head: string;
  /** What checkpoints call `model`, where the modules of transformers are called otherwise. */
  saved?: string;
}

const usualNames: ModuleNames = {
  embedding: 'model.embed_tokens',
  layers: 'model.layers',
  norm: 'model.norm',
  head: 'lm_head',
};

/** A layer with norms before and after each branch, under Gemma's names: `x + norm(mixer(norm(x)))`, and so on. */
export function sandwich(layer: Inside, options: NormOptions, mixer: Part, mlp: Part): Part {
  const normed = (path: string, gguf: string): Part => norm(layer(path, gguf), options);
  return chain(
    branch(normed('input_layernorm', 'attn_norm'), mixer, normed('post_attention_layernorm', 'post_attention_norm')),
    branch(normed('pre_feedforward_layernorm', 'ffn_norm'), mlp, normed('post_feedforward_layernorm', 'post_ffw_norm')),
  );
}

/** A layer with one norm behind each branch, under the usual names: `x + norm(mixer(x))`, then `x + norm(mlp(x))`. */
export function postNorm(layer: Inside, options: NormOptions, mixer: Part, mlp: Part): Part {
  const normed = (path: string, gguf: string): Part => norm(layer(path, gguf), options);
  return chain(
    branch(mixer, normed('post_attention_layernorm', 'post_attention_norm')),
    branch(mlp, normed('post_feedforward_layernorm', 'post_ffw_norm')),
  );
}

/** Tells the tensors of blocks that only draft tokens, which some checkpoints have behind the last layer. */
export const draftBlocks =
  (layers: number) =>
  (name: string): boolean =>
    Number(/(?:^blk|\blayers)\.(\d+)\./.exec(name)?.[1] ?? -1) >= layers;

interface DecoderParts {
  /** What the modules are called in a checkpoint, where not `model.embed_tokens`, `model.layers`, `model.norm`, `lm_head`. */
  names?: ModuleNames;
  norm: NormKind;
  embedding?: Pick<EmbeddingOptions, 'scale' | 'positions'>;
  head?: HeadOptions;
  /** Where config.json does not say. */
  tied: boolean;
  contextLength: number;
  /** See DecoderConfig. */
  unused?: (name: string) => boolean;
  /** The parts of layer `index`, whose modules are named inside `layer`. */
  layer(layer: Inside, index: number): Part;
}

/** A decoder: an embedding, layers, a norm and an output. */
export function decoderOf(json: Pick<DenseConfig, OutlineKeys>, parts: DecoderParts): Omit<DecoderConfig, 'modelType'> {
  const { vocab_size: vocabSize, hidden_size: hiddenSize, num_hidden_layers: count } = json;
  const names = parts.names ?? usualNames;
  const embedding = tokenEmbedding(
    { path: names.embedding, gguf: 'token_embd' },
    { vocabSize, hiddenSize, ...parts.embedding },
  );
  const layer = (index: number): Part =>
    parts.layer(inside({ path: `${names.layers}.${index}`, gguf: `blk.${index}` }), index);
  const saved = <P extends { readonly weights: readonly Weight[] }>(part: P): P => {
    if (names.saved === undefined) return part;
    const named = (name: string): string => name.replace(/^model\./, `${names.saved}.`);
    return { ...part, weights: part.weights.map((weight): Weight => ({ ...weight, saved: named })) };
  };
  return {
    vocabSize,
    hiddenSize,
    contextLength: json.max_position_embeddings ?? parts.contextLength,
    bosId: json.bos_token_id ?? undefined,
    eosIds: [json.eos_token_id ?? []].flat(),
    embedding: saved(embedding),
    layers: Array.from({ length: count }, (_, index) => saved(layer(index))),
    norm: saved(norm({ path: names.norm, gguf: names.ggufNorm ?? 'output_norm' }, { ...parts.norm, size: hiddenSize })),
    head: outputHead(
      { path: names.head, gguf: 'output' },
      embedding,
      json.tie_word_embeddings ?? parts.tied,
      parts.head,
    ),
    unused: parts.unused,
  };
}
