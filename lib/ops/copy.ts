// Tensors of the same numbers: in another format, side by side in memory, joined, or picked along an axis.
import { record, recordJoint } from '../core/autograd.js';
import { type Device, device as deviceOf } from '../core/device.js';
import { type DType, isBlock, isFloat } from '../core/dtype.js';
import { kernels, native } from '../core/native.js';
import { scope } from '../core/scope.js';
import { empty, type Tensor, viewOf } from '../core/tensor.js';
import { axisOf, describe, integers, sameDevice } from './checks.js';

/** @throws TypeError for tensors of blocks, which only `dequantize` reads. */
export function plain(op: string, ...tensors: readonly Tensor[]): void {
  for (const x of tensors) {
    if (isBlock(x.dtype)) throw new TypeError(`${op}: a ${x.dtype} tensor holds blocks: dequantize it first`);
  }
}

function copied(x: Tensor, dtype: DType): Tensor {
  const out = empty(x.shape, { dtype, device: x.device });
  kernels.copy(out.handle, x.handle);
  return out;
}

/**
 * The same numbers in another format. Gives `x` itself if it has that format, unless `copy` is set. To i32 and u8,
 * numbers are truncated toward zero and saturate; to bool, they become whether they differ from zero.
 */
export function cast(x: Tensor, dtype: DType, options: { copy?: boolean } = {}): Tensor {
  plain('cast', x);
  if (x.dtype === dtype && !options.copy) return x;
  const out = copied(x, dtype);
  if (!isFloat(dtype) || !isFloat(x.dtype)) return out;
  return record(out, [x, (grad) => cast(grad, x.dtype as DType)]);
}

/** The same tensor with its elements side by side, row by row: `x` itself where they already are. */
export function contiguous(x: Tensor): Tensor {
  if (x.contiguous) return x;
  plain('contiguous', x);
  return record(copied(x, x.dtype as DType), [x, (grad) => grad]);
}

/**
 * The same numbers on another device, blocks included; `x` itself where they already are. The copy runs behind what has
 * been queued for `x`; only ops that use the copy wait for it.
 *
 * @throws Error if the device is not known or cannot be used.
 */
export function toDevice(x: Tensor, to: string | Device): Tensor {
  const device = deviceOf(to);
  if (x.device === device) return x;
  const from = contiguous(x);
  const out = empty(x.shape, { dtype: x.dtype, device });
  if (x.size > 0) native.transfer(out.handle, from.handle);
  return record(out, [x, (grad) => toDevice(grad, x.device)]);
}

/** A zeroed tensor like `x`: where gradients are added up. */
export function zerosLike(x: Tensor): Tensor {
  const out = empty(x.shape, { dtype: x.dtype, device: x.device });
  kernels.fill(out.handle, 0);
  return out;
}

/** The part [start, start + size) of one axis, as a view that no gradient follows. */
export function part(x: Tensor, axis: number, start: number, size: number): Tensor {
  const shape = x.shape.map((length, i) => (i === axis ? size : length));
  return viewOf(x, shape, x.strides, start * x.strides[axis]!);
}

/**
 * Joins tensors along an axis; their other sizes are equal.
 *
 * @throws RangeError if shapes do not fit, TypeError if formats or devices differ.
 */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (!first) throw new RangeError('concat: takes at least one tensor');
  const along = axisOf('concat', first, axis);
  const device = sameDevice('concat', first, ...tensors);
  plain('concat', ...tensors);
  let total = 0;
  for (const x of tensors) {
    if (x.dtype !== first.dtype) throw new TypeError(`concat: formats differ: ${first.dtype} and ${x.dtype}`);
    if (x.rank !== first.rank || x.shape.some((size, i) => i !== along && size !== first.shape[i])) {
      throw new RangeError(
        `concat: shapes differ off axis ${along}: ${describe(first.shape)} and ${describe(x.shape)}`,
      );
    }
    total += x.shape[along]!;
  }
  const shape = first.shape.map((size, i) => (i === along ? total : size));
  const out = empty(shape, { dtype: first.dtype, device });
  const starts: number[] = [];
  let start = 0;
  for (const x of tensors) {
    starts.push(start);
    if (x.size > 0) {
      using into = part(out, along, start, x.shape[along]!);
      kernels.copy(into.handle, x.handle);
    }
    start += x.shape[along]!;
  }
  return recordJoint(out, tensors, (grad, needed) =>
    tensors.map((x, i) => (needed[i] ? part(grad, along, starts[i]!, x.shape[along]!) : undefined)),
  );
}

/** Joins tensors of one shape along a new axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (!first) throw new RangeError('stack: takes at least one tensor');
  const along = axis < 0 ? first.rank + 1 + axis : axis;
  if (!Number.isInteger(along) || along < 0 || along > first.rank) {
    throw new RangeError(`stack: axis ${axis} for tensors ${describe(first.shape)}`);
  }
  const device = sameDevice('stack', first, ...tensors);
  plain('stack', ...tensors);
  const out = empty(first.shape.toSpliced(along, 0, tensors.length), { dtype: first.dtype, device });
  const layer = (of: Tensor, i: number): Tensor =>
    viewOf(of, first.shape, of.strides.toSpliced(along, 1), i * of.strides[along]!);
  for (const [i, x] of tensors.entries()) {
    if (x.dtype !== first.dtype) throw new TypeError(`stack: formats differ: ${first.dtype} and ${x.dtype}`);
    if (describe(x.shape) !== describe(first.shape)) {
      throw new RangeError(`stack: shapes differ: ${describe(first.shape)} and ${describe(x.shape)}`);
    }
    if (x.size === 0) continue;
    using into = layer(out, i);
    kernels.copy(into.handle, x.handle);
  }
  return recordJoint(out, tensors, (grad, needed) => tensors.map((_, i) => (needed[i] ? layer(grad, i) : undefined)));
}

function checkIndex(op: string, x: Tensor, index: Tensor, along: number): void {
  sameDevice(op, x, index);
  integers(op, 'index', index);
  plain(op, x);
  const fits = index.rank === x.rank && index.shape.every((size, i) => i === along || size <= x.shape[i]!);
  if (!fits)
    throw new RangeError(`${op}: an index ${describe(index.shape)} into ${describe(x.shape)} along axis ${along}`);
}

/**
 * Picks along an axis: `out[i][j] = x[i][index[i][j]]` for axis 1 of two. `index` is i32, has `x`'s rank, and is nowhere
 * larger than `x` but along the axis.
 *
 * @throws RangeError if the shapes do not fit. An index outside the axis fails at the `await`.
 */
export function gather(x: Tensor, axis: number, index: Tensor): Tensor {
  const along = axisOf('gather', x, axis);
  checkIndex('gather', x, index, along);
  const out = empty(index.shape, { dtype: x.dtype, device: x.device });
  kernels.gather(out.handle, x.handle, index.handle, along);
  return record(out, [
    x,
    (grad) => {
      const dx = zerosLike(x);
      kernels.scatterAdd(dx.handle, grad.handle, index.handle, along);
      return dx;
    },
  ]);
}

/**
 * `x` with `source` added along an axis: `out[i][index[i][j]] += source[i][j]` for axis 1 of two. Equal indices add up,
 * in their order.
 *
 * @throws RangeError if the shapes do not fit. An index outside the axis fails at the `await`.
 */
export function scatterAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  const along = axisOf('scatterAdd', x, axis);
  checkIndex('scatterAdd', x, index, along);
  sameDevice('scatterAdd', x, source);
  if (
    isFloat(x.dtype) !== isFloat(source.dtype) ||
    !(isFloat(x.dtype) || (x.dtype === 'i32' && source.dtype === 'i32'))
  ) {
    throw new TypeError(`scatterAdd: adds floats to floats or i32 to i32, got ${source.dtype} to ${x.dtype}`);
  }
  if (describe(index.shape) !== describe(source.shape)) {
    throw new RangeError(
      `scatterAdd: shapes differ: index ${describe(index.shape)} and source ${describe(source.shape)}`,
    );
  }
  const out = copied(x, x.dtype as DType);
  kernels.scatterAdd(out.handle, source.handle, index.handle, along);
  return record(
    out,
    [x, (grad) => grad],
    [source, (grad) => scope(() => cast(gather(grad, along, index), source.dtype as DType))],
  );
}
