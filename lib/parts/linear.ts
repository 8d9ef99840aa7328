// A linear layer: a weight with its place in the model, and perhaps a low-rank adapter beside it.

import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/elementwise.js';
import { type LoraGroups, loraGrouped, loraLinearPath, loraLinearSteps } from '../ops/lora.js';
import { linearSteps } from '../ops/matmul.js';
import { dropout } from '../ops/random.js';

/** A pair of matrices whose product, times `scaling`, is added to a frozen weight. */
export interface LowRank {
  /** `[r, in]` */
  a: Tensor;
  /** `[out, r]` */
  b: Tensor;
  scaling: number;
}

/** The adapter's pairs by module path, as a layer sees them. */
export interface LowRankSet {
  readonly pairs: ReadonlyMap<string, LowRank>;
  readonly config: { readonly loraDropout: number };
}

/** Several adapters at once, each for its own rows of the batch: by module path, the layers that one of them has. */
export interface LowRankBatch {
  readonly groups: ReadonlyMap<string, LoraGroups>;
}

export interface Linear {
  /** The module's path in the checkpoint, e.g. `model.layers.0.self_attn.q_proj`. */
  path: string;
  /** `[out, in]` */
  weight: Tensor;
  /** `[out]` */
  bias?: Tensor | undefined;
}

/** Draws dropout masks one after the other, the same ones again for the same seed. */
export class DropoutStream {
  #offset = 0;

  constructor(readonly seed: number) {}

  next(size: number): number {
    const offset = this.#offset;
    this.#offset += Math.ceil(size / 4);
    return offset;
  }
}

export interface LinearContext {
  adapter?: LowRankSet | LowRankBatch | undefined;
  masks?: DropoutStream | undefined;
  /** `[tokens, out]`, added to the result. */
  residual?: Tensor | undefined;
}

/** `x [tokens, in] → [tokens, out]`, through the adapter's pair (or several adapters' pairs) for this layer, if any. */
export function* applyLinear(
  layer: Linear,
  x: Tensor,
  { adapter, masks, residual }: LinearContext = {},
): Steps<Tensor> {
  const { weight, bias } = layer;
  if (adapter && 'groups' in adapter) {
    const groups = adapter.groups.get(layer.path);
    const out = yield* linearSteps(x, weight, { bias, residual });
    return groups ? loraGrouped(out, x, groups) : out;
  }
  const pair = adapter?.pairs.get(layer.path);
  if (!pair || !adapter) return yield* linearSteps(x, weight, { bias, residual });
  const { a, b, scaling } = pair;
  const probability = masks ? adapter.config.loraDropout : 0;
  if (!masks || probability === 0) {
    return yield* loraLinearSteps(x, weight, a, b, { scaling, bias, residual });
  }
  const thinned = dropout(x, { probability, seed: masks.seed, offset: masks.next(x.size) });
  const frozen = yield* linearSteps(x, weight, { bias, residual });
  return add(frozen, loraLinearPath(thinned, a, b, scaling));
}
