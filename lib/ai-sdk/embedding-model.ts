// One of our models as the AI SDK's embedding model: the mean of a text's last hidden states, of length 1.

import { retryable } from './errors.js';
import type { Served } from './language-model.js';
import type { EmbeddingModel, Version } from './specification.js';

// As many as a step takes side by side: the rest wait here, and the queue stays open for others.
const atOnce = 8;

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
      const vectors: Float32Array[] = [];
      try {
        for (let from = 0; from < ids.length; from += atOnce) {
          const some = ids.slice(from, from + atOnce);
          const asked = some.map((tokens) => model.engine.embed(tokens, { adapter, signal: abortSignal }));
          vectors.push(...(await Promise.all(asked)));
        }
      } catch (error) {
        throw retryable(error);
      }
      return {
        embeddings: vectors.map((vector) => Array.from(vector)),
        usage: { tokens: ids.reduce((sum, tokens) => sum + tokens.length, 0) },
        warnings: dimensions === undefined ? [] : [{ type: 'unsupported', feature: 'dimensions' }],
      };
    },
  };
}
