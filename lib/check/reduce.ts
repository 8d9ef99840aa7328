// Cases of the reductions.
import type { DType } from '../core/dtype.js';
import type { Shape } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { argmax, argmin, max, mean, min, sum, topk, variance } from '../ops/reduce.js';
import { permute } from '../ops/view.js';
import { type Case, defineCase, type Input, type Numbers, numbers } from './case.js';

/** Groups the numbers by their place on the axes that stay. */
function grouped(x: Numbers, axes: readonly number[], of: (values: number[]) => number): Numbers {
  const shape = x.shape.filter((_, i) => !axes.includes(i));
  const out = numbers(shape);
  const groups = Array.from(out.data, (): number[] => []);
  for (let i = 0; i < x.data.length; i++) {
    let rest = i;
    let place = 0;
    let stride = 1;
    for (let axis = x.shape.length - 1; axis >= 0; axis--) {
      const size = x.shape[axis]!;
      if (!axes.includes(axis)) {
        place += (rest % size) * stride;
        stride *= size;
      }
      rest = Math.floor(rest / size);
    }
    groups[place]!.push(x.data[i]!);
  }
  for (const [i, values] of groups.entries()) out.data[i] = of(values);
  return out;
}

const total = (values: number[]): number => values.reduce((a, b) => a + b, 0);
const average = (values: number[]): number => total(values) / values.length;

const reductions = {
  sum: { op: sum, of: total },
  mean: { op: mean, of: average },
  max: { op: max, of: (values: number[]) => values.reduce((a, b) => Math.max(a, b)) },
  min: { op: min, of: (values: number[]) => values.reduce((a, b) => Math.min(a, b)) },
  variance: {
    op: variance,
    of: (values: number[]) => values.reduce((a, b) => a + (b - average(values)) ** 2, 0) / (values.length - 1),
  },
};

function reduction(name: keyof typeof reductions, input: Input, axes: number[] | undefined): Case {
  const { op, of } = reductions[name];
  const { shape, dtype = 'f32' } = input;
  const over = axes ?? [...shape.keys()];
  const length = over.reduce((n, axis) => n * shape[axis]!, 1);
  return defineCase({
    name: `${name} ${dtype} [${shape}] over ${axes ? `[${axes}]` : 'all'}`,
    inputs: { x: input },
    run: ({ x }) => op(x, axes),
    reference: ({ x }) => grouped(x, over, of),
    ...(dtype === 'i32' ? {} : { gradients: ['x'] }),
    terms: length,
  });
}

const places: [number[], number[] | undefined][] = [
  [[], undefined],
  [[3], undefined],
  [[1, 37], [0]],
  [[5, 37], [1]],
  [[5, 37], [0]],
  [[5, 37], undefined],
  [[700, 3], [1]],
  [[700, 3], [0]],
  [[3, 700], [1]],
  [[4, 5, 6], [1]],
  [
    [4, 5, 6],
    [0, 2],
  ],
  [
    [2, 3, 4, 5],
    [1, 2],
  ],
  [
    [3, 90, 5],
    [1, 2],
  ],
];

function argument(name: 'argmax' | 'argmin', shape: number[], dtype: DType, values: Input['values'] = 'normal'): Case {
  const better = name === 'argmax' ? (a: number, b: number) => a > b : (a: number, b: number) => a < b;
  return defineCase({
    name: `${name} ${dtype} [${shape}]`,
    inputs: { x: { shape, dtype, values } },
    run: ({ x }) => (name === 'argmax' ? argmax(x) : argmin(x)),
    reference: ({ x }) =>
      grouped(x, [shape.length - 1], (row) =>
        row.reduce((best, value, i) => (better(value, row[best]!) ? i : best), 0),
      ),
  });
}

function largest(shape: Shape, k: number, dtype: DType, below?: number): Case {
  const x: Input = { shape, dtype, ...(below ? { values: { below } } : {}) };
  const order = (row: Float64Array): number[] => [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, k);
  const eachRow = (x: Numbers, body: (row: Float64Array) => readonly number[]): Numbers => {
    const cols = shape.at(-1)!;
    const rows = Array.from({ length: x.data.length / cols }, (_, i) => x.data.subarray(i * cols, (i + 1) * cols));
    return numbers([...shape.slice(0, -1), k], rows.flatMap(body));
  };
  return defineCase({
    name: `topk ${k} of ${dtype} [${shape}]${below ? ` below ${below}` : ''}`,
    inputs: { x },
    run: ({ x }) => {
      const { values, places } = topk(x, k);
      return [values, cast(places, 'f32')];
    },
    reference: ({ x }) => [eachRow(x, (row) => order(row).map((i) => row[i]!)), eachRow(x, order)],
  });
}

const names = Object.keys(reductions) as (keyof typeof reductions)[];

export const cases: Case[] = [
  ...names.flatMap((name) =>
    places
      // One number has no variance.
      .filter(
        ([shape, axes]) =>
          name !== 'variance' || (axes ?? [...shape.keys()]).reduce((n, axis) => n * shape[axis]!, 1) > 1,
      )
      .map(([shape, axes]) => reduction(name, { shape }, axes)),
  ),
  ...names.flatMap((name) => [
    reduction(name, { shape: [6, 130], dtype: 'bf16' }, [1]),
    reduction(name, { shape: [130, 6], dtype: 'f16' }, [0]),
    reduction(name, { shape: [2, 0, 3] }, [0].concat(name === 'max' || name === 'min' ? [] : 2)),
  ]),
  // Whole runs of eight along the axis that is reduced, and across it.
  ...(['sum', 'max', 'min'] as const).flatMap((name) =>
    [
      [7, 96],
      [96, 16],
      [7, 90],
      [90, 7],
    ].flatMap((shape) =>
      (['f32', 'i32'] as const).flatMap((dtype) =>
        [0, 1].map((axis) =>
          reduction(name, { shape, dtype, values: dtype === 'i32' ? { below: 1000 } : 'normal' }, [axis]),
        ),
      ),
    ),
  ),
  reduction('sum', { shape: [0, 3] }, [0]),
  reduction('sum', { shape: [40000] }, undefined),
  reduction('sum', { shape: [1, 300, 300] }, [1]),
  reduction('sum', { shape: [7, 90], dtype: 'i32', values: { below: 1000 } }, [1]),
  reduction('sum', { shape: [90, 7], dtype: 'i32', values: { below: 1000 } }, [0]),
  reduction('max', { shape: [7, 90], dtype: 'i32', values: { below: 1000 } }, [0]),
  reduction('min', { shape: [7, 90], dtype: 'i32', values: { below: 1000 } }, undefined),
  defineCase({
    name: 'sum of a permuted view',
    inputs: { x: { shape: [6, 40, 5] } },
    run: ({ x }) => sum(permute(x, [2, 0, 1]), 1),
    reference: ({ x }) => {
      const turned = grouped(x, [0], total); // [40, 5]
      return numbers(
        [5, 40],
        Float64Array.from({ length: 200 }, (_, i) => turned.data[(i % 40) * 5 + Math.floor(i / 40)]!),
      );
    },
    gradients: ['x'],
    terms: 6,
  }),
  ...(['argmax', 'argmin'] as const).flatMap((name) => [
    argument(name, [1], 'f32'),
    argument(name, [5, 1000], 'f32'),
    argument(name, [5, 1000], 'bf16', { below: 9 }),
    argument(name, [2, 3, 37], 'f16'),
    argument(name, [40, 3], 'i32', { below: 3 }),
    argument(name, [40, 72], 'i32', { below: 3 }),
    argument(name, [0, 3], 'f32'),
  ]),
  largest([1], 1, 'f32'),
  largest([0, 3], 2, 'f32'),
  largest([5, 7], 7, 'f32'),
  largest([3, 2, 1001], 20, 'f32'),
  largest([3, 5000], 20, 'f32', 9),
  largest([2, 4096], 5, 'bf16'),
  largest([2, 40], 0, 'f32'),
];
