// Queries that grow with their position, so that scores stay sharp over long texts (Llama 4, Ministral 3):
//
//   q · (1 + beta · ln(1 + ⌊position / every⌋))
import type { Tensor } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { affine, log, mul } from '../ops/elementwise.js';
import { reshape } from '../ops/view.js';

export interface QueryGrowth {
  beta: number;
  /** Tokens. */
  every: number;
}

/** `q [tokens, heads, headDim]` and `positions` i32 `[tokens]` give the shape of `q`. */
export function growing(q: Tensor, positions: Tensor, { beta, every }: QueryGrowth): Tensor {
  // Half a token more, so that rounding cannot push a multiple of `every` below its whole number. To i32 is truncation.
  const steps = cast(cast(affine(cast(positions, 'f32'), 1 / every, 0.5 / every), 'i32'), 'f32');
  const factors = affine(log(affine(steps, 1, 1)), beta, 1);
  return mul(q, reshape(cast(factors, q.dtype as 'f32'), [q.dim(0), 1, 1]));
}
