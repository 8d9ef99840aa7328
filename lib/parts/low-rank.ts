// Low-rank pairs beside linear layers, of one adapter or of several, and the dropout of their inputs.

import type { Tensor } from '../core/tensor.js';
import type { LoraGroups } from '../ops/lora.js';
import { permute, reshape } from '../ops/view.js';

/** A pair of matrices whose product, times `scaling`, is added to a frozen weight. */
export interface LowRank {
  /** `[r, in]` */
  a: Tensor;
  /** `[out, r]` */
  b: Tensor;
  scaling: number;
  /**
   * Where the pair is for a parameter: its weight, and of how many experts it holds the pairs, `a [experts · r, in]` and
   * `b [out, r · experts]`, as PEFT lays them out.
   */
  parameter?: { weight: string; experts: number | undefined };
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

/** The pairs of experts, from how PEFT lays them out, as `a [experts, r, in]` and `b [experts, out, r]`. */
export function stackedPair(a: Tensor, b: Tensor, experts: number): { a: Tensor; b: Tensor } {
  const r = a.dim(0) / experts;
  return {
    a: reshape(a, [experts, r, a.dim(1)]),
    b: permute(reshape(b, [b.dim(0), r, experts]), [2, 0, 1]),
  };
}
