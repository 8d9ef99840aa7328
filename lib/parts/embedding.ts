// The token embedding: where a decoder begins.
import type { DType } from '../core/dtype.js';
import type { Tensor } from '../core/tensor.js';
import { affine } from '../ops/elementwise.js';
import { embedding } from '../ops/embedding.js';
import type { Pass, Place, Weight } from './part.js';

export interface EmbeddingOptions {
  vocabSize: number;
  hiddenSize: number;
  /** The rows are multiplied by this. Default 1. */
  scale?: number | undefined;
}

export interface EmbeddingPart {
  readonly weights: readonly [Weight];
  /** The rows of `pass.batch.tokens`, `[total, hidden]` in `dtype`. */
  run(pass: Pass, dtype: DType): Tensor;
}

export function tokenEmbedding({ path, gguf }: Place, options: EmbeddingOptions): EmbeddingPart {
  const { vocabSize, hiddenSize, scale = 1 } = options;
  const weight: Weight = {
    name: `${path}.weight`,
    shape: [vocabSize, hiddenSize],
    gguf: { name: `${gguf}.weight` },
    start: 'random',
  };
  return {
    weights: [weight],
    run(pass, dtype) {
      const rows = embedding(pass.weight(weight.name), pass.batch.tokens, { dtype });
      return scale === 1 ? rows : affine(rows, scale, 0);
    },
  };
}
