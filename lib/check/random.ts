// Cases of the constants, the seeded random numbers and dropout: reproducible, so they have exact references.
import type { DType } from '../core/dtype.js';
import { arange, dropout, full, ones, randn, uniform, zeros } from '../ops/random.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';
import { philoxWords } from './philox.js';

const u = (word: number): number => (word >>> 8) / 2 ** 24;

/** A number per element, of the words of its block and its place there. */
function drawn(
  shape: number[],
  seed: number,
  offset: number,
  of: (words: readonly number[], place: number) => number,
): Numbers {
  const out = numbers(shape);
  for (let i = 0; i < out.data.length; i += 4) {
    const words = philoxWords(seed, offset + i / 4);
    for (let k = 0; k < 4 && i + k < out.data.length; k++) out.data[i + k] = of(words, k);
  }
  return out;
}

function boxMuller(words: readonly number[], place: number): number {
  const pair = place & ~1;
  const radius = Math.sqrt(-2 * Math.log(((words[pair]! >>> 8) + 1) / 2 ** 24));
  const angle = 2 * Math.PI * u(words[pair + 1]!);
  return radius * (place & 1 ? Math.sin(angle) : Math.cos(angle));
}

// Makers take no input; this one says where they run.
const place = { place: { shape: [1] } };
const seeds: [seed: number, offset: number][] = [
  [0, 0],
  [42, 3],
  [-1, 0],
  [2 ** 52 + 12345, 2 ** 33 + 7],
];

function random(shape: number[], dtype: DType, seed: number, offset: number): Case[] {
  const label = `${dtype} [${shape}], seed ${seed}, offset ${offset}`;
  return [
    defineCase({
      name: `uniform ${label}`,
      inputs: place,
      run: ({ place: { device } }) => uniform(shape, { dtype, device, seed, offset, low: -2, high: 3 }),
      reference: () => drawn(shape, seed, offset, (words, k) => 5 * u(words[k]!) - 2),
    }),
    defineCase({
      name: `randn ${label}`,
      inputs: place,
      run: ({ place: { device } }) => randn(shape, { dtype, device, seed, offset, mean: 1, deviation: 0.5 }),
      reference: () => drawn(shape, seed, offset, (words, k) => 1 + 0.5 * boxMuller(words, k)),
    }),
    defineCase({
      name: `dropout ${label}`,
      inputs: { x: { shape, dtype } },
      run: ({ x }) => dropout(x, { probability: 0.25, seed, offset }),
      reference: ({ x }) => {
        const kept = drawn(shape, seed, offset, (words, k) => Number(u(words[k]!) >= 0.25));
        return numbers(
          shape,
          x.data.map((value, i) => (value * kept.data[i]!) / 0.75),
        );
      },
      gradients: ['x'],
    }),
  ];
}

function constant(
  name: string,
  make: (device: Parameters<typeof zeros>[1]) => ReturnType<typeof zeros>,
  want: Numbers,
): Case {
  return defineCase({ name, inputs: place, run: ({ place: { device } }) => make({ device }), reference: () => want });
}

export const cases: Case[] = [
  ...seeds.flatMap(([seed, offset]) => random([3, 7], 'f32', seed, offset)),
  ...random([0], 'f32', 1, 0),
  ...random([5000], 'f32', 1, 0),
  ...random([33], 'bf16', 5, 1),
  ...random([33], 'f16', 5, 1),
  constant('zeros [2,3]', (o) => zeros([2, 3], o), numbers([2, 3])),
  constant('ones bf16 [33]', (o) => ones([33], { ...o, dtype: 'bf16' }), numbers([33], new Array(33).fill(1))),
  constant('full i32 [5]', (o) => full([5], -7, { ...o, dtype: 'i32' }), numbers([5], new Array(5).fill(-7))),
  constant(
    'full of an infinity',
    (o) => full([3], -Infinity, { ...o, dtype: 'f16' }),
    numbers([3], new Array(3).fill(-Infinity)),
  ),
  constant('full bool []', (o) => full([], 3, { ...o, dtype: 'bool' }), numbers([], [1])),
  constant('arange 5', (o) => arange(5, o), numbers([5], [0, 1, 2, 3, 4])),
  constant(
    'arange 1 to 2 by 0.25',
    (o) => arange(2, { ...o, start: 1, step: 0.25 }),
    numbers([4], [1, 1.25, 1.5, 1.75]),
  ),
];
