// Products of rows with one matrix for each group of them, such as the experts of a mixture; where groups begin is on the
// device, so that a call may be recorded.
import { record } from '../core/autograd.js';
import { type DType, widerFloat } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { finish, rowsInCall, type Steps } from '../core/steps.js';
import { empty, type Tensor, viewOf } from '../core/tensor.js';
import { describe, floats, integers, sameDevice, sameShape } from './checks.js';
import { cast, contiguous, part } from './copy.js';
import { full } from './random.js';

export interface GroupedMatmulOptions {
  /** `[groups, n]`, added to each row of its group. */
  bias?: Tensor | undefined;
  /** In the result's shape, added at last. */
  residual?: Tensor | undefined;
  /** Takes `b` as `[groups, n, k]`. */
  transposeB?: boolean;
  /** Of the products, without bias and residual. Default 1. */
  scale?: number | undefined;
}

/**
 * `scale · x b[g] + bias[g] + residual`, `g` being a row's group: `x [rows, k]`, `b [groups, k, n]` → `[rows, n]`.
 * `segments` i32 `[groups + 1]` says where each group's rows begin, and the end of the last; every row is in one.
 *
 * @throws RangeError if the sizes do not match. Segments that do not rise, or leave rows out, fail at the `await`.
 */
export const groupedMatmul = (x: Tensor, b: Tensor, segments: Tensor, options: GroupedMatmulOptions = {}): Tensor =>
  finish(groupedMatmulSteps(x, b, segments, options));

/** The same, and its gradients, in steps. */
export function* groupedMatmulSteps(
  x: Tensor,
  b: Tensor,
  segments: Tensor,
  options: GroupedMatmulOptions = {},
): Steps<Tensor> {
  const { bias, residual, transposeB = false, scale = 1 } = options;
  const device = sameDevice('groupedMatmul', x, b, segments, bias, residual);
  floats('groupedMatmul', x, b, bias, residual);
  integers('groupedMatmul', 'segments', segments);
  if (x.rank !== 2 || b.rank !== 3 || x.dim(1) !== b.dim(transposeB ? 2 : 1)) {
    const expected = transposeB ? '[groups,n,k]' : '[groups,k,n]';
    throw new RangeError(
      `groupedMatmul: x [rows,k] and b ${expected} do not fit: ${describe(x.shape)} and ${describe(b.shape)}`,
    );
  }
  const groups = b.dim(0);
  const shape = [x.dim(0), b.dim(transposeB ? 1 : 2)];
  checkSegments('groupedMatmul', segments, groups);
  if (bias && !sameShape(bias.shape, [groups, shape[1]!])) {
    throw new RangeError(`groupedMatmul: bias must be [${groups},${shape[1]}], got ${describe(bias.shape)}`);
  }
  if (residual && !sameShape(residual.shape, shape)) {
    throw new RangeError(`groupedMatmul: residual must be ${describe(shape)}, got ${describe(residual.shape)}`);
  }
  const operands = widerFloat(x.dtype, b.dtype);
  const out = empty(shape, { dtype: residual ? widerFloat(operands, residual.dtype) : operands, device });
  using right = oriented(b, transposeB);
  yield* multiply(out, x, right, { segments, bias, residual, scale });
  return record(
    out,
    [x, (grad) => groupedMatmulSteps(cast(grad, x.dtype as DType), b, segments, { transposeB: !transposeB, scale })],
    [
      b,
      (grad) => {
        const [rows, cols] = transposeB ? [grad, x] : [x, grad];
        return groupedOuter(rows, cols, segments, { scale, dtype: b.dtype as DType });
      },
    ],
    ...(bias ? [[bias, (grad: Tensor) => groupedSum(grad, segments, bias)] as const] : []),
    ...(residual ? [[residual, (grad: Tensor) => cast(grad, residual.dtype as DType)] as const] : []),
  );
}

/** A view of `[groups, k, n]`. */
function oriented(b: Tensor, transposed: boolean): Tensor {
  const [groups, rows, cols] = b.shape as [number, number, number];
  const [outer, down, across] = b.strides as [number, number, number];
  return transposed ? viewOf(b, [groups, cols, rows], [outer, across, down]) : viewOf(b, b.shape, b.strides);
}

interface Multiplied {
  segments: Tensor;
  bias: Tensor | undefined;
  residual: Tensor | undefined;
  scale: number;
}

function* multiply(out: Tensor, x: Tensor, b: Tensor, { segments, bias, residual, scale }: Multiplied): Steps<void> {
  if (out.size === 0) return;
  const [rows, starts] = [contiguous(x), contiguous(segments)];
  const [added, plus] = [bias && contiguous(bias), residual && contiguous(residual)];
  const some = rowsInCall(out.device, out.dim(0), b.dim(1) * b.dim(2));
  for (let first = 0; first < out.dim(0); first += some) {
    if (first > 0) yield;
    const count = Math.min(some, out.dim(0) - first);
    using to = part(out, 0, first, count);
    using from = part(rows, 0, first, count);
    using over = plus && part(plus, 0, first, count);
    kernels.groupedMatmul(
      to.handle,
      from.handle,
      b.handle,
      added?.handle ?? null,
      over?.handle ?? null,
      starts.handle,
      first,
      scale,
    );
  }
}

/**
 * For each group the products of its rows: `scale · Σ a[row]ᵀ b[row]`, `a [rows, m]`, `b [rows, n]` → `[groups, m, n]`;
 * zeros for a group without rows. It has no gradient.
 *
 * @throws RangeError if the sizes do not match.
 */
export function groupedOuter(
  a: Tensor,
  b: Tensor,
  segments: Tensor,
  options: { scale?: number; dtype?: DType } = {},
): Tensor {
  const device = sameDevice('groupedOuter', a, b, segments);
  floats('groupedOuter', a, b);
  integers('groupedOuter', 'segments', segments);
  if (a.rank !== 2 || b.rank !== 2 || a.dim(0) !== b.dim(0) || segments.rank !== 1 || segments.size < 2) {
    const shapes = [a, b, segments].map((x) => describe(x.shape)).join(', ');
    throw new RangeError(`groupedOuter: a [rows,m], b [rows,n] and segments [groups + 1] do not fit: ${shapes}`);
  }
  const { scale = 1, dtype = widerFloat(a.dtype, b.dtype) } = options;
  const out = empty([segments.size - 1, a.dim(1), b.dim(1)], { dtype, device });
  if (out.size > 0) {
    const inputs = [a, b, segments].map(contiguous);
    kernels.groupedOuter(out.handle, inputs[0]!.handle, inputs[1]!.handle, inputs[2]!.handle, scale);
  }
  return out;
}

/** The sum of each group's rows, as `like [groups, n]`. */
function groupedSum(grad: Tensor, segments: Tensor, like: Tensor): Tensor {
  const ones = full([grad.dim(0), 1], 1, { dtype: grad.dtype as DType, device: grad.device });
  const sums = groupedOuter(ones, grad, segments, { dtype: like.dtype as DType });
  ones.dispose();
  return viewOf(sums, like.shape, [sums.strides[0]!, 1]);
}

function checkSegments(op: string, segments: Tensor, groups: number): void {
  if (!sameShape(segments.shape, [groups + 1]))
    throw new RangeError(
      `${op}: segments must be [${groups + 1}] for ${groups} groups, got ${describe(segments.shape)}`,
    );
}
