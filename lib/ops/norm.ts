// RMSNorm and LayerNorm over the last axis.
import { recordJoint } from '../core/autograd.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe, floats, sameDevice } from './checks.js';
import { contiguous } from './copy.js';

export interface RmsNormOptions {
  /** Added to the mean square. Default 1e-6. */
  eps?: number;
  /** Added to the weight: 1 for Gemma, whose weights are stored as differences from 1. Default 0. */
  shift?: number;
}

export interface LayerNormOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
}

function check(op: string, x: Tensor, eps: number, parameters: Record<string, Tensor>): void {
  floats(op, x, ...Object.values(parameters));
  sameDevice(op, x, ...Object.values(parameters));
  if (x.rank === 0) throw new RangeError(`${op}: takes a tensor of at least one axis, got a scalar`);
  for (const [name, parameter] of Object.entries(parameters)) {
    if (parameter.rank !== 1 || parameter.size !== x.dim(-1)) {
      throw new RangeError(
        `${op}: the ${name} of a tensor ${describe(x.shape)} must be [${x.dim(-1)}], got ${describe(parameter.shape)}`,
      );
    }
  }
  if (!(eps >= 0)) throw new RangeError(`${op}: eps must be a number of at least 0, got ${eps}`);
}

const like = (x: Tensor): Tensor => empty(x.shape, { dtype: x.dtype, device: x.device });

/** The gradient where it is asked for; else the tensor is freed and there is none. */
function wanted(needed: boolean, gradient: Tensor): Tensor | undefined {
  if (!needed) gradient.dispose();
  return needed ? gradient : undefined;
}

/**
 * `x / sqrt(mean(x²) + eps) · (weight + shift)` over the last axis, with `weight [x.dim(-1)]`.
 *
 * From Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019).
 *
 * @throws RangeError if the weight has another size.
 */
export function rmsNorm(x: Tensor, weight: Tensor, { eps = 1e-6, shift = 0 }: RmsNormOptions = {}): Tensor {
  check('rmsNorm', x, eps, { weight });
  const out = like(x);
  const [from, scale] = [contiguous(x), contiguous(weight)];
  kernels.rmsNorm(out.handle, from.handle, scale.handle, eps, shift);
  return recordJoint(out, [x, weight], (grad, [xNeeded, weightNeeded]) => {
    const dx = like(x);
    const dweight = weightNeeded ? like(weight) : undefined;
    kernels.rmsNormBackward(
      dx.handle,
      dweight?.handle ?? null,
      contiguous(grad).handle,
      from.handle,
      scale.handle,
      eps,
      shift,
    );
    return [wanted(xNeeded, dx), dweight];
  });
}

/**
 * `(x - mean(x)) / sqrt(variance(x) + eps) · weight + bias` over the last axis, with `weight` and `bias [x.dim(-1)]`.
 *
 * From Ba, Kiros and Hinton, "Layer Normalization" (2016).
 *
 * @throws RangeError if the weight or the bias has another size.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, { eps = 1e-5 }: LayerNormOptions = {}): Tensor {
  check('layerNorm', x, eps, { weight, bias });
  const out = like(x);
  const [from, scale] = [contiguous(x), contiguous(weight)];
  kernels.layerNorm(out.handle, from.handle, scale.handle, contiguous(bias).handle, eps);
  return recordJoint(out, [x, weight, bias], (grad, [xNeeded, weightNeeded, biasNeeded]) => {
    const dx = like(x);
    const dweight = weightNeeded ? like(weight) : undefined;
    const dbias = biasNeeded ? like(bias) : undefined;
    const dout = contiguous(grad);
    kernels.layerNormBackward(
      dx.handle,
      dweight?.handle ?? null,
      dbias?.handle ?? null,
      dout.handle,
      from.handle,
      scale.handle,
      eps,
    );
    return [wanted(xNeeded, dx), dweight, dbias];
  });
}
