// Linear layers: a weight, perhaps a bias, and perhaps a low-rank adapter beside them.

import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/elementwise.js';
import { type LoraGroups, loraGrouped, loraLinearPath, loraLinearSteps } from '../ops/lora.js';
import { linearSteps } from '../ops/matmul.js';
import { dropout } from '../ops/random.js';
import type { Pass, Place, Weight } from './part.js';

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

export interface LinearOptions {
  out: number;
  in: number;
  bias?: boolean | undefined;
  /** For each row of the checkpoint's weight (and bias), the row of a GGUF file's. Default: the same. */
  ggufRows?: Int32Array | undefined;
}

/** `y = W x + b`, which LoRA may target. */
export interface LinearLayer {
  /** The module's path in the checkpoint, such as `model.layers.0.self_attn.q_proj`. */
  readonly path: string;
  /** `[out, in]`, and `[out]` where there is a bias. */
  readonly weights: readonly Weight[];
  readonly bias: boolean;
}

export function linearLayer({ path, gguf }: Place, options: LinearOptions): LinearLayer {
  const { out, in: inputs, bias = false, ggufRows: rows } = options;
  const named = (kind: string) => ({ name: `${path}.${kind}`, gguf: { name: `${gguf}.${kind}`, rows } });
  const weights: Weight[] = [{ ...named('weight'), shape: [out, inputs], module: path, start: 'random' }];
  if (bias) weights.push({ ...named('bias'), shape: [out], start: 0 });
  return { path, weights, bias };
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

/**
 * `x [tokens, in] → [tokens, out]`, through the adapter's pair (or several adapters' pairs) for this layer, if any;
 * `residual [tokens, out]` is added to the result.
 */
export function* applyLinear(layer: LinearLayer, x: Tensor, pass: Pass, residual?: Tensor): Steps<Tensor> {
  const { adapter, masks } = pass;
  const weight = pass.weight(`${layer.path}.weight`);
  const bias = layer.bias ? pass.weight(`${layer.path}.bias`) : undefined;
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
