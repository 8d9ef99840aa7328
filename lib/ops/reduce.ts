// Reductions over axes: sum, mean, variance, max, min; and the places of extremes along the last axis.
import { record } from '../core/autograd.js';
import { type AnyDType, isFloat } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { scope } from '../core/scope.js';
import { empty, type Shape, sizeOf, stridesOf, type Tensor, viewOf } from '../core/tensor.js';
import { axisOf, describe, floats, sameShape } from './checks.js';
import { cast, contiguous, plain } from './copy.js';

/** One axis, several, or (left out) all of them; negative ones count from the last. */
export type Axes = number | readonly number[] | undefined;

export interface ReduceOptions {
  /** Whether reduced axes stay, with size 1. Default: they go away. */
  keepDims?: boolean;
}

function axesOf(op: string, x: Tensor, axes: Axes): Set<number> {
  if (axes === undefined) return new Set(x.shape.keys());
  const list = typeof axes === 'number' ? [axes] : axes;
  const found = new Set(list.map((axis) => axisOf(op, x, axis)));
  if (found.size !== list.length) throw new RangeError(`${op}: an axis is named twice in [${list}]`);
  return found;
}

const reducedShape = (x: Tensor, axes: ReadonlySet<number>): number[] =>
  x.shape.map((size, i) => (axes.has(i) ? 1 : size));

/** Drops the reduced axes, unless they stay; `full` has just been made and is consumed. */
function shaped(full: Tensor, axes: ReadonlySet<number>, options: ReduceOptions): Tensor {
  if (options.keepDims || axes.size === 0) return full;
  using _ = full;
  return reshaped(
    full,
    full.shape.filter((_, i) => !axes.has(i)),
  );
}

/** A contiguous tensor in another shape of the same size; no gradient follows it. */
const reshaped = (x: Tensor, shape: Shape): Tensor => viewOf(x, shape, stridesOf(shape));

/** A reduced tensor, axes kept or not, repeated over `x`'s shape. */
function spread(reduced: Tensor, x: Tensor, axes: ReadonlySet<number>): Tensor {
  using dense = viewOf(contiguous(reduced), reducedShape(x, axes), stridesOf(reducedShape(x, axes)));
  return viewOf(
    dense,
    x.shape,
    dense.strides.map((stride, i) => (axes.has(i) ? 0 : stride)),
  );
}

/** The same with bytes of its own, in `x`'s format. */
function spreadOut(reduced: Tensor, x: Tensor, axes: ReadonlySet<number>): Tensor {
  using wide = spread(reduced, x, axes);
  const out = empty(x.shape, { dtype: x.dtype, device: x.device });
  kernels.copy(out.handle, wide.handle);
  return out;
}

function reduced(kernel: 'sum' | 'max' | 'min', x: Tensor, axes: ReadonlySet<number>, dtype: AnyDType): Tensor {
  const out = empty(reducedShape(x, axes), { dtype, device: x.device });
  kernels[kernel](out.handle, x.handle);
  return out;
}

const sumType = (x: Tensor): AnyDType => (isFloat(x.dtype) ? x.dtype : 'i32');

/** The sum over axes, added up in f32 or better; of i32, u8 and bool, an i32 sum. */
export function sum(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  plain('sum', x);
  const over = axesOf('sum', x, axes);
  const out = shaped(reduced('sum', x, over, sumType(x)), over, options);
  return record(out, [x, (grad) => spreadOut(grad, x, over)]);
}

/** The mean over axes. Of no elements, it is NaN. */
export function mean(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  floats('mean', x);
  const over = axesOf('mean', x, axes);
  const share = 1 / sizeOf(x.shape.filter((_, i) => over.has(i)));
  using total = reduced('sum', x, over, 'f32');
  const average = empty(total.shape, { dtype: x.dtype, device: x.device });
  kernels.affine(average.handle, total.handle, share, 0);
  return record(shaped(average, over, options), [
    x,
    (grad) => {
      using part = empty(reducedShape(x, over), { dtype: x.dtype, device: x.device });
      using dense = reshaped(contiguous(grad), part.shape);
      kernels.affine(part.handle, dense.handle, share, 0);
      return spreadOut(part, x, over);
    },
  ]);
}

/**
 * The variance over axes: the squared distances from the mean, added up and divided by their number less `correction`
 * (default 1). NaN where that leaves nothing.
 */
export function variance(x: Tensor, axes?: Axes, options: ReduceOptions & { correction?: number } = {}): Tensor {
  floats('variance', x);
  const over = axesOf('variance', x, axes);
  const count = sizeOf(x.shape.filter((_, i) => over.has(i)));
  const divisor = Math.max(count - (options.correction ?? 1), 0);
  // Distances from the mean, in f32: squares of the numbers themselves would cancel.
  const centred = (): Tensor => {
    using average = reduced('sum', x, over, 'f32');
    kernels.affine(average.handle, average.handle, 1 / count, 0);
    using wide = spread(average, x, over);
    const out = empty(x.shape, { dtype: 'f32', device: x.device });
    kernels.sub(out.handle, x.handle, wide.handle);
    return out;
  };
  using squares = centred();
  kernels.mul(squares.handle, squares.handle, squares.handle);
  using total = reduced('sum', squares, over, 'f32');
  const out = empty(total.shape, { dtype: x.dtype, device: x.device });
  kernels.affine(out.handle, total.handle, 1 / divisor, 0);
  return record(shaped(out, over, options), [
    x,
    (grad) => {
      using distance = centred();
      kernels.affine(distance.handle, distance.handle, 2 / divisor, 0);
      using wide = spread(grad, x, over);
      const dx = empty(x.shape, { dtype: x.dtype, device: x.device });
      kernels.mul(dx.handle, distance.handle, wide.handle);
      return dx;
    },
  ]);
}

function extreme(kernel: 'max' | 'min', x: Tensor, axes: Axes, options: ReduceOptions): Tensor {
  plain(kernel, x);
  const over = axesOf(kernel, x, axes);
  if (x.shape.some((size, i) => size === 0 && over.has(i))) {
    throw new RangeError(`${kernel}: of no elements: ${describe(x.shape)}`);
  }
  const out = shaped(reduced(kernel, x, over, x.dtype), over, options);
  if (!isFloat(x.dtype)) return out;
  return record(out, [
    x,
    (grad) =>
      scope(() => {
        // Elements that tie for the extreme share its gradient.
        const ties = empty(x.shape, { dtype: 'f32', device: x.device });
        kernels.equal(ties.handle, x.handle, spread(out, x, over).handle);
        const portion = reduced('sum', ties, over, 'f32');
        kernels.div(portion.handle, reshaped(contiguous(grad), portion.shape).handle, portion.handle);
        const dx = empty(x.shape, { dtype: x.dtype, device: x.device });
        kernels.mul(dx.handle, ties.handle, spread(portion, x, over).handle);
        return dx;
      }),
  ]);
}

/**
 * The largest element over axes; NaN if there is one.
 *
 * @throws RangeError if there is no element to choose from.
 */
export function max(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return extreme('max', x, axes, options);
}

/**
 * The smallest element over axes; NaN if there is one.
 *
 * @throws RangeError if there is no element to choose from.
 */
export function min(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return extreme('min', x, axes, options);
}

function place(kernel: 'argmax' | 'argmin', x: Tensor, options: ReduceOptions): Tensor {
  plain(kernel, x);
  if (x.rank === 0 || x.dim(-1) === 0)
    throw new RangeError(`${kernel}: takes a last axis with elements, got ${describe(x.shape)}`);
  const over = new Set([x.rank - 1]);
  const out = empty(reducedShape(x, over), { dtype: 'i32', device: x.device });
  kernels[kernel](out.handle, x.handle);
  return shaped(out, over, options);
}

/** Where the largest element of the last axis is, as i32: the first of equal ones; a NaN counts as the largest. */
export const argmax = (x: Tensor, options: ReduceOptions = {}): Tensor => place('argmax', x, options);

/** Where the smallest element of the last axis is, as i32: the first of equal ones; a NaN counts as the smallest. */
export const argmin = (x: Tensor, options: ReduceOptions = {}): Tensor => place('argmin', x, options);

/**
 * The `k` largest elements of the last axis, the largest first: f32 `values` and i32 `places`, both `[.., k]`. Of equal
 * ones the first comes first; NaN counts as the largest. It has no gradient.
 *
 * @throws RangeError unless the last axis has `k` elements.
 */
export function topk(x: Tensor, k: number): { values: Tensor; places: Tensor } {
  floats('topk', x);
  if (!Number.isInteger(k) || k < 0 || x.rank === 0 || k > x.dim(-1))
    throw new RangeError(`topk: takes the ${k} largest of a last axis with as many elements, got ${describe(x.shape)}`);
  const shape = [...x.shape.slice(0, -1), k];
  const values = empty(shape, { device: x.device });
  const places = empty(shape, { dtype: 'i32', device: x.device });
  const rows = contiguous(x);
  kernels.topk(values.handle, places.handle, rows.handle);
  if (rows !== x) rows.dispose();
  return { values, places };
}

/** A gradient summed over the axes along which an input was broadcast, in the input's shape and format. */
export function sumTo(grad: Tensor, input: Tensor): Tensor {
  if (sameShape(grad.shape, input.shape)) return cast(grad, input.dtype as Parameters<typeof cast>[1]);
  const added = grad.rank - input.rank;
  const over = new Set(
    [...grad.shape.keys()].filter((i) => i < added || (input.shape[i - added] === 1 && grad.shape[i] !== 1)),
  );
  using out = reduced('sum', grad, over, input.dtype);
  return reshaped(out, input.shape);
}
