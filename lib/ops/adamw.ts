// The optimizer's step over all parameters in one call, and the norm that clips gradients. Neither is differentiable.
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe, equalShapes, floats, sameDevice } from './checks.js';

export interface AdamWStep {
  learningRate: number;
  /** Default `[0.9, 0.999]`. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  eps?: number;
  /** Default 0. */
  weightDecay?: number;
  /** The number of this step, from 1. */
  step: number;
  /** What `squaredNorm` gave for the gradients; with `maxNorm`, they are scaled down to a norm of at most that. */
  norm?: Tensor;
  maxNorm?: number;
}

/**
 * Moves every parameter by one AdamW step, in place, with its running means: `moments` of the gradients and `variances`
 * of their squares, both f32. Source: Loshchilov and Hutter, arXiv:1711.05101; decay and clipping as PyTorch's AdamW and
 * `clip_grad_norm_`.
 *
 * @throws RangeError if the lists or the shapes do not match, or if a number is out of its range.
 * @throws TypeError if moments or variances are not f32.
 */
export function adamw(
  parameters: readonly Tensor[],
  moments: readonly Tensor[],
  variances: readonly Tensor[],
  gradients: readonly Tensor[],
  options: AdamWStep,
): void {
  const { learningRate, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, step, norm, maxNorm } = options;
  const count = parameters.length;
  if (moments.length !== count || variances.length !== count || gradients.length !== count) {
    const lengths = [parameters, moments, variances, gradients].map((list) => list.length).join(', ');
    throw new RangeError(`adamw: takes as many parameters as moments, variances and gradients, got ${lengths}`);
  }
  if (!Number.isInteger(step) || step < 1) throw new RangeError(`adamw: step counts from 1, got ${step}`);
  for (const beta of betas)
    if (!(beta >= 0 && beta < 1)) throw new RangeError(`adamw: betas are in [0, 1), got ${beta}`);
  if ((norm === undefined) !== (maxNorm === undefined)) throw new RangeError('adamw: norm and maxNorm come together');
  if (maxNorm !== undefined && !(maxNorm > 0)) throw new RangeError(`adamw: maxNorm must be positive, got ${maxNorm}`);
  const first = parameters[0];
  if (!first) return;
  if (norm) checkNorm(norm);
  sameDevice('adamw', first, norm, ...parameters, ...moments, ...variances, ...gradients);
  floats('adamw', ...parameters, ...gradients);
  for (const [i, parameter] of parameters.entries()) {
    for (const list of [moments, variances, gradients]) equalShapes('adamw', parameter, list[i]!);
    for (const list of [moments, variances]) {
      if (list[i]!.dtype !== 'f32')
        throw new TypeError(`adamw: moments and variances must be f32, got ${list[i]!.dtype}`);
    }
  }
  checkContiguous('adamw', ...parameters, ...moments, ...variances, ...gradients);

  const handles = (list: readonly Tensor[]) => list.map((x) => x.handle);
  kernels.adamw(
    handles(parameters),
    handles(moments),
    handles(variances),
    handles(gradients),
    norm?.handle ?? null,
    maxNorm ?? 0,
    learningRate,
    betas[0],
    betas[1],
    eps,
    weightDecay,
    step,
  );
}

/**
 * The sum of the squares of all elements of all tensors: f32 `[1]`.
 *
 * @throws RangeError if there is no tensor, or if one is not contiguous.
 */
export function squaredNorm(tensors: readonly Tensor[]): Tensor {
  const first = tensors[0];
  if (!first) throw new RangeError('squaredNorm: takes at least one tensor');
  const device = sameDevice('squaredNorm', first, ...tensors);
  floats('squaredNorm', ...tensors);
  checkContiguous('squaredNorm', ...tensors);
  const out = empty([1], { device });
  kernels.squaredNorm(
    out.handle,
    tensors.map((x) => x.handle),
  );
  return out;
}

function checkNorm(norm: Tensor): void {
  if (norm.size !== 1 || norm.dtype !== 'f32') {
    throw new TypeError(`adamw: norm must be one f32 number, got ${norm.dtype} ${describe(norm.shape)}`);
  }
}

// They are updated in place: a copy would leave the tensor itself as it was.
function checkContiguous(op: string, ...tensors: readonly Tensor[]): void {
  for (const x of tensors)
    if (!x.contiguous) throw new RangeError(`${op}: takes contiguous tensors, got a view ${describe(x.shape)}`);
}
