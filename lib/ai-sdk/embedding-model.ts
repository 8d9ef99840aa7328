// One of our models as the AI SDK's embedding model: texts as vectors, as the model makes them.

import { retryable } from './errors.js';
import type { Served } from './language-model.js';
import type { EmbeddingModel, Version } from './specification.js';

export function embeddingModel<V extends Version>(
  specificationVersion: V,
  modelId: string,
  { model, adapter }: Served,
): EmbeddingModel<V> {
  return {
    specificationVersion,
    provider: 'helvetia',
    modelId,
    maxEmbeddingsPerCall: 2048,
    supportsParallelCalls: true,
    async doEmbed({ values, abortSignal, dimensions }) {
      let vectors: Float32Array[];
      try {
        vectors = await model.embed(values, { adapter, signal: abortSignal, dimensions });
      } catch (error) {
        throw retryable(error);
      }
      return {
        embeddings: vectors.map((vector) => Array.from(vector)),
        usage: { tokens: values.reduce((sum, value) => sum + model.tokenizer.encode(value).length, 0) },
        warnings: [],
      };
    },
  };
}
