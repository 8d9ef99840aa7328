// One of our models as the AI SDK's embedding model: the mean of a text's last hidden states, of length 1.

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
      const ids = values.map((value) => model.tokenizer.encode(value));
      const vectors = await Promise.all(
        ids.map((tokens) => model.engine.embed(tokens, { adapter, signal: abortSignal })),
      );
      return {
        embeddings: vectors.map((vector) => Array.from(vector)),
        usage: { tokens: ids.reduce((sum, tokens) => sum + tokens.length, 0) },
        warnings: dimensions === undefined ? [] : [{ type: 'unsupported', feature: 'dimensions' }],
      };
    },
  };
}
