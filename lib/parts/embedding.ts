// The token embedding: where a decoder begins.
import type { DType } from '../core/dtype.js';
import type { Tensor } from '../core/tensor.js';
import { add, affine } from '../ops/elementwise.js';
import { embedding } from '../ops/embedding.js';
import type { Pass, Place, Weight } from './part.js';

export interface EmbeddingOptions {
  vocabSize: number;
  hiddenSize: number;
  /** The rows are multiplied by this. Default 1. */
  scale?: number | undefined;
  /** A learned row for each of so many positions is added. */
  positions?: (Place & { count: number }) | undefined;
}

export interface EmbeddingPart {
  /** The tokens' table, then the positions', if any. */
  readonly weights: readonly [Weight, ...Weight[]];
  /** The rows of `pass.batch.tokens`, `[total, hidden]` in `dtype`. */
  run(pass: Pass, dtype: DType): Tensor;
}

export function tokenEmbedding(place: Place, options: EmbeddingOptions): EmbeddingPart {
  const { vocabSize, hiddenSize, scale = 1, positions } = options;
  const table = ({ path, gguf }: Place, rows: number): Weight => ({
    name: `${path}.weight`,
    shape: [rows, hiddenSize],
    gguf: { name: `${gguf}.weight` },
    start: 'random',
  });
  const tokens = table(place, vocabSize);
  const learned = positions && table(positions, positions.count);
  return {
    weights: learned ? [tokens, learned] : [tokens],
    run(pass, dtype) {
      const { batch } = pass;
      const rows = embedding(pass.weight(tokens.name), batch.tokens, { dtype });
      const scaled = scale === 1 ? rows : affine(rows, scale, 0);
      return learned ? add(scaled, embedding(pass.weight(learned.name), batch.positions, { dtype })) : scaled;
    },
  };
}
