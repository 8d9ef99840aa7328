// Elementwise functions of two tensors, which broadcast: sizes are aligned from the last axis, and a size of 1 repeats.
// Either side may be a number.
import { recordJoint, willRecord } from '../core/autograd.js';
import { type AnyDType, isFloat, widerFloat } from '../core/dtype.js';
import { type Handle, kernels } from '../core/native.js';
import { scope } from '../core/scope.js';
import { empty, type Shape, type Tensor } from '../core/tensor.js';
import { describe, sameDevice, sameShape } from './checks.js';
import { sumTo } from './reduce.js';
import { broadcastView } from './view.js';

/** The shape to which all broadcast. @throws RangeError if there is none. */
export function broadcastShape(op: string, ...shapes: readonly Shape[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    let size = 1;
    for (const shape of shapes) {
      const own = shape[shape.length - rank + i] ?? 1;
      if (own === 1 || own === size) continue;
      if (size !== 1) throw new RangeError(`${op}: shapes do not broadcast: ${shapes.map(describe).join(' and ')}`);
      size = own;
    }
    return size;
  });
}

/** Runs `kernel` with the tensors seen in `shape`. */
function broadcast(op: string, shape: Shape, tensors: readonly Tensor[], kernel: (...handles: Handle[]) => void): void {
  const views = tensors.map((x) => (sameShape(x.shape, shape) ? x : broadcastView(op, x, shape)));
  kernel(...views.map((view) => view.handle));
  views.forEach((view, i) => {
    if (view !== tensors[i]) view.dispose();
  });
}

/** A number as a tensor of no axes beside `like`. */
function scalar(op: string, value: number, like: Tensor): Tensor {
  // In f32 beside 16-bit tensors too: the number is exact and the result keeps their format.
  if (!isFloat(like.dtype) && !Number.isInteger(value))
    throw new TypeError(`${op}: ${value} beside a tensor of ${like.dtype}`);
  const out = empty([], { dtype: isFloat(like.dtype) ? 'f32' : 'i32', device: like.device });
  kernels.fill(out.handle, value);
  return out;
}

type Arithmetic = 'add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum';
type Comparison = 'equal' | 'less' | 'lessEqual';

/** The format of a result. @throws TypeError unless both are floating-point, or both are i32. */
function commonType(op: string, a: Tensor, b: Tensor): AnyDType {
  if (isFloat(a.dtype) && isFloat(b.dtype)) return widerFloat(a.dtype, b.dtype);
  if (a.dtype === 'i32' && b.dtype === 'i32') return 'i32';
  throw new TypeError(`${op}: takes floating-point tensors, or i32 with i32, got ${a.dtype} and ${b.dtype}`);
}

type Rules = readonly [
  left: (grad: Tensor, a: Tensor, b: Tensor) => Tensor,
  right: (grad: Tensor, a: Tensor, b: Tensor) => Tensor,
];

function binary(op: Arithmetic, left: Tensor | number, right: Tensor | number, rules: Rules): Tensor {
  const { a, b, drop } = operands(op, left, right);
  const dtype = typeof left === 'number' ? b.dtype : typeof right === 'number' ? a.dtype : commonType(op, a, b);
  const shape = broadcastShape(op, a.shape, b.shape);
  const out = empty(shape, { dtype, device: a.device });
  broadcast(op, shape, [out, a, b], kernels[op]);
  return recordBoth(out, { a, b, drop }, rules);
}

/** Records the rules of two operands that were broadcast; without a gradient to record, what was made for them is freed. */
function recordBoth(out: Tensor, { a, b, drop }: ReturnType<typeof operands>, rules: Rules): Tensor {
  if (!willRecord(a, b)) {
    drop();
    return out;
  }
  return recordJoint(out, [a, b], (grad, needed) => [
    needed[0] ? scope(() => sumTo(rules[0](grad, a, b), a)) : undefined,
    needed[1] ? scope(() => sumTo(rules[1](grad, a, b), b)) : undefined,
  ]);
}

/** Both sides as tensors; `drop` frees the tensors made of numbers, which only a gradient needs after the call. */
function operands(
  op: string,
  left: Tensor | number,
  right: Tensor | number,
): { a: Tensor; b: Tensor; drop: () => void } {
  if (typeof left === 'number' && typeof right === 'number') throw new TypeError(`${op}: takes at least one tensor`);
  const a = typeof left === 'number' ? scalar(op, left, right as Tensor) : left;
  const b = typeof right === 'number' ? scalar(op, right, a) : right;
  sameDevice(op, a, b);
  const drop = (): void => {
    if (typeof left === 'number') a.dispose();
    if (typeof right === 'number') b.dispose();
  };
  for (const x of [a, b]) {
    if (!isFloat(x.dtype) && x.dtype !== 'i32') {
      throw new TypeError(`${op}: takes floating-point tensors, or i32 with i32, got ${a.dtype} and ${b.dtype}`);
    }
  }
  return { a, b, drop };
}

const same = (grad: Tensor): Tensor => grad;
const negated = (grad: Tensor): Tensor => mul(grad, -1);

/** `a + b`. */
export const add = (a: Tensor | number, b: Tensor | number): Tensor => binary('add', a, b, [same, same]);

/** `a - b`. */
export const sub = (a: Tensor | number, b: Tensor | number): Tensor => binary('sub', a, b, [same, negated]);

/** `a · b`, element by element. */
export const mul = (a: Tensor | number, b: Tensor | number): Tensor =>
  binary('mul', a, b, [(grad, _, b) => mul(grad, b), (grad, a) => mul(grad, a)]);

/**
 * `a / b`, element by element.
 *
 * @throws TypeError for i32: cast first.
 */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  for (const x of [a, b]) {
    if (typeof x !== 'number' && !isFloat(x.dtype))
      throw new TypeError(`div: takes floating-point tensors, got ${x.dtype}`);
  }
  return binary('div', a, b, [(grad, _, b) => div(grad, b), (grad, a, b) => negated(div(mul(grad, a), mul(b, b)))]);
}

// Where `upper` is above `lower`, the gradient; where both are equal, half of it.
const ifAbove = (grad: Tensor, upper: Tensor, lower: Tensor): Tensor =>
  where(less(lower, upper), grad, where(equal(lower, upper), mul(grad, 0.5), 0));

/** The larger of two, element by element; NaN if either is. */
export const maximum = (a: Tensor | number, b: Tensor | number): Tensor =>
  binary('maximum', a, b, [ifAbove, (grad, a, b) => ifAbove(grad, b, a)]);

/** The smaller of two, element by element; NaN if either is. */
export const minimum = (a: Tensor | number, b: Tensor | number): Tensor =>
  binary('minimum', a, b, [(grad, a, b) => ifAbove(grad, b, a), ifAbove]);

function compare(op: Comparison, left: Tensor | number, right: Tensor | number): Tensor {
  const { a, b, drop } = operands(op, left, right);
  commonType(op, a, b);
  const shape = broadcastShape(op, a.shape, b.shape);
  const out = empty(shape, { dtype: 'bool', device: a.device });
  broadcast(op, shape, [out, a, b], kernels[op]);
  drop();
  return out;
}

/** `a = b`, as bool. */
export const equal = (a: Tensor | number, b: Tensor | number): Tensor => compare('equal', a, b);

/** `a < b`, as bool. */
export const less = (a: Tensor | number, b: Tensor | number): Tensor => compare('less', a, b);

/** `a ≤ b`, as bool. */
export const lessEqual = (a: Tensor | number, b: Tensor | number): Tensor => compare('lessEqual', a, b);

/** `a > b`, as bool. */
export const greater = (a: Tensor | number, b: Tensor | number): Tensor => compare('less', b, a);

/** `a ≥ b`, as bool. */
export const greaterEqual = (a: Tensor | number, b: Tensor | number): Tensor => compare('lessEqual', b, a);

/** `a` where `condition` (bool) holds, else `b`; all three broadcast. */
export function where(condition: Tensor, left: Tensor | number, right: Tensor | number): Tensor {
  if (condition.dtype !== 'bool') throw new TypeError(`where: the condition must be bool, got ${condition.dtype}`);
  const { a, b, drop } = operands('where', left, right);
  sameDevice('where', condition, a, b);
  const dtype = typeof left === 'number' ? b.dtype : typeof right === 'number' ? a.dtype : commonType('where', a, b);
  const shape = broadcastShape('where', condition.shape, a.shape, b.shape);
  const out = empty(shape, { dtype, device: condition.device });
  broadcast('where', shape, [out, condition, a, b], kernels.where);
  return recordBoth(out, { a, b, drop }, [(grad) => where(condition, grad, 0), (grad) => where(condition, 0, grad)]);
}
