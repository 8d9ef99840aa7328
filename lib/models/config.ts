// DecoderConfig: a decoder as its architecture describes it, made of parts; and what is derived from the parts.
import { bytesOf, type DType } from '../core/dtype.js';
import type { LoraTarget } from '../lora/targets.js';
import type { EmbeddingPart } from '../parts/embedding.js';
import type { HeadPart } from '../parts/head.js';
import type { Flops, Part, Weight } from '../parts/part.js';

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
  /** Whether its files may hold a tensor of this name although no forward pass needs it. */
  unused?: ((name: string) => boolean) | undefined;
}

/** All weights, in the order in which a forward pass reads them. */
export const weightsOf = ({ embedding, layers, norm, head }: DecoderConfig): Weight[] => [
  ...embedding.weights,
  ...layers.flatMap(({ weights }) => weights),
  ...norm.weights,
  ...head.weights,
];

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
