// Merging: adds an adapter's products into copies of the weights, so that the result runs without the adapter.
import type { DType } from '../dtype.js';
import { kernels } from '../native.js';
import { cast } from '../ops/copy.js';
import { keep, scope } from '../scope.js';
import { type Tensor, viewOf } from '../tensor.js';
import type { Adapter } from './adapter.js';

/**
 * The weights with W + scaling · B · A for every layer that the adapter has a pair for. Products are f32 and rounded
 * once. Layers without a pair share their storage with `weights`.
 */
export function mergedWeights(weights: ReadonlyMap<string, Tensor>, adapter: Adapter): Map<string, Tensor> {
  const merged = new Map([...weights].map(([name, x]) => [name, keep(viewOf(x, x.shape, x.strides))]));
  for (const [path, { a, b, scaling }] of adapter.pairs) {
    const name = `${path}.weight`;
    const weight = weights.get(name)!;
    merged.get(name)!.dispose();
    const copy = keep(scope(() => cast(weight, weight.dtype as DType, { copy: true })));
    kernels.loraMerge(copy.handle, a.handle, b.handle, scaling);
    merged.set(name, copy);
  }
  return merged;
}
