// Cases of casts, joins, gather and scatterAdd.
import type { DType } from '../core/dtype.js';
import { cast, concat, contiguous, gather, scatterAdd, stack } from '../ops/copy.js';
import { expand, permute, transpose } from '../ops/view.js';
import { type Case, defineCase, type Numbers, numbers, rounded } from './case.js';

const formats: DType[] = ['f32', 'bf16', 'f16', 'i32', 'u8', 'bool'];
const range: Partial<Record<DType, [number, number]>> = { i32: [-(2 ** 31), 2 ** 31 - 1], u8: [0, 255] };

function converted(value: number, dtype: DType): number {
  const [low, high] = range[dtype] ?? [-Infinity, Infinity];
  return Math.min(Math.max(rounded(value, dtype), low), high);
}

// Whole numbers, fractions, both signs, and beyond a byte; all exact in bf16.
const awkward = [0, 1, -1, 0.5, -0.5, 1.75, -2.5, 3, 100, 255, 254, 256, -300, 1000, 65280, 0.0078125];

function casting(from: DType, to: DType): Case {
  const shape = [3, 37];
  const length = 111;
  const pick = (i: number): number => awkward[i % awkward.length]!;
  const values = Array.from({ length }, (_, i) =>
    range[from] || from === 'bool' ? converted(pick(i), from) : pick(i),
  );
  return defineCase({
    name: `cast ${from} to ${to}`,
    inputs: { x: { shape, dtype: from, values } },
    run: ({ x }) => cast(x, to, { copy: true }),
    reference: ({ x }) =>
      numbers(
        shape,
        x.data.map((value) => converted(value, to)),
      ),
  });
}

// The reference does not round, so that it has a slope.
function rounding(from: DType, to: DType): Case {
  return defineCase({
    name: `cast ${from} to ${to} of normal numbers`,
    inputs: { x: { shape: [70], dtype: from } },
    run: ({ x }) => cast(x, to, { copy: true }),
    reference: ({ x }) => x,
    gradients: ['x'],
  });
}

/** `x` with its axes in another order. */
export function permuted(x: Numbers, order: readonly number[]): Numbers {
  const shape = order.map((axis) => x.shape[axis]!);
  const out = numbers(shape);
  const strides = x.shape.map((_, i) => x.shape.slice(i + 1).reduce((a, b) => a * b, 1));
  for (let i = 0; i < out.data.length; i++) {
    let rest = i;
    let place = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += (rest % shape[axis]!) * strides[order[axis]!]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    out.data[i] = x.data[place]!;
  }
  return out;
}

function turning(shape: number[], order: number[], dtype: DType = 'f32'): Case {
  return defineCase({
    name: `contiguous ${dtype} [${shape}] permuted by [${order}]`,
    inputs: { x: { shape, dtype, values: dtype === 'i32' || dtype === 'u8' ? { below: 200 } : 'normal' } },
    run: ({ x }) => contiguous(permute(x, order)),
    reference: ({ x }) => permuted(x, order),
    ...(dtype === 'i32' || dtype === 'u8' ? {} : { gradients: ['x'] }),
  });
}

/** Joins along axis `axis` by rows of what lies inside it. */
function joined(parts: readonly Numbers[], axis: number, shape: number[]): Numbers {
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const values: number[] = [];
  for (let row = 0; row < outer; row++) {
    for (const { data } of parts)
      values.push(...data.subarray((row * data.length) / outer, ((row + 1) * data.length) / outer));
  }
  return numbers(shape, values);
}

function concatenation(first: number[], second: number[], axis: number, dtype: DType = 'f32'): Case {
  const shape = first.map((size, i) => (i === axis ? size + second[i]! : size));
  return defineCase({
    name: `concat ${dtype} [${first}] and [${second}] along ${axis}`,
    inputs: { a: { shape: first, dtype }, b: { shape: second, dtype } },
    run: ({ a, b }) => concat([a, b], axis),
    reference: ({ a, b }) => joined([a, b], axis, shape),
    ...(dtype === 'i32' ? {} : { gradients: ['a', 'b'] }),
  });
}

/** Calls visit(place in the indexed tensor, place in the index) for every element of the index. */
function eachIndex(
  shape: readonly number[],
  index: Numbers,
  axis: number,
  visit: (x: number, i: number) => void,
): void {
  for (let i = 0; i < index.data.length; i++) {
    let rest = i;
    let place = 0;
    let stride = 1;
    for (let k = shape.length - 1; k >= 0; k--) {
      const at = k === axis ? index.data[i]! : rest % index.shape[k]!;
      place += at * stride;
      stride *= shape[k]!;
      rest = Math.floor(rest / index.shape[k]!);
    }
    visit(place, i);
  }
}

function gathering(shape: number[], axis: number, indexShape: number[], dtype: DType = 'f32'): Case {
  return defineCase({
    name: `gather ${dtype} [${shape}] along ${axis} by [${indexShape}]`,
    inputs: { x: { shape, dtype }, index: { shape: indexShape, dtype: 'i32', values: { below: shape[axis]! } } },
    run: ({ x, index }) => gather(x, axis, index),
    reference: ({ x, index }) => {
      const out = numbers(indexShape);
      eachIndex(shape, index, axis, (place, i) => {
        out.data[i] = x.data[place]!;
      });
      return out;
    },
    ...(dtype === 'i32' ? {} : { gradients: ['x'] }),
  });
}

/** Whole rows of x: the index repeats along them. */
function rows(shape: [number, number], count: number, dtype: DType = 'f32'): Case {
  return defineCase({
    name: `gather ${count} rows of ${dtype} [${shape}]`,
    inputs: { x: { shape, dtype }, index: { shape: [count, 1], dtype: 'i32', values: { below: shape[0] } } },
    run: ({ x, index }) => gather(x, 0, expand(index, [count, shape[1]])),
    reference: ({ x, index }) =>
      numbers(
        [count, shape[1]],
        Float64Array.from(
          { length: count * shape[1] },
          (_, i) => x.data[index.data[Math.floor(i / shape[1])]! * shape[1] + (i % shape[1])]!,
        ),
      ),
    ...(dtype === 'i32' ? {} : { gradients: ['x'] }),
  });
}

function scattering(
  shape: number[],
  axis: number,
  indexShape: number[],
  dtype: DType = 'f32',
  sourceType = dtype,
): Case {
  return defineCase({
    name: `scatterAdd ${dtype} [${shape}] along ${axis} of ${sourceType} [${indexShape}]`,
    inputs: {
      x: { shape, dtype },
      index: { shape: indexShape, dtype: 'i32', values: { below: shape[axis]! } },
      source: { shape: indexShape, dtype: sourceType },
    },
    run: ({ x, index, source }) => scatterAdd(x, axis, index, source),
    reference: ({ x, index, source }) => {
      const out = numbers(shape, x.data);
      eachIndex(shape, index, axis, (place, i) => {
        out.data[place]! += source.data[i]!;
      });
      return out;
    },
    ...(dtype === 'i32' ? {} : { gradients: ['x', 'source'] }),
    terms: indexShape[axis]!,
  });
}

export const cases: Case[] = [
  ...formats.flatMap((from) => formats.map((to) => casting(from, to))),
  ...formats.slice(0, 3).flatMap((from) => formats.slice(0, 3).map((to) => rounding(from, to))),
  turning([0, 3], [1, 0]),
  turning([5, 1], [1, 0]),
  turning([33, 65], [1, 0]),
  turning([33, 65], [1, 0], 'bf16'),
  turning([70, 40], [1, 0], 'i32'),
  turning([70, 40], [1, 0], 'u8'),
  turning([3, 4, 5], [2, 0, 1], 'f16'),
  turning([3, 40, 35], [0, 2, 1]),
  turning([6, 5, 36], [1, 0, 2]),
  turning([36, 5, 34], [2, 1, 0]),
  turning([2, 3, 4, 5], [3, 1, 0, 2]),
  defineCase({
    name: 'cast of a transposed view to bf16',
    inputs: { x: { shape: [37, 45] } },
    run: ({ x }) => cast(transpose(x), 'bf16'),
    reference: ({ x }) => permuted(x, [1, 0]),
    gradients: ['x'],
  }),
  concatenation([3, 4], [2, 4], 0),
  concatenation([3, 4], [3, 5], 1, 'bf16'),
  concatenation([2, 0, 3], [2, 4, 3], 1),
  concatenation([2, 3, 2], [2, 3, 1], 2, 'f16'),
  defineCase({
    name: 'concat of transposed views',
    inputs: { a: { shape: [4, 3] }, b: { shape: [2, 3] } },
    run: ({ a, b }) => concat([transpose(a), transpose(b)], 1),
    reference: ({ a, b }) => joined([permuted(a, [1, 0]), permuted(b, [1, 0])], 1, [3, 6]),
    gradients: ['a', 'b'],
  }),
  ...[0, 1, 2].map((axis) =>
    defineCase({
      name: `stack of two [3,5] along ${axis}`,
      inputs: { a: { shape: [3, 5] }, b: { shape: [3, 5] } },
      run: ({ a, b }) => stack([a, b], axis),
      reference: ({ a, b }) => joined([a, b], axis, [3, 5].toSpliced(axis, 0, 2)),
      gradients: ['a', 'b'],
    }),
  ),
  concatenation([3, 8], [3, 16], 1, 'i32'),
  gathering([7], 0, [20]),
  gathering([7, 5], 0, [20, 5], 'i32'),
  rows([7, 16], 20),
  rows([7, 16], 20, 'i32'),
  scattering([5, 9], 0, [30, 9], 'i32'),
  gathering([5, 9], 1, [5, 4]),
  gathering([5, 9], 0, [3, 9], 'bf16'),
  gathering([4, 6, 5], 1, [4, 2, 3], 'f16'),
  gathering([4, 6], 1, [4, 0]),
  scattering([7], 0, [40]),
  scattering([5, 9], 1, [5, 30]),
  scattering([5, 9], 0, [30, 9], 'bf16'),
  scattering([5, 9], 0, [30, 7], 'f32', 'bf16'),
  scattering([4, 6, 5], 1, [2, 20, 5], 'f16'),
  scattering([4, 6], 1, [4, 0]),
];
