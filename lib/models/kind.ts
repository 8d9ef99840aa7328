// What a model is for: text, vectors of texts, or scores of a query and a text; and the refusal of what it is not for.
import type { DecoderConfig } from './config.js';

export type ModelKind = 'language model' | 'embedding model' | 'reranker';

export function kindOf({ ranker, embedder, bidirectional }: DecoderConfig): ModelKind {
  if (ranker) return 'reranker';
  return embedder || bidirectional ? 'embedding model' : 'language model';
}

/** A model is asked for what its kind does not do. */
export class WrongKind extends Error {
  override name = 'WrongKind';
}

const instead: Readonly<Record<ModelKind, string>> = {
  'language model': 'generate() and embed()',
  'embedding model': 'embed()',
  reranker: 'rank()',
};

/** @throws WrongKind for a model whose tokens see those after them, which therefore writes no text. */
export function refuseEncoder(op: string, config: DecoderConfig): void {
  if (!config.bidirectional) return;
  const kind = kindOf(config);
  throw new WrongKind(`${op}: this model is an encoder (${config.modelType}) and writes no text: use ${instead[kind]}`);
}

/** @throws WrongKind for a reranker, whose states were made for scores. */
export function refuseRanker(op: string, config: DecoderConfig): void {
  if (config.ranker && !config.embedder && config.bidirectional)
    throw new WrongKind(`${op}: this model is a reranker (${config.modelType}) and makes no vectors: use rank()`);
}
