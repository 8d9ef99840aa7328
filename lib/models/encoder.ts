// What the architectures of encoders share: models whose tokens see their whole text, with vectors or scores for a result.
import { z } from 'zod';
import { attention } from '../parts/attention.js';
import { branch, chain } from '../parts/block.js';
import { type EmbeddingOptions, tokenEmbedding } from '../parts/embedding.js';
import { noHead } from '../parts/head.js';
import { type NormOptions, norm } from '../parts/norm.js';
import { type Inside, inside, type Part, type Place } from '../parts/part.js';
import type { Ranker, VectorLayer } from '../parts/text-head.js';
import { type DenseConfig, denseSchema, optional, size } from './architecture.js';
import type { DecoderConfig } from './config.js';

const { vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size } = denseSchema.shape;

/** The keys of a classifier's config.json: which labels it has, and what becomes of its logits. */
export const classifierSchema = z.looseObject({
  architectures: optional(z.array(z.string())),
  id2label: optional(z.record(z.string(), z.string())),
  num_labels: optional(size),
  sentence_transformers: optional(z.looseObject({ activation_fn: optional(z.string()) })),
  sbert_ce_default_activation_function: optional(z.string()),
});

/** The keys that config.json has for nearly every encoder. */
export const encoderSchema = z.looseObject({
  ...classifierSchema.shape,
  vocab_size,
  hidden_size,
  intermediate_size,
  num_hidden_layers,
  num_attention_heads,
  max_position_embeddings: size,
  hidden_act: optional(z.string()),
  layer_norm_eps: optional(z.number().positive()),
  is_decoder: optional(z.literal(false)),
  add_cross_attention: optional(z.literal(false)),
});

export type EncoderJson = z.output<typeof encoderSchema>;

/** @throws Error that names the file, if the heads do not share the width equally. */
export function encoderSizes(
  file: string,
  json: Pick<DenseConfig, 'hidden_size' | 'num_attention_heads' | 'intermediate_size'>,
) {
  const { hidden_size: hiddenSize, num_attention_heads: heads } = json;
  if (hiddenSize % heads !== 0)
    throw new Error(`${file}: hidden_size (${hiddenSize}) must be a multiple of num_attention_heads (${heads})`);
  return { hiddenSize, heads, kvHeads: heads, headDim: hiddenSize / heads, intermediateSize: json.intermediate_size };
}

/** The labels of a model that classifies texts, in their order; undefined where the model does not. */
export function labelsOf(json: z.output<typeof classifierSchema>): string[] | undefined {
  if (!json.architectures?.[0]?.endsWith('ForSequenceClassification')) return undefined;
  const { id2label } = json;
  const count = id2label ? Object.keys(id2label).length : (json.num_labels ?? 2);
  return Array.from({ length: count }, (_, i) => id2label?.[i] ?? `LABEL_${i}`);
}

/**
 * The reranker that a classifier of one label is; undefined where the model classifies nothing.
 *
 * @throws Error that names the file and the labels, if there are several.
 */
export function rankerOf(
  file: string,
  json: z.output<typeof classifierSchema>,
  pooling: Ranker['pooling'],
  layers: readonly VectorLayer[],
): Ranker | undefined {
  const labels = labelsOf(json);
  if (!labels) return undefined;
  if (labels.length !== 1)
    throw new Error(`${file}: a reranker has one label, and id2label has ${labels.length}: ${labels.join(', ')}`);
  return { pooling, layers, size: 1, sigmoid: usesSigmoid(json), maxLength: undefined };
}

/** Whether sentence-transformers gives a score as a sigmoid, as it does unless the model says otherwise. */
export function usesSigmoid(json: z.output<typeof classifierSchema>): boolean {
  const named = json.sentence_transformers?.activation_fn ?? json.sbert_ce_default_activation_function;
  return !named?.endsWith('Identity');
}

interface EncoderParts {
  names: { embedding: string; layers: string };
  embedding: Omit<EmbeddingOptions, 'vocabSize' | 'hiddenSize'>;
  /** After the last layer. Default: nothing. */
  norm?: Part;
  contextLength: number;
  tokenTypes?: number | undefined;
  ranker: Ranker | undefined;
  unused?: (name: string) => boolean;
  /** The parts of layer `index`, whose modules are named inside `layer`. */
  layer(layer: Inside, index: number): Part;
}

/** An encoder: an embedding, layers, and what makes a vector or a score of their result. */
export function encoderOf(
  json: Pick<DenseConfig, 'vocab_size' | 'hidden_size' | 'num_hidden_layers'>,
  parts: EncoderParts,
): Omit<DecoderConfig, 'modelType'> {
  const { vocab_size: vocabSize, hidden_size: hiddenSize, num_hidden_layers: count } = json;
  const { names, contextLength, tokenTypes, ranker, unused } = parts;
  const layer = (index: number): Part =>
    parts.layer(inside({ path: `${names.layers}.${index}`, gguf: `blk.${index}` }), index);
  return {
    vocabSize,
    hiddenSize,
    contextLength,
    bosId: undefined,
    eosIds: [],
    embedding: tokenEmbedding(
      { path: names.embedding, gguf: 'token_embd' },
      { vocabSize, hiddenSize, ...parts.embedding },
    ),
    layers: Array.from({ length: count }, (_, index) => layer(index)),
    norm: parts.norm ?? chain(),
    head: noHead,
    bidirectional: true,
    tokenTypes,
    ranker,
    unused,
  };
}

/** A layer with a norm of each sum, under BERT's names in GGUF files: `norm(x + attention(x))`, then `norm(x + mlp(x))`. */
export function normedSums(
  layer: Inside,
  options: NormOptions,
  mixer: Part,
  mlp: Part,
  names: { attention: string; mlp: string },
): Part {
  return chain(
    branch(mixer),
    norm(layer(names.attention, 'attn_output_norm'), options),
    branch(mlp),
    norm(layer(names.mlp, 'layer_output_norm'), options),
  );
}

/** Attention in both directions. */
export const readingAttention = (
  layer: Inside,
  options: Omit<Parameters<typeof attention>[1], 'bidirectional'>,
): Part => attention(layer, { ...options, bidirectional: true });

/** Modules of a classifier in GGUF files. */
export const classifierPlaces = (dense: string, output: string): { dense: Place; output: Place } => ({
  dense: { path: dense, gguf: 'cls' },
  output: { path: output, gguf: 'cls.output' },
});
