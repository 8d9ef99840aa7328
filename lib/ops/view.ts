// Views: other shapes over the same storage. No bytes move, but for a reshape that strides cannot express.
import { record } from '../core/autograd.js';
import { kernels } from '../core/native.js';
import { checkShape, type Shape, sizeOf, stridesOf, type Tensor, viewOf } from '../core/tensor.js';
import { axisOf, describe } from './checks.js';
import { contiguous, part, plain, zerosLike } from './copy.js';
import { sumTo } from './reduce.js';

/**
 * The same elements, row by row, in another shape; one size may be -1 and is worked out. Copies where `x`'s strides
 * cannot express the shape.
 *
 * @throws RangeError if the sizes' products differ.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const wanted = resolved(x, shape);
  plain('reshape', x);
  const dense = contiguous(x);
  const out = viewOf(dense, wanted, stridesOf(wanted));
  return record(out, [dense, (grad) => reshape(grad, dense.shape)]);
}

function resolved(x: Tensor, shape: Shape): number[] {
  const open = shape.indexOf(-1);
  const known = sizeOf(shape.filter((_, i) => i !== open));
  const wanted = shape.map((size, i) => (i === open ? (known > 0 ? x.size / known : 0) : size));
  if (!wanted.every(Number.isInteger) || sizeOf(wanted) !== x.size) {
    throw new RangeError(`reshape: ${describe(x.shape)} to ${describe(shape)}`);
  }
  checkShape('reshape', wanted);
  return wanted;
}

/** Reorders the axes: axis `i` of the result is axis `order[i]` of `x`. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  plain('permute', x);
  const axes = order.map((axis) => axisOf('permute', x, axis));
  if (axes.length !== x.rank || new Set(axes).size !== x.rank) {
    throw new RangeError(`permute: [${order}] is no order of the axes of ${describe(x.shape)}`);
  }
  const out = viewOf(
    x,
    axes.map((axis) => x.shape[axis]!),
    axes.map((axis) => x.strides[axis]!),
  );
  const back = axes.map((_, i) => axes.indexOf(i));
  return record(out, [x, (grad) => permute(grad, back)]);
}

/** Swaps two axes; by default the last two. */
export function transpose(x: Tensor, axisA = -2, axisB = -1): Tensor {
  const a = axisOf('transpose', x, axisA);
  const b = axisOf('transpose', x, axisB);
  return permute(
    x,
    x.shape.map((_, i) => (i === a ? b : i === b ? a : i)),
  );
}

/**
 * The part `[start, end)` of an axis; negative bounds count from its end.
 *
 * @throws RangeError if the bounds are outside the axis or in the wrong order.
 */
export function slice(x: Tensor, axis: number, start: number, end?: number): Tensor {
  plain('slice', x);
  const along = axisOf('slice', x, axis);
  const size = x.shape[along]!;
  const from = start < 0 ? size + start : start;
  const to = end === undefined ? size : end < 0 ? size + end : end;
  if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= size)) {
    throw new RangeError(`slice: [${start}, ${end ?? size}) of axis ${along} of ${describe(x.shape)}`);
  }
  return record(part(x, along, from, to - from), [
    x,
    (grad) => {
      const dx = zerosLike(x);
      if (grad.size > 0) {
        using into = part(dx, along, from, to - from);
        kernels.copy(into.handle, grad.handle);
      }
      return dx;
    },
  ]);
}

/** One index of an axis, which goes away; a negative index counts from the axis's end. */
export function select(x: Tensor, axis: number, index: number): Tensor {
  const along = axisOf('select', x, axis);
  const size = x.shape[along]!;
  const at = index < 0 ? size + index : index;
  if (!Number.isInteger(at) || at < 0 || at >= size) {
    throw new RangeError(`select: index ${index} of axis ${along} of ${describe(x.shape)}`);
  }
  return squeeze(slice(x, along, at, at + 1), along);
}

/** Cuts an axis into parts: of one size (the last may be smaller), or of the given sizes, which add up to the axis. */
export function split(x: Tensor, sizes: number | readonly number[], axis = 0): Tensor[] {
  const along = axisOf('split', x, axis);
  const size = x.shape[along]!;
  let list = sizes;
  if (typeof list === 'number') {
    const each = list;
    if (!Number.isInteger(each) || each < 1) throw new RangeError(`split: parts of ${each}`);
    list = Array.from({ length: Math.ceil(size / each) }, (_, i) => Math.min(each, size - i * each));
  }
  const total = list.reduce((sum, n) => sum + n, 0);
  if (total !== size) throw new RangeError(`split: sizes [${list}] of axis ${along} of ${describe(x.shape)}`);
  let start = 0;
  return list.map((n) => {
    start += n;
    return slice(x, along, start - n, start);
  });
}

/** Repeats axes of size 1, and leading axes that `x` lacks, to fill `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  plain('expand', x);
  checkShape('expand', shape);
  const out = broadcastView('expand', x, shape);
  return record(out, [x, (grad) => sumTo(grad, x)]);
}

/** `x` over a larger shape, by strides of 0; no gradient follows it. */
export function broadcastView(op: string, x: Tensor, shape: Shape): Tensor {
  const added = shape.length - x.rank;
  const fits = added >= 0 && x.shape.every((size, i) => size === 1 || size === shape[added + i]);
  if (!fits) throw new RangeError(`${op}: ${describe(x.shape)} does not broadcast to ${describe(shape)}`);
  const strides = shape.map((size, i) =>
    i < added || (x.shape[i - added] === 1 && size !== 1) ? 0 : x.strides[i - added]!,
  );
  return viewOf(x, shape, strides);
}

/** Takes away an axis of size 1, or all of them. */
export function squeeze(x: Tensor, axis?: number): Tensor {
  plain('squeeze', x);
  const along = axis === undefined ? undefined : axisOf('squeeze', x, axis);
  if (along !== undefined && x.shape[along] !== 1) {
    throw new RangeError(`squeeze: axis ${along} of ${describe(x.shape)} is not of size 1`);
  }
  const kept = x.shape.flatMap((size, i) => ((along === undefined ? size === 1 : i === along) ? [] : [i]));
  const out = viewOf(
    x,
    kept.map((i) => x.shape[i]!),
    kept.map((i) => x.strides[i]!),
  );
  return record(out, [x, (grad) => reshape(grad, x.shape)]);
}

/** Adds an axis of size 1; a negative axis counts from the end of the result. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  plain('unsqueeze', x);
  const along = axis < 0 ? x.rank + 1 + axis : axis;
  if (!Number.isInteger(along) || along < 0 || along > x.rank) {
    throw new RangeError(`unsqueeze: axis ${axis} for a tensor ${describe(x.shape)}`);
  }
  const out = viewOf(x, x.shape.toSpliced(along, 0, 1), x.strides.toSpliced(along, 0, 1));
  return record(out, [x, (grad) => reshape(grad, x.shape)]);
}
