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
   * `b [out, r · experts]`, as PEFT lays them out. The rows of `b` come from `bands` in turns, which the weight has one
   * after the other.
   */
  parameter?: { weight: string; experts?: number | undefined; bands?: number | undefined };
}

/** The adapter's pairs by module path, as a layer sees them. */
export interface LowRankSet {
  readonly pairs: ReadonlyMap<string, LowRank>;
  readonly config: { readonly loraDropout: number };
}

/** Several adapters at once, each for its own rows of the batch. */
export interface LowRankBatch {
  /**
   * By the path of a module or parameter, what one of them has a pair for. Of experts there is a pair for each in each slot,
   * `a [slots · experts, r, in]`, whose rows only the part can name.
   */
  readonly groups: ReadonlyMap<string, LoraGroups>;
  /** i32 `[tokens]`: the slot of each token's adapter; without one, a number beyond all slots. */
  readonly slots: Tensor;
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

/** A pair as `a [experts, r, in]` and `b [experts, out, r]`, by the rows of its weight; one for all is that of one expert. */
export function stackedPair({ a, b, parameter }: LowRank): { a: Tensor; b: Tensor } {
  const { experts = 1, bands = 1 } = parameter ?? {};
  const r = a.dim(0) / experts;
  const out = b.dim(0);
  return {
    a: reshape(a, [experts, r, a.dim(1)]),
    b:
      bands === 1
        ? permute(reshape(b, [out, r, experts]), [2, 0, 1])
        : reshape(permute(reshape(b, [out / bands, bands, r, experts]), [3, 1, 0, 2]), [experts, out, r]),
  };
}
