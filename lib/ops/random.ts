// New tensors: constants, sequences, seeded random numbers; and dropout.
//
// Random numbers are a function of the seed and of the element's place (see native/philox.h): the same on every device
// and with any number of threads.
import { record } from '../core/autograd.js';
import { type DType, isFloat } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { empty, type Shape, type Tensor, type TensorOptions, tensor } from '../core/tensor.js';
import { floats } from './checks.js';
import { contiguous } from './copy.js';

function created(shape: Shape, options: TensorOptions, write: (out: Tensor) => void): Tensor {
  const { dtype = 'f32', device, requiresGrad = false } = options;
  const out = empty(shape, { dtype, ...(device ? { device } : {}) });
  write(out);
  out.requiresGrad = requiresGrad;
  return out;
}

/** A tensor of one number. */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  return created(shape, options, (out) => kernels.fill(out.handle, value));
}

export const zeros = (shape: Shape, options: TensorOptions = {}): Tensor => full(shape, 0, options);

export const ones = (shape: Shape, options: TensorOptions = {}): Tensor => full(shape, 1, options);

/**
 * The numbers from `start` (default 0) up to but not including `end`, in steps; i32 where all three are whole numbers,
 * else f32.
 *
 * @throws RangeError if the step is 0 or leads away from `end`.
 */
export function arange(end: number, options: TensorOptions & { start?: number; step?: number } = {}): Tensor {
  const { start = 0, step = 1, ...rest } = options;
  const count = Math.ceil((end - start) / step);
  if (!Number.isFinite(count) || count < 0) throw new RangeError(`arange: from ${start} to ${end} in steps of ${step}`);
  const whole = [start, end, step].every(Number.isInteger);
  const values = whole ? new Int32Array(count) : new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = start + i * step;
  return tensor(values, rest);
}

export interface RandomOptions extends TensorOptions {
  /** A whole number, up to 2^53 either way. Default: another one each time. */
  seed?: number;
  /** Blocks of four numbers to skip. */
  offset?: number;
}

interface Place {
  seed: number;
  offset: number;
}

function placeOf(op: string, { seed = Math.floor(Math.random() * 2 ** 53), offset = 0 }: Partial<Place>): Place {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`${op}: the seed ${seed} is not a whole number`);
  if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError(`${op}: the offset ${offset} is not a count`);
  return { seed, offset };
}

function floatType(op: string, options: TensorOptions): DType {
  const { dtype = 'f32' } = options;
  if (!isFloat(dtype)) throw new TypeError(`${op}: makes floating-point tensors, not ${dtype}`);
  return dtype;
}

/** Random numbers, equally likely in `[low, high)`, by default `[0, 1)`. */
export function uniform(shape: Shape, options: RandomOptions & { low?: number; high?: number } = {}): Tensor {
  const { low = 0, high = 1 } = options;
  const dtype = floatType('uniform', options);
  const { seed, offset } = placeOf('uniform', options);
  if (!(low <= high)) throw new RangeError(`uniform: low ${low} is not below high ${high}`);
  return created(shape, { ...options, dtype }, (out) => kernels.uniform(out.handle, seed, offset, low, high));
}

/** Random numbers, equally likely in `[0, 1)`. */
export const rand = (shape: Shape, options: RandomOptions = {}): Tensor => uniform(shape, options);

/** Random numbers of the normal distribution, by default of mean 0 and deviation 1. */
export function randn(shape: Shape, options: RandomOptions & { mean?: number; deviation?: number } = {}): Tensor {
  const { mean = 0, deviation = 1 } = options;
  const dtype = floatType('randn', options);
  const { seed, offset } = placeOf('randn', options);
  return created(shape, { ...options, dtype }, (out) => kernels.normal(out.handle, seed, offset, mean, deviation));
}

/**
 * Zeroes each element with the given probability and divides the others by `1 - probability`. The same seed and offset
 * zero the same elements.
 *
 * @throws RangeError if the probability is outside [0, 1].
 */
export function dropout(input: Tensor, options: { probability: number; seed: number; offset?: number }): Tensor {
  floats('dropout', input);
  const { probability } = options;
  if (!(probability >= 0 && probability <= 1))
    throw new RangeError(`dropout: the probability ${probability} is outside [0, 1]`);
  const { seed, offset } = placeOf('dropout', options);
  if (probability === 0) return input;
  const dropped = (x: Tensor): Tensor => {
    const out = empty(x.shape, { dtype: x.dtype, device: x.device });
    kernels.dropout(out.handle, x.handle, seed, offset, probability);
    return out;
  };
  const x = contiguous(input);
  return record(dropped(x), [x, (grad) => dropped(contiguous(grad))]);
}
