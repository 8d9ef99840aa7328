// Norms: RMSNorm or LayerNorm with a weight, of the residual stream or of each head's channels.

import type { Tensor } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { add, affine, mul } from '../ops/elementwise.js';
import { layerNorm, rmsNorm } from '../ops/norm.js';
import type { Part, Pass, Place, Weight } from './part.js';

export interface NormKind {
  eps: number;
  /** Added to the weight: 1 where a checkpoint stores differences from 1, as Gemma's do. Default 0. */
  shift?: number | undefined;
  /** LayerNorm, with or without a bias, instead of RMSNorm. */
  layer?: { bias: boolean } | undefined;
}

export interface NormOptions extends NormKind {
  size: number;
  /** Each of so many heads has a weight of its own, `[heads, size]`; for LayerNorm without a bias. */
  heads?: number | undefined;
}

/** A norm's weights and what it does to the last axis. */
export interface Norm {
  readonly weights: readonly Weight[];
  readonly constants: readonly Float32Array[];
  apply(x: Tensor, pass: Pass): Tensor;
}

/** RMSNorm without a weight, over `size` channels. */
export function plainRms(size: number, eps: number): Norm {
  const ones = new Float32Array(size).fill(1);
  return { weights: [], constants: [ones], apply: (x, pass) => rmsNorm(x, pass.constant(ones), { eps }) };
}

/** The norm over `size` channels. GGUF files have the sum of weight and shift. */
export function normOf({ path, gguf }: Place, { size, eps, shift = 0, layer, heads }: NormOptions): Norm {
  const weight: Weight = {
    name: `${path}.weight`,
    shape: heads === undefined ? [size] : [heads, size],
    gguf: { name: `${gguf}.weight`, ...(shift === 0 ? {} : { shift }) },
    start: shift === 0 ? 1 : 0,
  };
  if (!layer) {
    return {
      weights: [weight],
      constants: [],
      apply: (x, pass) => rmsNorm(x, pass.weight(weight.name), { eps, shift }),
    };
  }
  const zeros = new Float32Array(size);
  if (heads !== undefined) {
    const ones = new Float32Array(size).fill(1);
    return {
      weights: [weight],
      constants: [ones, zeros],
      apply: (x, pass) =>
        mul(layerNorm(x, pass.constant(ones), pass.constant(zeros), { eps }), pass.weight(weight.name)),
    };
  }
  const bias: Weight = { name: `${path}.bias`, shape: [size], gguf: { name: `${gguf}.bias` }, start: 0 };
  return {
    weights: layer.bias ? [weight, bias] : [weight],
    constants: layer.bias ? [] : [zeros],
    apply(x, pass) {
      const stored = pass.weight(weight.name);
      // In f32, where the sum of 1 and a 16-bit difference is not rounded.
      const scale = shift === 0 ? stored : affine(cast(stored, 'f32'), 1, shift);
      return layerNorm(x, scale, layer.bias ? pass.weight(bias.name) : pass.constant(zeros), { eps });
    },
  };
}

/** A norm of the residual stream. */
export function norm(place: Place, options: NormOptions): Part {
  const { weights, constants, apply } = normOf(place, options);
  return {
    weights,
    memory: [],
    constants,
    facts: {},
    flops: () => ({ products: 0, mixing: 0 }),
    // biome-ignore lint/correctness/useYield: one call, too short to pause in.
    *run(x, pass, residual) {
      const out = apply(x, pass);
      return residual ? add(residual, out) : out;
    },
  };
}

/** A factor for all of the residual stream, a weight of one number. */
export function scaledBy({ path, gguf }: Place): Part {
  const weight: Weight = { name: path, shape: [1], gguf: { name: gguf }, start: 1 };
  return {
    weights: [weight],
    memory: [],
    constants: [],
    facts: {},
    flops: () => ({ products: 0, mixing: 0 }),
    // biome-ignore lint/correctness/useYield: one call, too short to pause in.
    *run(x, pass, residual) {
      const out = mul(x, pass.weight(weight.name));
      return residual ? add(residual, out) : out;
    },
  };
}
