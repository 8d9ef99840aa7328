// Cases of loraLinear, of the adapter's path alone, and of many adapters in one batch.
import type { DType } from '../core/dtype.js';
import { type Shape, tensor } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { add } from '../ops/elementwise.js';
import { loraGrouped, loraLinear, loraLinearPath, loraMerge } from '../ops/lora.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';
import { product, withBias } from './matmul.js';

function correction(x: Numbers, a: Numbers, b: Numbers, scaling: number): Numbers {
  const out = product(product(x, a, false, true), b, false, true);
  return numbers(
    out.shape,
    out.data.map((value) => value * scaling),
  );
}

interface Formats {
  x?: DType;
  weight?: DType;
  pair?: DType;
  bias?: boolean;
  residual?: boolean;
  slack?: number;
}

function layer(
  x: Shape,
  outputs: number,
  rank: number,
  { x: dtype = 'f32', weight = 'bf16', pair = 'f32', bias, residual, slack = 4 }: Formats = {},
): Case {
  const inner = x.at(-1)!;
  const inputs: Case['inputs'] = {
    x: { shape: x, dtype },
    weight: { shape: [outputs, inner], dtype: weight },
    a: { shape: [rank, inner], dtype: pair },
    b: { shape: [outputs, rank], dtype: pair },
  };
  if (bias) inputs.bias = { shape: [outputs], dtype: weight };
  if (residual) inputs.residual = { shape: [...x.slice(0, -1), outputs], dtype };
  const scaling = 2;
  return defineCase({
    name: `loraLinear ${dtype} [${x}], ${weight} weight [${outputs},${inner}], ${pair} rank ${rank}${bias ? ', bias' : ''}${residual ? ', residual' : ''}`,
    inputs,
    run: ({ x, weight, a, b, bias, residual }) => loraLinear(x!, weight!, a!, b!, { scaling, bias, residual }),
    reference: ({ x, weight, a, b, bias, residual }) => {
      const out = withBias(product(x!, weight!, false, true), bias);
      const more = correction(x!, a!, b!, scaling);
      return numbers(
        out.shape,
        out.data.map((value, i) => value + more.data[i]! + (residual?.data[i] ?? 0)),
      );
    },
    gradients: ['x', 'a', 'b', ...(residual ? ['residual'] : [])],
    // Two products in a row: every term of the second is itself a rounded sum.
    terms: inner * Math.max(rank, 1),
    slack,
    flops: (2 * x.reduce((p, q) => p * q, 1) * (outputs * (inner + rank) + inner * rank)) / Math.max(inner, 1),
  });
}

function merged(outputs: number, inner: number, rank: number, dtype: DType, scaling: number): Case {
  return defineCase({
    name: `loraMerge ${dtype} [${outputs},${inner}], rank ${rank}, scaling ${scaling}`,
    inputs: { weight: { shape: [outputs, inner], dtype }, a: { shape: [rank, inner] }, b: { shape: [outputs, rank] } },
    run: ({ weight, a, b }) => loraMerge(cast(weight!, dtype, { copy: true }), a!, b!, scaling),
    reference: ({ weight, a, b }) => {
      const more = product(b!, a!);
      return numbers(
        weight!.shape,
        weight!.data.map((value, i) => value + scaling * more.data[i]!),
      );
    },
    terms: rank,
  });
}

function path(x: Shape, outputs: number, rank: number, dtype: DType): Case {
  const inner = x.at(-1)!;
  return defineCase({
    name: `loraLinearPath ${dtype} [${x}] to ${outputs}, rank ${rank}`,
    inputs: { x: { shape: x, dtype }, a: { shape: [rank, inner] }, b: { shape: [outputs, rank] } },
    run: ({ x, a, b }) => loraLinearPath(x, a, b, 0.5),
    reference: ({ x, a, b }) => correction(x, a, b, 0.5),
    gradients: ['x', 'a', 'b'],
    terms: inner * rank,
  });
}

/**
 * `slotOf[t]` is the slot of token t, below 0 where it has none; a slot may have no tokens. `ranks` has the rank of each slot,
 * by default the most that there is room for.
 */
function grouped(
  slotOf: readonly number[],
  slots: number,
  [inner, outputs, rank]: number[],
  dtype: DType,
  ranks: readonly number[] = new Array<number>(slots).fill(rank!),
): Case {
  const tokens = slotOf.length;
  const order = slotOf.map((_, t) => t).sort((s, t) => slotOf[s]! - slotOf[t]! || s - t);
  const before = (slot: number): number => slotOf.filter((s) => s < slot).length;
  const segments = Array.from({ length: slots + 1 }, (_, s) => before(s));
  const scalings = Array.from({ length: slots }, (_, s) => 0.5 + s);
  return defineCase({
    name: `loraGrouped ${dtype} [${tokens},${inner}] to ${outputs}, ${slots} slots of rank ${new Set(ranks).size > 1 ? ranks : rank}`,
    inputs: {
      base: { shape: [tokens, outputs!], dtype },
      x: { shape: [tokens, inner!], dtype },
      a: { shape: [slots, rank!, inner!] },
      b: { shape: [slots, outputs!, rank!] },
    },
    run: ({ base, x, a, b }) => {
      const { device } = x!;
      const ints = (values: readonly number[]) => tensor(Int32Array.from(values), { device });
      const groups = {
        a: a!,
        b: b!,
        ranks: ints(ranks),
        order: ints(order),
        segments: ints(segments),
        scalings: tensor(scalings, { device }),
      };
      return loraGrouped(add(base!, 0), x!, groups);
    },
    reference: ({ base, x, a, b }) => {
      const data = [...base!.data];
      slotOf.forEach((slot, t) => {
        if (slot < 0) return;
        const part = (of: Numbers, i: number, shape: number[]): Numbers => {
          const size = shape.reduce((p, q) => p * q, 1);
          return numbers(shape, of.data.slice(i * size, (i + 1) * size));
        };
        const row = part(x!, t, [1, inner!]);
        const more = correction(
          row,
          within(part(a!, slot, [rank!, inner!]), (i) => Math.floor(i / inner!) < ranks[slot]!),
          within(part(b!, slot, [outputs!, rank!]), (i) => i % rank! < ranks[slot]!),
          scalings[slot]!,
        );
        for (let i = 0; i < outputs!; i++) data[t * outputs! + i]! += more.data[i]!;
      });
      return numbers(base!.shape, data);
    },
    terms: inner! * rank! * slots,
  });
}

const within = ({ shape, data }: Numbers, counts: (i: number) => boolean): Numbers =>
  numbers(
    shape,
    data.map((value, i) => (counts(i) ? value : 0)),
  );

export const cases: Case[] = [
  layer([0, 8], 6, 2),
  layer([1, 1], 1, 1, { weight: 'f32' }),
  layer([1, 64], 48, 8),
  layer([5, 33], 31, 4, { bias: true }),
  layer([8, 40], 70, 16, { x: 'bf16', bias: true }),
  layer([9, 65], 33, 2),
  layer([2, 15, 48], 64, 8, { weight: 'f32' }),
  layer([31, 100], 50, 64, { x: 'bf16', pair: 'bf16' }),
  layer([40, 300], 20, 7, { x: 'f16', weight: 'f16' }),
  layer([260, 20], 30, 16),
  // One 16-bit format, whole runs of eight: the path that training takes on tensor cores. Ranks 16, 32 and 64 have a
  // kernel each; 256 tokens and 128 or 256 outputs are one of its blocks. A pair in f32 is rounded to the format of x, and so
  // is what A gives: with the result these are four roundings (two with a pair that is narrow), which add up by their squares.
  layer([70, 136], 136, 16, { x: 'bf16', slack: 8 }),
  layer([300, 24], 264, 24, { x: 'bf16', slack: 8 }),
  layer([40, 264], 72, 64, { x: 'bf16', pair: 'bf16' }),
  layer([65, 72], 136, 16, { x: 'f16', weight: 'f16', slack: 8 }),
  layer([260, 16], 264, 32, { x: 'f16', weight: 'f16', pair: 'f16', slack: 6 }),
  layer([33, 64], 72, 50, { x: 'f16', weight: 'f16', slack: 8 }),
  layer([5, 33], 31, 4, { bias: true, residual: true }),
  layer([70, 136], 136, 16, { x: 'bf16', residual: true, slack: 8 }),
  layer([260, 16], 267, 32, { x: 'f16', weight: 'f16', pair: 'f16', residual: true, slack: 6 }),
  merged(33, 20, 3, 'f32', 0.25),
  merged(136, 264, 16, 'bf16', 2),
  merged(40, 72, 64, 'f16', -0.5),
  path([6, 20], 9, 4, 'f32'),
  path([3, 5, 12], 17, 2, 'bf16'),
  grouped([], 2, [8, 6, 2], 'f32'),
  grouped([0], 1, [1, 1, 1], 'f32'),
  grouped([-1, -1, -1], 3, [8, 5, 4], 'f32'),
  grouped([1, 0, -1, 1, 3, 1, 0], 4, [33, 47, 8], 'f32'),
  grouped(
    Array.from({ length: 70 }, (_, t) => ((t * 5) % 9) - 1),
    8,
    [65, 40, 20],
    'f32',
  ),
  grouped(new Array<number>(40).fill(2), 3, [100, 64, 16], 'f32'),
  grouped([2, 2, -1, 0, 0, 0, 0, 2], 3, [48, 33, 4], 'bf16'),
  grouped([2, 1, 1, 0, 3, 3, 0, 2, 3, 3, 3], 4, [40, 70, 67], 'f32', [67, 0, 3, 33]),
  grouped([0, 1, 2, 3, 3, 3, 3, 3], 4, [1040, 300, 16], 'bf16', [16, 8, 1, 5]),
];
