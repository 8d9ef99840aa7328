// Merging: adds an adapter's products into copies of the weights, so that the result runs without the adapter. Taking
// them out again is the same with the other sign.
import { noGrad } from '../core/autograd.js';
import type { DType } from '../core/dtype.js';
import { keep, scope } from '../core/scope.js';
import { type Tensor, viewOf } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { loraMerge } from '../ops/lora.js';
import type { Adapter } from './adapter.js';

/**
 * The weights with W + sign · scaling · B · A for every layer that the adapter has a pair for. Products are f32 and
 * rounded once. Layers without a pair share their storage with `weights`.
 */
export function mergedWeights(
  weights: ReadonlyMap<string, Tensor>,
  adapter: Adapter,
  sign: 1 | -1 = 1,
): Map<string, Tensor> {
  const merged = new Map([...weights].map(([name, x]) => [name, keep(viewOf(x, x.shape, x.strides))]));
  for (const [path, { a, b, scaling }] of adapter.pairs) {
    const name = `${path}.weight`;
    const weight = weights.get(name)!;
    merged.get(name)!.dispose();
    const copy = keep(scope(() => cast(weight, weight.dtype as DType, { copy: true })));
    noGrad(() => loraMerge(copy, a, b, sign * scaling));
    merged.set(name, copy);
  }
  return merged;
}
