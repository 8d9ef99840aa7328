// Cases of products with a matrix for each group of rows.
import type { DType } from '../core/dtype.js';
import { tensor } from '../core/tensor.js';
import { groupedMatmul, groupedOuter } from '../ops/grouped.js';
import { type Case, defineCase, numbers } from './case.js';

/** Where groups of these lengths begin, and the end of the last. */
const segmentsOf = (lengths: readonly number[]): Int32Array => {
  const starts = new Int32Array(lengths.length + 1);
  lengths.forEach((length, g) => {
    starts[g + 1] = starts[g]! + length;
  });
  return starts;
};

/** For each row its group. */
const groupsOf = (lengths: readonly number[]): number[] =>
  lengths.flatMap((length, g) => new Array<number>(length).fill(g));

interface Settings {
  dtype?: DType;
  weight?: DType;
  transposeB?: boolean;
  bias?: boolean;
  residual?: boolean;
  scale?: number;
  /** Only the forward pass is checked: finite differences of a large product take long. */
  forwardOnly?: boolean;
}

/** `lengths[g]` rows of group g. */
function product(lengths: readonly number[], [k, n]: [number, number], settings: Settings = {}): Case {
  const { dtype = 'f32', weight = dtype, transposeB = true, bias = false, residual = false, scale = 1 } = settings;
  const groupOf = groupsOf(lengths);
  const [rows, groups] = [groupOf.length, lengths.length];
  const more = [transposeB ? '' : 'untransposed', bias ? 'bias' : '', residual ? 'residual' : ''].filter(Boolean);
  return defineCase({
    name: `groupedMatmul ${dtype} × ${weight} [${rows},${k}] to ${n}, groups of ${lengths}${more.map((word) => `, ${word}`).join('')}`,
    inputs: {
      x: { shape: [rows, k], dtype },
      b: { shape: transposeB ? [groups, n, k] : [groups, k, n], dtype: weight },
      bias: { shape: [groups, n] },
      residual: { shape: [rows, n], dtype },
    },
    run: (inputs) =>
      groupedMatmul(inputs.x, inputs.b, tensor(segmentsOf(lengths), { device: inputs.x.device }), {
        transposeB,
        scale,
        bias: bias ? inputs.bias : undefined,
        residual: residual ? inputs.residual : undefined,
      }),
    reference: (inputs) => {
      const out = numbers([rows, n]);
      for (let row = 0; row < rows; row++) {
        const g = groupOf[row]!;
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let i = 0; i < k; i++) {
            const at = transposeB ? (g * n + j) * k + i : (g * k + i) * n + j;
            sum += inputs.x.data[row * k + i]! * inputs.b.data[at]!;
          }
          const extra = (bias ? inputs.bias.data[g * n + j]! : 0) + (residual ? inputs.residual.data[row * n + j]! : 0);
          out.data[row * n + j] = scale * sum + extra;
        }
      }
      return out;
    },
    gradients: settings.forwardOnly
      ? []
      : ['x', 'b', ...(bias ? (['bias'] as const) : []), ...(residual ? (['residual'] as const) : [])],
    terms: k,
  });
}

function outer(lengths: readonly number[], [m, n]: [number, number], dtype: DType = 'f32', scale = 1): Case {
  const groupOf = groupsOf(lengths);
  const rows = groupOf.length;
  return defineCase({
    name: `groupedOuter ${dtype} [${m},${n}], groups of ${lengths}`,
    inputs: { a: { shape: [rows, m], dtype }, b: { shape: [rows, n], dtype } },
    run: ({ a, b }) => groupedOuter(a, b, tensor(segmentsOf(lengths), { device: a.device }), { scale }),
    reference: ({ a, b }) => {
      const out = numbers([lengths.length, m, n]);
      groupOf.forEach((g, row) => {
        for (let i = 0; i < m; i++)
          for (let j = 0; j < n; j++)
            out.data[(g * m + i) * n + j]! += scale * a.data[row * m + i]! * b.data[row * n + j]!;
      });
      return out;
    },
    terms: Math.max(...lengths, 1),
  });
}

const formats = ['f32', 'bf16', 'f16'] as const;

/** Few rows, as of a decoding step: a GPU reads a group's matrix for one, two, four or eight of them at once. */
const few = formats.flatMap((dtype) => [
  product([1, 0, 0, 1, 0, 0, 0, 1], [48, 20], { dtype, bias: true }),
  product([3, 0, 0, 2, 1, 0, 0, 2], [40, 9], { dtype, residual: true }),
  product([1, 0, 9, 0, 3, 3, 0, 0], [21, 36], { dtype, scale: 2 }),
  product([0, 9], [40, 12], { dtype }),
]);

/** Sizes for which a GPU takes its larger tiles, and pairs of blocks; lengths that end in the middle of a tile. */
const large = (['bf16', 'f16'] as const).flatMap((dtype) =>
  [true, false].flatMap((transposeB) => [
    product([129, 71], [72, 200], { dtype, transposeB, forwardOnly: true }),
    product([1, 0, 130, 2], [40, 264], { dtype, transposeB, forwardOnly: true, bias: true }),
  ]),
);

export const cases: Case[] = [
  ...few,
  ...large,
  product([131, 637], [72, 136], { dtype: 'bf16', forwardOnly: true }),
  product([0, 300, 0], [72, 130], { dtype: 'bf16', forwardOnly: true, residual: true, scale: 0.5 }),
  product([0, 0, 300], [72, 136], { dtype: 'bf16', forwardOnly: true }),
  product([200, 64, 100], [40, 392], { dtype: 'bf16', forwardOnly: true }),
  product([20, 31], [37, 50], { dtype: 'bf16', forwardOnly: true }),
  product([1], [1, 1]),
  product([0, 0], [5, 3]),
  product([2, 0, 1], [7, 5]),
  product([1, 0, 0, 1, 0, 1], [64, 48]),
  product([3, 70, 0, 17], [33, 40], { bias: true }),
  product([3, 0, 17], [20, 203], { scale: 0.5, residual: true, bias: true }),
  product([0, 2, 67], [70, 24], { transposeB: false }),
  product([9, 0, 2, 40], [24, 12], { transposeB: false, scale: -2, residual: true }),
  product([64, 64], [32, 32], { dtype: 'bf16' }),
  product([1, 0, 1, 1], [136, 72], { dtype: 'bf16', bias: true }),
  product([66, 3, 0, 29], [40, 72], { dtype: 'bf16', residual: true }),
  product([5, 0, 66], [48, 72], { dtype: 'bf16', transposeB: false }),
  product([7, 12], [40, 24], { dtype: 'f16' }),
  product([4, 30], [65, 33], { weight: 'bf16' }),
  product([2, 9], [33, 31], { dtype: 'bf16', weight: 'f32' }),
  outer([3], [1, 1]),
  outer([0, 4, 0], [5, 3]),
  outer([70, 1, 33], [33, 70], 'f32', 0.5),
  outer([40, 0, 130], [72, 136], 'bf16'),
  outer([9, 64], [8, 264], 'f16', 2),
  outer([0, 71, 1], [136, 200], 'bf16'),
  outer([33, 39], [136, 200], 'f16'),
  outer([200, 0, 300], [60, 68], 'bf16', 0.5),
];
