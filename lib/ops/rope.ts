// Rotary position embedding.
import { record } from '../core/autograd.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe, floats, integers, sameDevice } from './checks.js';
import { contiguous } from './copy.js';

export interface RopeOptions {
  /** Multiplies cosines and sines: YaRN's attention factor. Default 1. */
  factor?: number;
  /** Pairs are channels `2i` and `2i + 1` instead of `i` and `i + rotary / 2`. Default false. */
  interleaved?: boolean;
}

/**
 * Turns pairs of channels of `x [tokens, heads, headDim]` by `positions[token] · frequencies[pair]`.
 *
 * `positions` is i32 `[tokens]`. `frequencies` is f32 `[rotary / 2]` in radians per position; the first `rotary`
 * channels are turned, the others copied. From Su et al., "RoFormer" (2021).
 *
 * @throws RangeError if the sizes do not fit.
 */
export function rope(x: Tensor, positions: Tensor, frequencies: Tensor, options: RopeOptions = {}): Tensor {
  const { factor = 1, interleaved = false } = options;
  floats('rope', x);
  integers('rope', 'positions', positions);
  if (frequencies.dtype !== 'f32') throw new TypeError(`rope: frequencies must be f32, got ${frequencies.dtype}`);
  sameDevice('rope', x, positions, frequencies);
  if (x.rank !== 3) throw new RangeError(`rope: takes [tokens, heads, headDim], got ${describe(x.shape)}`);
  if (positions.rank !== 1 || positions.size !== x.dim(0)) {
    throw new RangeError(
      `rope: the positions of a tensor ${describe(x.shape)} must be [${x.dim(0)}], got ${describe(positions.shape)}`,
    );
  }
  if (frequencies.rank !== 1 || 2 * frequencies.size > x.dim(2)) {
    throw new RangeError(
      `rope: the frequencies of ${x.dim(2)} channels must be one axis of at most ${Math.floor(x.dim(2) / 2)}, got ${describe(frequencies.shape)}`,
    );
  }
  const at = contiguous(positions);
  const per = contiguous(frequencies);
  const turned = (from: Tensor, sign: number): Tensor => {
    const out = empty(x.shape, { dtype: x.dtype, device: x.device });
    const rows = from.strides[2] === 1 ? from : contiguous(from);
    kernels.rope(out.handle, rows.handle, at.handle, per.handle, factor, sign, interleaved);
    return out;
  };
  // A turn's transpose is the turn back.
  return record(turned(x, 1), [x, (grad) => turned(grad, -1)]);
}
