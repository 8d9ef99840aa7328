// Cases of rotary position embedding.
import type { DType } from '../core/dtype.js';
import { viewOf } from '../core/tensor.js';
import { rope } from '../ops/rope.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';

interface Settings {
  rotary?: number;
  dtype?: DType;
  factor?: number;
  interleaved?: boolean;
  theta?: number;
}

function reference(
  x: Numbers,
  positions: Numbers,
  frequencies: Numbers,
  { factor = 1, interleaved = false }: Settings,
): Numbers {
  const [tokens, heads, headDim] = x.shape as [number, number, number];
  const out = numbers(x.shape, x.data);
  const half = frequencies.data.length;
  for (let row = 0; row < tokens * heads; row++) {
    for (let i = 0; i < half; i++) {
      // The op's angle is a product in f32, as in the models' own training code.
      const angle = Math.fround(positions.data[Math.floor(row / heads)]! * frequencies.data[i]!);
      const [cos, sin] = [factor * Math.cos(angle), factor * Math.sin(angle)];
      const [first, second] = interleaved ? [2 * i, 2 * i + 1] : [i, i + half];
      const a = x.data[row * headDim + first]!;
      const b = x.data[row * headDim + second]!;
      out.data[row * headDim + first] = a * cos - b * sin;
      out.data[row * headDim + second] = b * cos + a * sin;
    }
  }
  return out;
}

function one(shape: [number, number, number], positions: number[], settings: Settings = {}): Case {
  const { rotary = shape[2], dtype = 'f32', theta = 10_000 } = settings;
  const frequencies = Array.from({ length: rotary / 2 }, (_, i) => theta ** ((-2 * i) / rotary));
  return defineCase({
    name: `rope [${shape}] at ${positions.at(0)}… ${JSON.stringify(settings)}`,
    inputs: {
      x: { shape, dtype },
      positions: { shape: [shape[0]], dtype: 'i32', values: positions },
      frequencies: { shape: [rotary / 2], values: frequencies },
    },
    run: (inputs) => rope(inputs.x, inputs.positions, inputs.frequencies, settings),
    reference: (inputs) => reference(inputs.x, inputs.positions, inputs.frequencies, settings),
    gradients: ['x'],
    terms: 2,
  });
}

const counting = (tokens: number, from = 0): number[] => Array.from({ length: tokens }, (_, i) => from + i);

export const cases: Case[] = [
  one([0, 2, 8], []),
  one([3, 2, 8], [0, 1, 2]),
  one([5, 3, 64], counting(5)),
  one([5, 1, 80], counting(5, 100), { rotary: 32, factor: 1.25 }),
  one([4, 2, 17], counting(4), { rotary: 10 }),
  one([4, 2, 16], counting(4), { interleaved: true }),
  one([4, 2, 34], counting(4), { rotary: 22, interleaved: true, factor: 0.7 }),
  one([6, 2, 64], [0, 1000, 65_535, 100_001, 999_999, 1_000_000]),
  one([3, 1, 128], [7, 131_071, 2 ** 24], { theta: 500_000 }),
  one([7, 9, 64], counting(7, 5), { dtype: 'bf16' }),
  one([7, 2, 64], counting(7, 5), { dtype: 'f16' }),
  one([300, 3, 64], counting(300)),
  defineCase({
    name: 'rope of a view of a fused qkv [6, 5, 8]',
    inputs: {
      qkv: { shape: [6, 5, 8] },
      positions: { shape: [6], dtype: 'i32', values: counting(6) },
      frequencies: { shape: [4], values: [1, 0.1, 0.01, 0.001] },
    },
    run: ({ qkv, positions, frequencies }) => rope(viewOf(qkv, [6, 2, 8], [40, 8, 1], 16), positions, frequencies),
    reference: ({ qkv, positions, frequencies }) => {
      const rows = numbers([6, 2, 8]);
      for (let i = 0; i < rows.data.length; i++) rows.data[i] = qkv.data[Math.floor(i / 16) * 40 + 16 + (i % 16)]!;
      return reference(rows, positions, frequencies, {});
    },
    terms: 2,
  }),
];
