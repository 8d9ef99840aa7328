// Cases of loraLinear and of the adapter's path alone.
import type { DType } from '../dtype.js';
import { loraLinear, loraLinearPath } from '../ops/lora.js';
import type { Shape } from '../tensor.js';
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
}

function layer(
  x: Shape,
  outputs: number,
  rank: number,
  { x: dtype = 'f32', weight = 'bf16', pair = 'f32', bias }: Formats = {},
): Case {
  const inner = x.at(-1)!;
  const inputs: Case['inputs'] = {
    x: { shape: x, dtype },
    weight: { shape: [outputs, inner], dtype: weight },
    a: { shape: [rank, inner], dtype: pair },
    b: { shape: [outputs, rank], dtype: pair },
  };
  if (bias) inputs.bias = { shape: [outputs], dtype: weight };
  const scaling = 2;
  return defineCase({
    name: `loraLinear ${dtype} [${x}], ${weight} weight [${outputs},${inner}], ${pair} rank ${rank}${bias ? ', bias' : ''}`,
    inputs,
    run: ({ x, weight, a, b, bias }) => loraLinear(x!, weight!, a!, b!, { scaling, bias }),
    reference: ({ x, weight, a, b, bias }) => {
      const out = withBias(product(x!, weight!, false, true), bias);
      const more = correction(x!, a!, b!, scaling);
      return numbers(
        out.shape,
        out.data.map((value, i) => value + more.data[i]!),
      );
    },
    gradients: ['x', 'a', 'b'],
    // Two products in a row: every term of the second is itself a rounded sum.
    terms: inner * Math.max(rank, 1),
    flops: (2 * x.reduce((p, q) => p * q, 1) * (outputs * (inner + rank) + inner * rank)) / Math.max(inner, 1),
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
  path([6, 20], 9, 4, 'f32'),
  path([3, 5, 12], 17, 2, 'bf16'),
];
