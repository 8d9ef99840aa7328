// One of our models as the AI SDK's reranking model: documents by how relevant they are, the best first.

import { retryable } from './errors.js';
import type { Served } from './language-model.js';
import type { RerankingModel, Version } from './specification.js';

export function rerankingModel<V extends Version>(
  specificationVersion: V,
  modelId: string,
  { model, adapter }: Served,
): RerankingModel<V> {
  return {
    specificationVersion,
    provider: 'helvetia',
    modelId,
    async doRerank({ documents: { values }, query, topN, abortSignal }) {
      // An object is ranked by its JSON.
      const texts = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
      try {
        const ranked = await model.rank(query, texts, { adapter, signal: abortSignal, top: topN });
        return { ranking: ranked.map(({ index, score }) => ({ index, relevanceScore: score })) };
      } catch (error) {
        throw retryable(error);
      }
    },
  };
}
