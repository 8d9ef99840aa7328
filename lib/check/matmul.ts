// Cases of matmul and linear.
import type { DType } from '../core/dtype.js';
import type { Shape } from '../core/tensor.js';
import { type Activation, linear, matmul } from '../ops/matmul.js';
import { transpose } from '../ops/view.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';
import { gelu, geluTanh, silu } from './elementwise.js';

/** The sizes of a product, and its leading axes beside the operands', where a missing axis is 1. */
function sizesOf(a: Shape, b: Shape, transposeA: boolean, transposeB: boolean) {
  const size = (x: Shape, axis: number, swap: boolean): number => x.at(swap ? -3 - axis : axis)!;
  const rank = Math.max(a.length, b.length) - 2;
  const leading = (x: Shape): number[] => [...new Array<number>(rank + 2 - x.length).fill(1), ...x.slice(0, -2)];
  const [leadingA, leadingB] = [leading(a), leading(b)];
  const batch = leadingA.map((size, axis) => (size === 1 ? leadingB[axis]! : size));
  const [m, k, n] = [size(a, -2, transposeA), size(a, -1, transposeA), size(b, -1, transposeB)];
  return { m, k, n, rank, batch, leadingA, leadingB };
}

/** `[.., m, k] × [.., k, n]`, axes broadcast, either matrix read transposed. */
export function product(a: Numbers, b: Numbers, transposeA = false, transposeB = false): Numbers {
  const { m, k, n, rank, batch, leadingA, leadingB } = sizesOf(a.shape, b.shape, transposeA, transposeB);
  const out = numbers([...batch, m, n]);
  const batches = batch.reduce((x, y) => x * y, 1);
  const place = (sizes: readonly number[], index: number): number => {
    let [matrix, step, rest] = [0, 1, index];
    for (let axis = rank - 1; axis >= 0; axis--) {
      if (sizes[axis] !== 1) matrix += (rest % batch[axis]!) * step;
      rest = Math.floor(rest / batch[axis]!);
      step *= sizes[axis]!;
    }
    return matrix;
  };
  for (let i = 0; i < batches; i++) {
    const [startA, startB] = [place(leadingA, i) * m * k, place(leadingB, i) * k * n];
    for (let row = 0; row < m; row++) {
      for (let col = 0; col < n; col++) {
        let sum = 0;
        for (let j = 0; j < k; j++) {
          const x = a.data[startA + (transposeA ? j * m + row : row * k + j)]!;
          const y = b.data[startB + (transposeB ? col * k + j : j * n + col)]!;
          sum += x * y;
        }
        out.data[(i * m + row) * n + col] = sum;
      }
    }
  }
  return out;
}

export function withBias(x: Numbers, bias: Numbers | undefined): Numbers {
  if (!bias) return x;
  return numbers(
    x.shape,
    x.data.map((value, i) => value + bias.data[i % bias.data.length]!),
  );
}

const activations = { silu, gelu, geluTanh };

/** What happens to the sums: `activation(x + bias) + residual`. */
function finished(x: Numbers, activation?: Activation, { bias, residual }: Record<string, Numbers> = {}): Numbers {
  const of = activation ? activations[activation] : (value: number) => value;
  return numbers(
    x.shape,
    withBias(x, bias).data.map((value, i) => of(value) + (residual?.data[i] ?? 0)),
  );
}

interface Variant {
  a?: DType;
  b?: DType;
  out?: DType;
  transposeA?: boolean;
  transposeB?: boolean;
  bias?: DType;
  activation?: Activation;
  residual?: DType;
  /** The operands are transposed by views instead of by the options. */
  views?: boolean;
  /** Only the forward pass is checked: finite differences of a large product take long. */
  forwardOnly?: boolean;
}

function mm(a: Shape, b: Shape, variant: Variant = {}): Case {
  const { transposeA = false, transposeB = false, views = false } = variant;
  const { m, k: inner, n: cols, batch } = sizesOf(a, b, transposeA, transposeB);
  const formats = [variant.a ?? 'f32', variant.b ?? 'f32'] as const;
  const { activation, bias: biasType, residual: residualType } = variant;
  const how = [
    transposeA && "a'",
    transposeB && "b'",
    views && 'views',
    biasType && `${biasType} bias`,
    activation,
    residualType && `${residualType} residual`,
  ].filter(Boolean);
  const inputs: Case['inputs'] = { a: { shape: a, dtype: formats[0] }, b: { shape: b, dtype: formats[1] } };
  if (biasType) inputs.bias = { shape: [cols], dtype: biasType };
  if (residualType) inputs.residual = { shape: [...batch, m, cols], dtype: residualType };
  return defineCase({
    name: `matmul ${formats[0]} [${a}] × ${formats[1]} [${b}] ${how.join(', ')}${variant.out ? ` → ${variant.out}` : ''}`.trim(),
    inputs,
    run: ({ a, b, bias, residual }) => {
      const options = { bias, activation, residual, ...(variant.out ? { dtype: variant.out } : {}) };
      if (!views) return matmul(a!, b!, { ...options, transposeA, transposeB });
      return matmul(transposeA ? transpose(a!) : a!, transposeB ? transpose(b!) : b!, options);
    },
    reference: ({ a, b, ...epilogue }) => finished(product(a!, b!, transposeA, transposeB), activation, epilogue),
    gradients: variant.forwardOnly ? [] : Object.keys(inputs),
    terms: inner,
    flops: (2 * inner * cols * a.reduce((x, y) => x * y, 1)) / Math.max(inner, 1),
  });
}

function layer(x: Shape, weight: Shape, dtype: DType, frozen: DType, bias: boolean): Case {
  const inputs: Case['inputs'] = { x: { shape: x, dtype }, weight: { shape: weight, dtype: frozen } };
  if (bias) inputs.bias = { shape: [weight[0]!], dtype: frozen };
  return defineCase({
    name: `linear ${dtype} [${x}], ${frozen} weight [${weight}]${bias ? ' and bias' : ''}`,
    inputs,
    run: ({ x, weight, bias }) => linear(x!, weight!, { bias }),
    reference: ({ x, weight, bias }) => withBias(product(x!, weight!, false, true), bias),
    gradients: bias ? ['x', 'weight', 'bias'] : ['x', 'weight'],
    terms: weight[1]!,
    flops: 2 * x.reduce((p, q) => p * q, 1) * weight[0]!,
  });
}

/** Both 16-bit formats with either operand along either axis, in the shapes of one small, one large and one wide tile. */
const tensorCores: Case[] = (['bf16', 'f16'] as const).flatMap((dtype) =>
  [false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB) =>
      [
        [40, 72, 104],
        [600, 72, 120],
        [136, 200, 264],
      ].map(([m, k, n]) =>
        mm(transposeA ? [k!, m!] : [m!, k!], transposeB ? [n!, k!] : [k!, n!], {
          transposeA,
          transposeB,
          a: dtype,
          b: dtype,
          forwardOnly: true,
        }),
      ),
    ),
  ),
);

/** Products in rows 1 to 8 that stream b, in each format and along either of its axes. */
const streamed: Case[] = (['f32', 'bf16', 'f16'] as const).flatMap((dtype) =>
  [1, 2, 4, 7].flatMap((rows) =>
    [false, true].map((transposeB) =>
      mm([rows, 72], transposeB ? [40, 72] : [72, 40], { transposeB, b: dtype, forwardOnly: true }),
    ),
  ),
);

/** What happens to the sums, in each kernel: with and without whole runs of eight, K split, batches, streamed rows. */
const finishing: Case[] = [
  mm([3, 20], [20, 33], { activation: 'silu' }),
  mm([9, 33], [33, 31], { bias: 'f32', activation: 'gelu', residual: 'f32' }),
  mm([40, 72], [72, 104], { a: 'bf16', b: 'bf16', bias: 'bf16', activation: 'geluTanh', residual: 'bf16' }),
  mm([136, 64], [264, 64], { transposeB: true, a: 'bf16', b: 'bf16', residual: 'bf16' }),
  mm([130, 72], [267, 72], { transposeB: true, a: 'f16', b: 'f16', bias: 'f32', activation: 'silu', residual: 'f32' }),
  mm([16, 1030], [24, 1030], { transposeB: true, a: 'bf16', b: 'bf16', activation: 'gelu', residual: 'bf16' }),
  mm([140, 1100], [264, 1100], { transposeB: true, a: 'bf16', b: 'bf16', residual: 'bf16', forwardOnly: true }),
  mm([5, 2056], [37, 2056], { transposeB: true, a: 'bf16', b: 'bf16', bias: 'f32', residual: 'bf16' }),
  mm([2, 72], [72, 40], { b: 'bf16', activation: 'geluTanh', residual: 'f32' }),
  mm([2, 3, 17, 40], [1, 3, 40, 24], { bias: 'f32', activation: 'silu', residual: 'f32' }),
  mm([3, 70, 24], [3, 40, 24], { transposeB: true, a: 'bf16', b: 'bf16', residual: 'f32', out: 'bf16' }),
];

// Sizes around the blocks of the CPU's kernels: 1..16 rows are streamed, tiles have 14 (or 6) rows and 32 (or 16)
// columns, a block of k has 256.
export const cases: Case[] = [
  mm([0, 3], [3, 4]),
  mm([2, 0], [0, 3], { bias: 'f32' }),
  mm([2, 3], [3, 0]),
  mm([1, 1], [1, 1]),
  mm([2, 3], [3, 4], { bias: 'f32' }),
  mm([1, 70], [70, 33]),
  mm([1, 70], [33, 70], { transposeB: true, b: 'bf16' }),
  mm([3, 65], [130, 65], { transposeB: true, b: 'bf16', bias: 'bf16' }),
  mm([8, 31], [40, 31], { transposeB: true, a: 'bf16', b: 'f16' }),
  mm([40, 17], [17, 5], { a: 'f16' }),
  mm([17, 40], [17, 5], { transposeA: true }),
  mm([7, 20], [20, 150], { b: 'f16', bias: 'f16' }),
  mm([9, 33], [33, 31]),
  mm([14, 16], [16, 32]),
  mm([15, 17], [17, 33], { transposeA: false, a: 'bf16', b: 'bf16' }),
  mm([17, 15], [17, 33], { transposeA: true, a: 'bf16', b: 'bf16', views: true }),
  mm([29, 47], [65, 47], { transposeB: true, views: true }),
  mm([47, 29], [65, 47], { transposeA: true, transposeB: true, b: 'bf16' }),
  mm([13, 257], [257, 31], { a: 'bf16', b: 'bf16', out: 'f32' }),
  mm([30, 600], [34, 600], { transposeB: true, a: 'bf16', b: 'bf16' }),
  mm([20, 513], [513, 20], { out: 'f16' }),
  mm([180, 20], [20, 270]),
  mm([2, 3, 4], [2, 4, 5]),
  mm([2, 3, 4], [4, 5], { bias: 'f32' }),
  mm([3, 4], [2, 4, 5]),
  mm([2, 1, 3, 4], [5, 4, 3], { transposeA: false, b: 'bf16' }),
  mm([2, 4, 3], [1, 5, 4], { transposeA: true, transposeB: true, views: true }),
  mm([3, 1, 20], [20, 33]),
  mm([0, 3, 4], [4, 5]),
  mm([6, 10, 12], [6, 20, 12], { transposeB: true, a: 'f16', b: 'f16' }),
  // A GPU's tiles are 64, 128 and 256 wide, its steps 16 to 64 deep; operands along either axis; K split over blocks.
  mm([130, 72], [72, 264], { a: 'bf16', b: 'bf16' }),
  mm([72, 130], [264, 72], { transposeA: true, transposeB: true, a: 'f16', b: 'f16', bias: 'f32' }),
  mm([128, 70], [256, 70], { transposeB: true, a: 'bf16', b: 'bf16', out: 'f32', views: true }),
  mm([70, 260], [70, 100], { transposeA: true, a: 'bf16', b: 'bf16' }),
  mm([16, 1030], [24, 1030], { transposeB: true, a: 'bf16', b: 'bf16', bias: 'bf16' }),
  mm([1030, 16], [1030, 40], { transposeA: true, a: 'bf16', b: 'bf16', out: 'f32' }),
  mm([3, 70, 24], [3, 40, 24], { transposeB: true, a: 'bf16', b: 'bf16' }),
  mm([2, 3, 40, 33], [3, 33, 20], { a: 'f16', b: 'f16' }),
  mm([2, 3, 17, 40], [1, 1, 40, 24], { a: 'bf16', b: 'bf16', bias: 'f32' }),
  mm([5, 2056], [37, 2056], { transposeB: true, a: 'bf16', b: 'bf16' }),
  mm([8, 600], [600, 70], { a: 'bf16', b: 'bf16' }),
  layer([1, 64], [48, 64], 'f32', 'bf16', false),
  layer([2, 3, 33], [17, 33], 'f32', 'f32', true),
  layer([40, 65], [31, 65], 'bf16', 'bf16', true),
  layer([40, 65], [31, 65], 'f32', 'bf16', false),
  ...tensorCores,
  ...streamed,
  ...finishing,
  // More tiles than a small GPU has processors, and more steps of K than a ring has stages: within a tile and over tiles.
  mm([520, 136], [392, 136], { transposeB: true, a: 'bf16', b: 'bf16', forwardOnly: true }),
  mm([140, 1100], [264, 1100], { transposeB: true, a: 'bf16', b: 'bf16', out: 'f32', forwardOnly: true }),
  mm([264, 840], [840, 520], { a: 'f16', b: 'f16', bias: 'f16', forwardOnly: true }),
  mm([3, 136, 136], [3, 136, 264], { a: 'bf16', b: 'bf16', forwardOnly: true }),
  mm([64, 2048], [64, 2048], { transposeB: true, a: 'bf16', b: 'bf16', forwardOnly: true }),
];
