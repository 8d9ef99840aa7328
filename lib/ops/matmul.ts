// Matrix products: batched, broadcast, with transposed operands as views. Sums are f32 whatever the formats.
import { type Rule, record, willRecord } from '../core/autograd.js';
import { type DType, widerFloat } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { finish, rowsInCall, type Steps } from '../core/steps.js';
import { empty, type Shape, sizeOf, type Tensor, viewOf } from '../core/tensor.js';
import { describe, floats, sameDevice, sameShape } from './checks.js';
import { cast, contiguous } from './copy.js';
import { add, gelu, geluTanh, silu } from './elementwise.js';
import { sumTo } from './reduce.js';

export interface MatmulOptions {
  /** `[n]`, added to every row. */
  bias?: Tensor | undefined;
  /** Of the sums with the bias. */
  activation?: Activation | undefined;
  /** In the result's shape, added at last. */
  residual?: Tensor | undefined;
  /** Takes `a` as `[.., k, m]`. */
  transposeA?: boolean;
  /** Takes `b` as `[.., n, k]`. */
  transposeB?: boolean;
  /** The result's format. Default: that of the operands and the residual if they agree, else f32. */
  dtype?: DType;
}

const activations = { silu, gelu, geluTanh };

export type Activation = keyof typeof activations;

/** In the order of the kernels' own list, where 0 is none. */
const activationNames = Object.keys(activations) as Activation[];

/**
 * Matrix product: `activation([.., m, k] × [.., k, n] + bias) + residual → [.., m, n]`, in one kernel. The leading axes
 * of the operands are broadcast against each other.
 *
 * @throws RangeError if the inner sizes differ, if the leading axes do not match, if `bias` is not `[n]`, if `residual`
 *   has not the result's shape, or if the activation is not known.
 */
export const matmul = (a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor => finish(matmulSteps(a, b, options));

/** The same, and its gradients, in steps. */
export function* matmulSteps(a: Tensor, b: Tensor, options: MatmulOptions = {}): Steps<Tensor> {
  const { bias, activation, residual, transposeA = false, transposeB = false } = options;
  if (activation && !activationNames.includes(activation)) {
    throw new RangeError(`matmul: activation must be one of ${activationNames.join(', ')}, got ${activation}`);
  }
  const device = sameDevice('matmul', a, b, bias, residual);
  floats('matmul', a, b, bias, residual);
  if (a.rank < 2 || b.rank < 2) {
    throw new RangeError(`matmul: takes matrices, got ${describe(a.shape)} × ${describe(b.shape)}`);
  }
  const left = transposeA ? transposed(a) : a;
  const right = transposeB ? transposed(b) : b;
  if (left.dim(-1) !== right.dim(-2)) {
    throw new RangeError(`matmul: inner sizes differ: ${describe(left.shape)} × ${describe(right.shape)}`);
  }
  const rows = left.dim(-2);
  const cols = right.dim(-1);
  if (bias && !sameShape(bias.shape, [cols])) {
    throw new RangeError(`matmul: bias must be [${cols}], got ${describe(bias.shape)}`);
  }
  const shape = [...broadcast(left.shape, right.shape), rows, cols];
  if (residual && !sameShape(residual.shape, shape)) {
    throw new RangeError(`matmul: residual must be ${describe(shape)}, got ${describe(residual.shape)}`);
  }
  const operands = widerFloat(a.dtype, b.dtype);
  const dtype = options.dtype ?? (residual ? widerFloat(operands, residual.dtype) : operands);
  if (activation && willRecord(a, b, bias)) {
    // The slope is that of what enters the activation, which a fused call would not keep.
    const active = activations[activation](yield* matmulSteps(a, b, { bias, transposeA, transposeB, dtype: 'f32' }));
    return cast(residual ? add(active, residual) : active, dtype);
  }
  const out = empty(shape, { dtype, device });
  const added = residual && contiguous(residual);
  yield* multiply(out, left, right, { bias, residual: added, activation });
  if (added && added !== residual) added.dispose();
  release(a, left);
  release(b, right);

  return record(
    out,
    // With c = a b: da = dc b' and db = a' dc; the gradient of a transposed operand is the transpose.
    [a, (grad) => (transposeA ? gradientOf(a, b, grad, transposeB, true) : gradientOf(a, grad, b, false, !transposeB))],
    [b, (grad) => (transposeB ? gradientOf(b, grad, a, true, transposeA) : gradientOf(b, a, grad, !transposeA, false))],
    ...[bias, residual]
      .filter((x) => x !== undefined)
      .map((x) => [x, (grad) => sumTo(grad, x)] as const satisfies readonly [Tensor, Rule]),
  );
}

export type LinearOptions = Pick<MatmulOptions, 'bias' | 'activation' | 'residual'>;

/**
 * A linear layer: `activation(x W' + bias) + residual`; `x [.., in]`, `weight [out, in]`, `bias [out]`, `residual` as
 * the result → `[.., out]`.
 *
 * @throws RangeError if the sizes do not match.
 */
export const linear = (x: Tensor, weight: Tensor, options?: LinearOptions): Tensor =>
  finish(linearSteps(x, weight, options));

/** The same, and its gradients, in steps. */
export function linearSteps(x: Tensor, weight: Tensor, options: LinearOptions = {}): Steps<Tensor> {
  if (x.rank < 2 || weight.rank !== 2 || x.dim(-1) !== weight.dim(-1)) {
    throw new RangeError(`linear: x ${describe(x.shape)} does not fit a weight [out,in] of ${describe(weight.shape)}`);
  }
  return matmulSteps(x, weight, { ...options, transposeB: true });
}

/** The product of `left` and `right`, summed over what was broadcast, in the shape and format of `like`. */
function* gradientOf(
  like: Tensor,
  left: Tensor,
  right: Tensor,
  transposeLeft: boolean,
  transposeRight: boolean,
): Steps<Tensor> {
  const own = like.shape.slice(0, -2);
  const sameBatch = sameShape(left.shape.slice(0, -2), right.shape.slice(0, -2));
  // One matrix met all the batches (a layer's weight): the sum over batches is a product with a longer inner axis.
  const joined = transposeLeft && !transposeRight && sameBatch && sizeOf(own) === 1;
  const x = joined ? rowsOf(left) : left;
  const y = joined ? rowsOf(right) : right;
  const a = transposeLeft ? transposed(x) : x;
  const b = transposeRight ? transposed(y) : y;
  const batch = broadcast(a.shape, b.shape);
  let out: Tensor;
  if (joined || sameShape(batch, own)) {
    out = empty(like.shape, { dtype: like.dtype, device: like.device });
    yield* multiply(out, a, b);
  } else {
    using full = empty([...batch, ...like.shape.slice(-2)], { device: like.device });
    yield* multiply(full, a, b);
    out = sumTo(full, like);
  }
  release(x, a);
  release(y, b);
  release(left, x);
  release(right, y);
  return out;
}

// [batch.., m, n] as [batch.. m, n].
function rowsOf(x: Tensor): Tensor {
  if (x.rank === 2) return x;
  const source = contiguous(x);
  const rows = viewOf(source, [sizeOf(x.shape.slice(0, -1)), x.dim(-1)], [x.dim(-1), 1]);
  release(x, source);
  return rows;
}

function* multiply(out: Tensor, a: Tensor, b: Tensor, epilogue: LinearOptions = {}): Steps<void> {
  const { bias, residual } = epilogue;
  const activation = epilogue.activation ? 1 + activationNames.indexOf(epilogue.activation) : 0;
  if (out.size === 0) return;
  const left = expanded(a, out.shape);
  const right = expanded(b, out.shape);
  const rows = out.dim(-2);
  const some = out.rank === 2 ? rowsInCall(out.device, rows, a.dim(-1) * out.dim(-1)) : rows;
  for (let row = 0; row < rows; row += some) {
    if (row > 0) yield;
    const to = someRows(out, row, some);
    const from = someRows(left, row, some);
    const added = residual && someRows(residual, row, some);
    kernels.matmul(to.handle, from.handle, right.handle, bias?.handle ?? null, added?.handle ?? null, activation);
    release(out, to);
    release(left, from);
    if (residual && added) release(residual, added);
  }
  release(a, left);
  release(b, right);
}

// `count` rows of a matrix, or those that are left.
function someRows(x: Tensor, row: number, count: number): Tensor {
  const rows = x.dim(-2);
  if (count >= rows) return x;
  return viewOf(x, [Math.min(count, rows - row), x.dim(1)], x.strides, row * x.strides[0]!);
}

// A view with the batch axes of `shape`, repeating by strides of 0.
function expanded(x: Tensor, shape: Shape): Tensor {
  const batch = shape.slice(0, -2);
  if (sameShape(x.shape.slice(0, -2), batch)) return x;
  const missing = shape.length - x.rank;
  const strides = batch.map((_, i) => (i < missing || x.shape[i - missing] === 1 ? 0 : x.strides[i - missing]!));
  return viewOf(x, [...batch, x.dim(-2), x.dim(-1)], [...strides, ...x.strides.slice(-2)]);
}

function transposed(x: Tensor): Tensor {
  const swap = (list: Shape): number[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];
  return viewOf(x, swap(x.shape), swap(x.strides));
}

// Views made on the way hold the storage: drop each as soon as the call that needed it is queued.
function release(original: Tensor, view: Tensor): void {
  if (view !== original) view.dispose();
}

function broadcast(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length) - 2;
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i + a.length - 2 - rank] ?? 1;
    const y = b[i + b.length - 2 - rank] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new RangeError(`matmul: leading axes do not match: ${describe(a)} × ${describe(b)}`);
    }
    return x === 1 ? y : x;
  });
}
