// Embeddings of texts: the mean of the final hidden states, of length 1. The states are added in double, token by token, so
// that a text has the same embedding however its tokens are spread over steps.

import type { Tensor } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { Reading } from './reading.js';

export class Embedding extends Reading<Float32Array> {
  readonly named = false;
  #total: Float64Array | undefined;

  override async read(hidden: Tensor, from: number): Promise<() => void> {
    const [count, width] = [hidden.dim(0), hidden.dim(1)];
    const states = await cast(hidden, 'f32').data();
    return () => {
      if (from === 0 || !this.#total) this.#total = new Float64Array(width);
      for (let row = 0; row < count; row++) {
        for (let i = 0; i < width; i++) this.#total[i]! += states[row * width + i]!;
      }
      if (from + count === this.promptLength) this.complete(normalized(this.#total));
    };
  }
}

function normalized(x: Float64Array): Float32Array {
  const norm = Math.sqrt(x.reduce((squares, value) => squares + value * value, 0));
  return Float32Array.from(x, (value) => (norm > 0 ? value / norm : 0));
}
