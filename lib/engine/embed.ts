// Embeddings of texts: the mean of the final hidden states, of length 1. The states are summed chunk by chunk.

import type { Tensor } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { sum } from '../ops/reduce.js';
import { Reading } from './reading.js';

export class Embedding extends Reading<Float32Array> {
  readonly named = false;
  #total: Float64Array | undefined;

  override async read(hidden: Tensor, from: number): Promise<() => void> {
    const count = hidden.dim(0);
    const partial = await sum(cast(hidden, 'f32'), 0).data();
    return () => {
      if (from === 0 || !this.#total) this.#total = new Float64Array(partial.length);
      for (let i = 0; i < partial.length; i++) this.#total[i]! += partial[i]!;
      if (from + count === this.promptLength) this.complete(normalized(this.#total));
    };
  }
}

function normalized(x: Float64Array): Float32Array {
  const norm = Math.sqrt(x.reduce((squares, value) => squares + value * value, 0));
  return Float32Array.from(x, (value) => (norm > 0 ? value / norm : 0));
}
