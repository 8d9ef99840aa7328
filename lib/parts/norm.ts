// Norms of the residual stream: RMSNorm with a weight.

import { add } from '../ops/elementwise.js';
import { rmsNorm } from '../ops/norm.js';
import type { Part, Place, Weight } from './part.js';

export interface NormOptions {
  size: number;
  eps: number;
  /** Added to the weight: 1 where a checkpoint stores differences from 1, as Gemma's do. Default 0. */
  shift?: number | undefined;
}

/** The weight of an RMSNorm over `size` channels. GGUF files have the sum of weight and shift. */
export const normWeight = ({ path, gguf }: Place, { size, shift = 0 }: NormOptions): Weight => ({
  name: `${path}.weight`,
  shape: [size],
  gguf: { name: `${gguf}.weight`, ...(shift === 0 ? {} : { shift }) },
  start: shift === 0 ? 1 : 0,
});

export function norm(place: Place, options: NormOptions): Part {
  const weight = normWeight(place, options);
  const settings = { eps: options.eps, shift: options.shift ?? 0 };
  return {
    weights: [weight],
    memory: [],
    constants: [],
    facts: {},
    flops: () => ({ products: 0, mixing: 0 }),
    // biome-ignore lint/correctness/useYield: one call, too short to pause in.
    *run(x, pass, residual) {
      const out = rmsNorm(x, pass.weight(weight.name), settings);
      return residual ? add(residual, out) : out;
    },
  };
}
