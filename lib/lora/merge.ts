// Merging: adds an adapter's products into copies of the weights, so that the result runs without the adapter. Taking
// them out again is the same with the other sign.
import { noGrad } from '../core/autograd.js';
import type { DType } from '../core/dtype.js';
import { keep, scope } from '../core/scope.js';
import { type Tensor, viewOf } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { loraMerge } from '../ops/lora.js';
import { select } from '../ops/view.js';
import { type LowRank, stackedPair } from '../parts/low-rank.js';
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
  for (const [path, pair] of adapter.pairs) {
    const name = pair.parameter?.weight ?? `${path}.weight`;
    const weight = weights.get(name)!;
    merged.get(name)!.dispose();
    const copy = keep(scope(() => cast(weight, weight.dtype as DType, { copy: true })));
    noGrad(() => scope(() => mergePair(copy, pair, sign)));
    merged.set(name, copy);
  }
  return merged;
}

function mergePair(weight: Tensor, pair: LowRank, sign: 1 | -1): void {
  const scaling = sign * pair.scaling;
  if (weight.rank === 2) {
    loraMerge(weight, pair.a, pair.b, scaling);
    return;
  }
  const { a, b } = stackedPair(pair);
  for (let e = 0; e < weight.dim(0); e++) loraMerge(select(weight, 0, e), select(a, 0, e), select(b, 0, e), scaling);
}
