// Elementwise functions of one tensor, with their gradients.
import { record } from '../core/autograd.js';
import { type Handle, kernels } from '../core/native.js';
import { scope } from '../core/scope.js';
import { empty, type Tensor } from '../core/tensor.js';
import { less, lessEqual, mul, where } from './binary.js';
import { floats } from './checks.js';
import { contiguous } from './copy.js';

export {
  add,
  div,
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  maximum,
  minimum,
  mul,
  sub,
  where,
} from './binary.js';

type Unary =
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'relu'
  | 'softplus'
  | 'silu'
  | 'gelu'
  | 'geluTanh';
type UnaryBackward = 'siluBackward' | 'geluBackward' | 'geluTanhBackward';

function mapped(x: Tensor, kernel: (out: Handle, x: Handle) => void): Tensor {
  const out = empty(x.shape, { dtype: x.dtype, device: x.device });
  kernel(out.handle, x.handle);
  return out;
}

/** `slope(x, out, grad)` is the gradient of x; what it makes on the way is freed. */
function unary(kernel: Unary, input: Tensor, slope: (x: Tensor, out: Tensor, grad: Tensor) => Tensor): Tensor {
  floats(kernel, input);
  const x = contiguous(input);
  const out = mapped(x, kernels[kernel]);
  return record(out, [x, (grad) => scope(() => slope(x, out, grad))]);
}

/** An activation whose slope has a kernel of its own. */
function activation(kernel: Unary, backward: UnaryBackward, input: Tensor): Tensor {
  return unary(kernel, input, (x, _, grad) =>
    mapped(x, (dx, handle) => kernels[backward](dx, contiguous(grad).handle, handle)),
  );
}

/** `-x`; of floating-point or i32 numbers. */
export function neg(input: Tensor): Tensor {
  if (input.dtype !== 'i32') floats('neg', input);
  return record(mapped(contiguous(input), kernels.neg), [input, neg]);
}

/** `|x|`; of floating-point or i32 numbers. The slope at 0 is 0. */
export function abs(input: Tensor): Tensor {
  if (input.dtype !== 'i32') floats('abs', input);
  const x = contiguous(input);
  const rule = (grad: Tensor): Tensor => scope(() => where(less(0, x), grad, where(less(x, 0), neg(grad), 0)));
  return record(mapped(x, kernels.abs), [x, rule]);
}

/** `e^x`. */
export const exp = (x: Tensor): Tensor => unary('exp', x, (_, out, grad) => mul(grad, out));

/** The natural logarithm; NaN below 0. */
export const log = (x: Tensor): Tensor => unary('log', x, (x, _, grad) => mul(grad, power(x, -1)));

/** The square root; NaN below 0. */
export const sqrt = (x: Tensor): Tensor =>
  unary('sqrt', x, (_, out, grad) => mul(affine(grad, 0.5, 0), power(out, -1)));

/** `1 / √x`. */
export const rsqrt = (x: Tensor): Tensor =>
  unary('rsqrt', x, (_, out, grad) => mul(affine(grad, -0.5, 0), power(out, 3)));

export const sin = (x: Tensor): Tensor => unary('sin', x, (x, _, grad) => mul(grad, cos(x)));

export const cos = (x: Tensor): Tensor => unary('cos', x, (x, _, grad) => mul(grad, neg(sin(x))));

export const tanh = (x: Tensor): Tensor => unary('tanh', x, (_, out, grad) => mul(grad, affine(mul(out, out), -1, 1)));

/** `1 / (1 + e^-x)`. */
export const sigmoid = (x: Tensor): Tensor =>
  unary('sigmoid', x, (_, out, grad) => mul(grad, mul(out, affine(out, -1, 1))));

/** `x` above 0, else 0. The slope at 0 is 0. */
export const relu = (x: Tensor): Tensor => unary('relu', x, (x, _, grad) => where(less(0, x), grad, 0));

/** `ln(1 + e^x)`. */
export const softplus = (x: Tensor): Tensor => unary('softplus', x, (x, _, grad) => mul(grad, sigmoid(x)));

/** `x · sigmoid(x)`, also called swish. */
export const silu = (x: Tensor): Tensor => activation('silu', 'siluBackward', x);

/** `x · Φ(x)`, Φ being the normal distribution (Hendrycks and Gimpel, 2016). */
export const gelu = (x: Tensor): Tensor => activation('gelu', 'geluBackward', x);

/** GELU's approximation by tanh: `x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`. */
export const geluTanh = (x: Tensor): Tensor => activation('geluTanh', 'geluTanhBackward', x);

/** `x · scale + shift`. */
export function affine(input: Tensor, scale: number, shift: number): Tensor {
  floats('affine', input);
  const out = mapped(contiguous(input), (out, x) => kernels.affine(out, x, scale, shift));
  return record(out, [input, (grad) => (scale === 1 ? grad : affine(grad, scale, 0))]);
}

/** `x ^ exponent`. */
export function power(input: Tensor, exponent: number): Tensor {
  floats('power', input);
  const x = contiguous(input);
  const out = mapped(x, (out, x) => kernels.power(out, x, exponent));
  return record(out, [x, (grad) => scope(() => mul(affine(grad, exponent, 0), power(x, exponent - 1)))]);
}

/**
 * Bounds every number to `[low, high]`; either bound may be infinite. NaN stays. The slope is 1 inside, bounds included,
 * and 0 outside.
 *
 * @throws RangeError if `low` is above `high`.
 */
export function clamp(input: Tensor, low: number, high: number): Tensor {
  floats('clamp', input);
  if (!(low <= high)) throw new RangeError(`clamp: low ${low} is not below high ${high}`);
  const x = contiguous(input);
  const out = mapped(x, (out, x) => kernels.clamp(out, x, low, high));
  return record(out, [x, (grad) => scope(() => where(lessEqual(low, x), where(lessEqual(x, high), grad, 0), 0))]);
}
