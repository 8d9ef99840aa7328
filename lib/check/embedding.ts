// Cases of the embedding.
import type { DType } from '../core/dtype.js';
import { embedding } from '../ops/embedding.js';
import { type Case, defineCase, numbers } from './case.js';

function looking(vocab: number, dim: number, ids: number[], dtype: DType = 'f32', out: DType = dtype): Case {
  return defineCase({
    name: `embedding ${dtype} [${vocab},${dim}] by [${ids}], as ${out}`,
    inputs: { weight: { shape: [vocab, dim], dtype }, ids: { shape: ids, dtype: 'i32', values: { below: vocab } } },
    run: ({ weight, ids }) => embedding(weight, ids, { dtype: out }),
    reference: ({ weight, ids: which }) =>
      numbers(
        [...ids, dim],
        Float64Array.from(
          { length: which.data.length * dim },
          (_, i) => weight.data[which.data[Math.floor(i / dim)]! * dim + (i % dim)]!,
        ),
      ),
    gradients: ['weight'],
    terms: ids.reduce((a, b) => a * b, 1),
  });
}

export const cases: Case[] = [
  looking(3, 5, [0]),
  looking(1, 1, []),
  looking(7, 33, [4]),
  looking(5, 20, [2, 30]),
  looking(5, 1030, [9]),
  looking(11, 48, [40], 'bf16'),
  looking(11, 48, [40], 'bf16', 'f32'),
  looking(6, 17, [40], 'f16'),
];
