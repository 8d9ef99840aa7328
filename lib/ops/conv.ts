// Depthwise causal convolution, over sequences laid end to end.
import { recordJoint } from '../core/autograd.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe, floats, sameDevice } from './checks.js';
import { contiguous } from './copy.js';
import { checkSequences, handlesOf, type PackedOptions } from './sequences.js';

export interface CausalConvOptions extends PackedOptions {
  bias?: Tensor | undefined;
  /** The result goes through silu. Default false. */
  silu?: boolean;
}

/** Taps that the kernels have registers for. */
const mostTaps = 16;

/**
 * `y_t = bias + Σ_j weight_j · x_{t + j - (width - 1)}` in each channel: `x [tokens, channels]`, `weight [channels, width]`
 * → `[tokens, channels]`. What lies before a sequence is zeros, or the tail of its last inputs in `kept.states`
 * `[places, width - 1, channels]`.
 *
 * @throws RangeError if the sizes do not fit.
 */
export function causalConv(x: Tensor, weight: Tensor, options: CausalConvOptions): Tensor {
  const { bias, boundaries, kept, silu = false } = options;
  floats('causalConv', x, weight, bias);
  if (x.rank !== 2 || weight.rank !== 2 || weight.dim(0) !== x.dim(1)) {
    throw new RangeError(
      `causalConv: takes [tokens, channels] and [channels, width], got ${describe(x.shape)} and ${describe(weight.shape)}`,
    );
  }
  const [channels, width] = weight.shape as [number, number];
  if (width < 1 || width > mostTaps) {
    throw new RangeError(`causalConv: the width must be 1 to ${mostTaps}, got ${width}`);
  }
  if (bias && (bias.rank !== 1 || bias.size !== channels)) {
    throw new RangeError(`causalConv: bias must be [${channels}], got ${describe(bias.shape)}`);
  }
  checkSequences('causalConv', x.dim(0), boundaries, kept, [width - 1, channels], [x, weight, bias]);
  const device = sameDevice('causalConv', x, weight, bias, boundaries, kept?.states, kept?.places);
  const out = empty(x.shape, { dtype: x.dtype, device });
  const [from, taps, ends] = [contiguous(x), contiguous(weight), contiguous(boundaries)];
  const added = bias && contiguous(bias);
  const [tails, places] = handlesOf(kept);
  kernels.causalConv(out.handle, tails, from.handle, taps.handle, added?.handle ?? null, ends.handle, places, silu);
  if (kept) return out;
  const parameters = [weight, ...(bias ? [bias] : [])];
  return recordJoint(out, [x, ...parameters], (grad, [, weightNeeded, biasNeeded]) => {
    const like = (x: Tensor): Tensor => empty(x.shape, { dtype: x.dtype, device });
    const [dx, dweight] = [like(x), weightNeeded ? like(weight) : undefined];
    const dbias = bias && biasNeeded ? like(bias) : undefined;
    kernels.causalConvBackward(
      dx.handle,
      dweight?.handle ?? null,
      dbias?.handle ?? null,
      contiguous(grad).handle,
      from.handle,
      taps.handle,
      added?.handle ?? null,
      ends.handle,
      silu,
    );
    return [dx, dweight, dbias];
  });
}
