// Linear layers: a weight, perhaps a bias, and perhaps a low-rank adapter beside them.

import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/elementwise.js';
import { loraGrouped, loraLinearPath, loraLinearSteps } from '../ops/lora.js';
import { linearSteps } from '../ops/matmul.js';
import { dropout } from '../ops/random.js';
import type { Pass, Place, Weight } from './part.js';

export interface LinearOptions {
  out: number;
  in: number;
  bias?: boolean | undefined;
  /** For each row of the checkpoint's weight (and bias), the row of a GGUF file's. Default: the same. */
  ggufRows?: Int32Array | undefined;
  /** The same for its columns. */
  ggufColumns?: Int32Array | undefined;
  /** The checkpoint stores the matrix as `[in, out]`. */
  transposed?: boolean | undefined;
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
  const { out, in: inputs, bias = false, ggufRows: rows, ggufColumns: columns, transposed } = options;
  const named = (kind: string) => ({ name: `${path}.${kind}`, gguf: { name: `${gguf}.${kind}`, rows } });
  const matrix = named('weight');
  const weights: Weight[] = [
    { ...matrix, gguf: { ...matrix.gguf, columns }, shape: [out, inputs], module: path, transposed, start: 'random' },
  ];
  if (bias) weights.push({ ...named('bias'), shape: [out], start: 0 });
  return { path, weights, bias };
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
