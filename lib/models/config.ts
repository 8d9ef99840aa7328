// DecoderConfig: a decoder as its architecture describes it, made of parts; and what is derived from the parts.
import { bytesOf, type DType } from '../core/dtype.js';
import type { LoraTarget } from '../lora/targets.js';
import type { EmbeddingPart } from '../parts/embedding.js';
import type { HeadPart } from '../parts/head.js';
import type { Flops, Part, Weight } from '../parts/part.js';
import { type Embedder, plainEmbedder, type Ranker, type RankPrompt, type VectorLayer } from '../parts/text-head.js';

export interface DecoderConfig {
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  /** Positions that the model was made for. */
  contextLength: number;
  bosId: number | undefined;
  eosIds: readonly number[];
  embedding: EmbeddingPart;
  /** One for each layer. */
  layers: readonly Part[];
  /** After the last layer. */
  norm: Part;
  head: HeadPart;
  /** Tokens see their whole text, those after them included: the model makes vectors and scores of texts, and no text. */
  bidirectional?: boolean | undefined;
  /** Types of tokens: of two, the second stands for the second text of a pair. */
  tokenTypes?: number | undefined;
  /** How a text becomes a vector, where the model's files say. */
  embedder?: Embedder | undefined;
  /** How a query and a text become a score, in a reranker. */
  ranker?: Ranker | undefined;
  /** How a reranker of this architecture is asked that answers in words. */
  asks?: RankPrompt | undefined;
  /** Whether its files may hold a tensor of this name although no forward pass needs it. */
  unused?: ((name: string) => boolean) | undefined;
}

/** All weights, in the order in which a forward pass reads them. */
export const weightsOf = (config: DecoderConfig): Weight[] => [
  ...config.embedding.weights,
  ...config.layers.flatMap(({ weights }) => weights),
  ...config.norm.weights,
  ...config.head.weights,
  ...vectorLayers(config).flatMap(({ weights }) => weights),
];

/** The layers behind the pooling of its vectors and scores. */
export const vectorLayers = ({ embedder, ranker }: DecoderConfig): VectorLayer[] => [
  ...(embedder?.layers ?? []),
  ...(ranker?.layers ?? []),
];

/** How texts become vectors: where the model's files do not say, by the mean of all states, of length 1. */
export const embedderOf = ({ embedder, hiddenSize }: DecoderConfig): Embedder =>
  embedder ?? { ...plainEmbedder, size: hiddenSize };

/** The paths of the linear layers that LoRA may target: all but the output projection. */
export const linearPaths = (config: DecoderConfig): string[] =>
  weightsOf(config).flatMap(({ module }) => (module === undefined ? [] : [module]));

/** Multiplications and additions of all layers for one sequence of so many tokens; the head has its own. */
export function layerFlops({ layers }: DecoderConfig, tokens: number): Flops {
  const all = layers.map((layer) => layer.flops(tokens));
  return {
    products: all.reduce((sum, { products }) => sum + products, 0),
    mixing: all.reduce((sum, { mixing }) => sum + mixing, 0),
  };
}

const sizeOf = ({ shape }: Weight): number => shape.reduce((size, axis) => size * axis, 1);

/** All that LoRA may target, in the order of the layers. */
export const loraTargets = (config: DecoderConfig): LoraTarget[] =>
  weightsOf(config).flatMap(({ name, shape, module, parameter, parameterBands: bands, pieces }): LoraTarget[] => {
    const path = module ?? parameter;
    if (path === undefined) return [];
    return [{ path, weight: name, shape, parameter: module === undefined, bands, each: eachExpert(shape, pieces) }];
  });

/** The modules whose weights a stacked parameter is gathered of, if it is. */
function eachExpert(shape: readonly number[], pieces: Weight['pieces']): string[][] | undefined {
  const [experts] = shape as [number];
  if (shape.length !== 3 || !pieces || pieces.length % experts !== 0) return undefined;
  const modules = pieces.map(({ name }) => name.replace(/\.weight$/, ''));
  return Array.from({ length: modules.length / experts }, (_, i) => modules.slice(i * experts, (i + 1) * experts));
}

export function parameterCount(config: DecoderConfig): number {
  return weightsOf(config).reduce((sum, weight) => sum + sizeOf(weight), 0);
}

/** Parameters that one token is computed with: of a mixture of experts, those of the chosen ones. */
export function activeParameterCount(config: DecoderConfig): number {
  return weightsOf(config).reduce((sum, weight) => sum + sizeOf(weight) * (weight.share ?? 1), 0);
}

/** Bytes of the weights that decoding one token reads: the active ones, and one row of an embedding of its own. */
export function bytesPerToken(config: DecoderConfig, dtype: DType): number {
  const { vocabSize, hiddenSize, head } = config;
  return bytesOf(dtype, activeParameterCount(config) - (head.tied ? 0 : vocabSize * hiddenSize));
}

export const weightBytes = (config: DecoderConfig, dtype: DType): number => bytesOf(dtype, parameterCount(config));
