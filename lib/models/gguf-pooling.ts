// How a GGUF file says that its model makes vectors of texts: `pooling_type`, and matrices behind the pooling.
import type { Gguf } from '../files/gguf.js';
import { shown } from '../flow/fault.js';
import { poolingByGguf } from '../parts/pooling.js';
import { plainEmbedder, type VectorLayer, vectorLinear } from '../parts/text-head.js';
import type { DecoderConfig } from './config.js';

/** No pooling, and the scores of a reranker. */
const none = 0;
const rank = 4;

/** Whether the file is a reranker's. */
export const isReranker = ({ metadata }: Gguf): boolean =>
  metadata.get(`${String(metadata.get('general.architecture'))}.pooling_type`) === rank;

/** The matrices that llama.cpp has behind the pooling, in their order. */
const dense = ['dense_2', 'dense_3'] as const;

/** The model with what the file says of its vectors, which are of length 1. @throws Error that names the file and the key. */
export function withPoolingType(gguf: Gguf, config: DecoderConfig): DecoderConfig {
  const key = `${String(gguf.metadata.get('general.architecture'))}.pooling_type`;
  const type = gguf.metadata.get(key);
  if (type === undefined || type === none || type === rank) return config;
  const kind = typeof type === 'number' ? poolingByGguf(type) : undefined;
  if (!kind) throw new Error(`${gguf.path}: ${key} is ${shown(type)}, which is not supported`);
  const layers: VectorLayer[] = [];
  let width = config.hiddenSize;
  for (const name of dense) {
    const shape = gguf.tensors.get(`${name}.weight`)?.shape;
    if (!shape) continue;
    const layer = vectorLinear({ path: name, gguf: name }, { in: width, out: shape[0]!, bias: false });
    layers.push(layer);
    width = layer.size;
  }
  return { ...config, embedder: { ...plainEmbedder, pooling: [kind], layers, size: width } };
}
