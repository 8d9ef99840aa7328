// Cases of the elementwise functions: of one tensor, of two that broadcast, and where.
import type { DType } from '../core/dtype.js';
import type { Tensor } from '../core/tensor.js';
import * as binary from '../ops/binary.js';
import * as ops from '../ops/elementwise.js';
import { transpose } from '../ops/view.js';
import { type Case, defineCase, type Input, type Numbers, numbers } from './case.js';

/** The error function: a series of positive terms, so nothing cancels. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let sum = 0;
  for (let term = x, n = 0; Math.abs(term) > 1e-18 * Math.abs(sum); n++, term *= (2 * x * x) / (2 * n + 1)) sum += term;
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum || 0;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const gelu = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));
export const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
export const silu = (x: number): number => x * sigmoid(x);

interface Unary {
  op: (x: Tensor) => Tensor;
  of: (x: number) => number;
  values?: 'positive';
}

const unaries: Record<string, Unary> = {
  neg: { op: ops.neg, of: (x) => -x },
  abs: { op: ops.abs, of: Math.abs },
  exp: { op: ops.exp, of: Math.exp },
  log: { op: ops.log, of: Math.log, values: 'positive' },
  sqrt: { op: ops.sqrt, of: Math.sqrt, values: 'positive' },
  rsqrt: { op: ops.rsqrt, of: (x) => 1 / Math.sqrt(x), values: 'positive' },
  sin: { op: ops.sin, of: Math.sin },
  cos: { op: ops.cos, of: Math.cos },
  tanh: { op: ops.tanh, of: Math.tanh },
  sigmoid: { op: ops.sigmoid, of: sigmoid },
  relu: { op: ops.relu, of: (x) => Math.max(x, 0) },
  softplus: { op: ops.softplus, of: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))) },
  silu: { op: ops.silu, of: silu },
  gelu: { op: ops.gelu, of: gelu },
  geluTanh: { op: ops.geluTanh, of: geluTanh },
  affine: { op: (x) => ops.affine(x, 0.7, -1.3), of: (x) => 0.7 * x - 1.3 },
  'power 2': { op: (x) => ops.power(x, 2), of: (x) => x ** 2 },
  'power 3': { op: (x) => ops.power(x, 3), of: (x) => x ** 3 },
  'power -1': { op: (x) => ops.power(x, -1), of: (x) => 1 / x, values: 'positive' },
  'power 1.7': { op: (x) => ops.power(x, 1.7), of: (x) => x ** 1.7, values: 'positive' },
  clamp: { op: (x) => ops.clamp(x, -0.4, 0.9), of: (x) => Math.min(Math.max(x, -0.4), 0.9) },
};

function unary(name: string, shape: number[], dtype: DType = 'f32'): Case {
  const { op, of, values } = unaries[name]!;
  return defineCase({
    name: `${name} ${dtype} [${shape}]`,
    inputs: { x: { shape, dtype, ...(values ? { values } : {}) } },
    run: ({ x }) => op(x),
    reference: ({ x }) => numbers(x.shape, x.data.map(of)),
    gradients: ['x'],
  });
}

/** Runs through `shape`, giving each input's number at that place. */
export function broadcasting(
  shape: readonly number[],
  inputs: readonly Numbers[],
  of: (...values: number[]) => number,
): Numbers {
  const out = numbers(shape);
  for (let i = 0; i < out.data.length; i++) {
    out.data[i] = of(
      ...inputs.map((x) => {
        let rest = i;
        let place = 0;
        let stride = 1;
        for (let axis = shape.length - 1; axis >= 0; axis--) {
          const index = rest % shape[axis]!;
          rest = Math.floor(rest / shape[axis]!);
          const size = x.shape[axis - shape.length + x.shape.length];
          if (size === undefined) continue;
          if (size > 1) place += index * stride;
          stride *= size;
        }
        return x.data[place]!;
      }),
    );
  }
  return out;
}

const arithmetic: Record<string, { op: typeof binary.add; of: (a: number, b: number) => number }> = {
  add: { op: binary.add, of: (a, b) => a + b },
  sub: { op: binary.sub, of: (a, b) => a - b },
  mul: { op: binary.mul, of: (a, b) => a * b },
  div: { op: binary.div, of: (a, b) => a / b },
  maximum: { op: binary.maximum, of: Math.max },
  minimum: { op: binary.minimum, of: Math.min },
};

const comparisons: Record<string, { op: typeof binary.add; of: (a: number, b: number) => number }> = {
  equal: { op: binary.equal, of: (a, b) => Number(a === b) },
  less: { op: binary.less, of: (a, b) => Number(a < b) },
  lessEqual: { op: binary.lessEqual, of: (a, b) => Number(a <= b) },
  greater: { op: binary.greater, of: (a, b) => Number(a > b) },
  greaterEqual: { op: binary.greaterEqual, of: (a, b) => Number(a >= b) },
};

function pair(name: string, a: Input, b: Input, shape: number[]): Case {
  const compares = comparisons[name];
  const { op, of } = compares ?? arithmetic[name]!;
  const floats = !compares && a.dtype !== 'i32';
  const divides = name === 'div';
  return defineCase({
    name: `${name} ${a.dtype ?? 'f32'} [${a.shape}], ${b.dtype ?? 'f32'} [${b.shape}]`,
    inputs: { a, b: divides ? { ...b, values: 'positive' } : b },
    run: ({ a, b }) => op(a, b),
    reference: ({ a, b }) => broadcasting(shape, [a, b], of),
    ...(floats ? { gradients: ['a', 'b'] } : {}),
    // A broadcast side's gradient is a sum; a quotient's has two roundings and a number that may be near 0.1 squared.
    slack: divides ? 16 : 4,
  });
}

const shapes: [number[], number[], number[]][] = [
  [
    [0, 3],
    [0, 3],
    [0, 3],
  ],
  [[], [], []],
  [[1], [1], [1]],
  [[37], [37], [37]],
  [[5, 70], [], [5, 70]],
  [[5, 70], [70], [5, 70]],
  [
    [5, 70],
    [5, 1],
    [5, 70],
  ],
  [
    [5, 1],
    [1, 9],
    [5, 9],
  ],
  [
    [3, 1, 4, 1],
    [2, 1, 5],
    [3, 2, 4, 5],
  ],
  [
    [3, 700],
    [3, 700],
    [3, 700],
  ],
];

const integers = (shape: number[]): Input => ({ shape, dtype: 'i32', values: { below: 5 } });

export const cases: Case[] = [
  ...Object.keys(unaries).flatMap((name) => [
    unary(name, [0]),
    unary(name, []),
    unary(name, [7, 131]),
    unary(name, [9, 40]),
    unary(name, [65], 'bf16'),
    unary(name, [3, 33], 'f16'),
  ]),
  ...Object.keys(arithmetic).flatMap((name) => [
    ...shapes.map(([a, b, out]) => pair(name, { shape: a }, { shape: b }, out)),
    pair(name, { shape: [4, 72] }, { shape: [72] }, [4, 72]),
    pair(name, { shape: [4, 65], dtype: 'bf16' }, { shape: [65], dtype: 'bf16' }, [4, 65]),
    pair(name, { shape: [4, 65], dtype: 'f16' }, { shape: [4, 1], dtype: 'f32' }, [4, 65]),
    pair(name, { shape: [2, 3], dtype: 'bf16' }, { shape: [2, 3], dtype: 'f16' }, [2, 3]),
  ]),
  ...['add', 'sub', 'mul', 'maximum', 'minimum', ...Object.keys(comparisons)].flatMap((name) => [
    pair(name, integers([3, 70]), integers([70]), [3, 70]),
    pair(name, integers([3, 72]), integers([72]), [3, 72]),
  ]),
  ...[33, 72].flatMap((size) => [
    defineCase({
      name: `abs and neg i32 [${size}]`,
      inputs: { x: integers([size]) },
      run: ({ x }) => [ops.abs(binary.sub(x, 2)), ops.neg(x)],
      reference: ({ x }) => [
        numbers(
          [size],
          x.data.map((value) => Math.abs(value - 2)),
        ),
        numbers(
          [size],
          x.data.map((value) => -value),
        ),
      ],
    }),
    defineCase({
      name: `where i32 [3,${size}], i32 [${size}]`,
      inputs: {
        c: { shape: [3, size], dtype: 'bool', values: { below: 2 } },
        a: integers([3, size]),
        b: integers([size]),
      },
      run: ({ c, a, b }) => binary.where(c, a, b),
      reference: ({ c, a, b }) => broadcasting([3, size], [c, a, b], (c, a, b) => (c ? a! : b!)),
    }),
  ]),
  ...Object.keys(comparisons).map((name) => pair(name, { shape: [3, 1] }, { shape: [1, 40] }, [3, 40])),
  defineCase({
    name: 'where f32 [4,33], bf16 [33], by [4,1]',
    inputs: {
      c: { shape: [4, 1], dtype: 'bool', values: { below: 2 } },
      a: { shape: [4, 33] },
      b: { shape: [33], dtype: 'bf16' },
    },
    run: ({ c, a, b }) => binary.where(c, a, b),
    reference: ({ c, a, b }) => broadcasting([4, 33], [c, a, b], (c, a, b) => (c ? a! : b!)),
    gradients: ['a', 'b'],
  }),
  defineCase({
    name: 'mul of a transposed view',
    inputs: { a: { shape: [40, 3] }, b: { shape: [3, 40] } },
    run: ({ a, b }) => binary.mul(transpose(a), b),
    reference: ({ a, b }) =>
      numbers(
        [3, 40],
        b.data.map((value, i) => value * a.data[(i % 40) * 3 + Math.floor(i / 40)]!),
      ),
    gradients: ['a', 'b'],
  }),
  defineCase({
    name: 'silu of a transposed view',
    inputs: { x: { shape: [40, 3] } },
    run: ({ x }) => ops.silu(transpose(x)),
    reference: ({ x }) =>
      numbers(
        [3, 40],
        Float64Array.from({ length: 120 }, (_, i) => silu(x.data[(i % 40) * 3 + Math.floor(i / 40)]!)),
      ),
    gradients: ['x'],
  }),
  defineCase({
    name: 'numbers on either side',
    inputs: { x: { shape: [50], values: 'positive' } },
    run: ({ x }) => binary.sub(2, binary.div(1, binary.add(binary.mul(x, 3), 0.5))),
    reference: ({ x }) =>
      numbers(
        [50],
        x.data.map((value) => 2 - 1 / (3 * value + 0.5)),
      ),
    gradients: ['x'],
  }),
];
