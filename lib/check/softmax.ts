// Cases of softmax and logSoftmax.

import type { DType } from '../core/dtype.js';
import { logSoftmax, softmax } from '../ops/softmax.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';

function reference({ shape, data }: Numbers, log: boolean): Numbers {
  const out = numbers(shape);
  const cols = shape.at(-1)!;
  for (let at = 0; at < data.length; at += cols) {
    const row = data.subarray(at, at + cols);
    const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const sum = row.reduce((a, b) => a + Math.exp(b - most), 0);
    for (const [i, x] of row.entries()) out.data[at + i] = log ? x - most - Math.log(sum) : Math.exp(x - most) / sum;
  }
  return out;
}

function family(name: string, op: typeof softmax, log: boolean): Case[] {
  const one = (shape: number[], dtype: DType = 'f32', values?: readonly number[]): Case =>
    defineCase({
      name: `${name} ${dtype} [${shape}]${values ? ' of given numbers' : ''}`,
      inputs: { x: { shape, dtype, ...(values ? { values } : {}) } },
      run: ({ x }) => op(x),
      reference: ({ x }) => reference(x, log),
      ...(values ? {} : { gradients: ['x'] as const }),
      terms: shape.at(-1)!,
    });
  return [
    one([0, 5]),
    one([3, 1]),
    one([2, 7]),
    one([5, 16]),
    one([3, 2, 17]),
    one([4, 64]),
    one([3, 129], 'bf16'),
    one([3, 100], 'f16'),
    one([70, 300]),
    one([2, 40_000]),
    one([1, 4], 'f32', [1000, 1001, 999, -1000]),
    one([2, 5], 'f32', [0, Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY, 2, Number.NaN, 0, 1, 2, 3]),
    one([1, 3], 'f32', new Array(3).fill(Number.NEGATIVE_INFINITY)),
  ];
}

export const cases: Case[] = [...family('softmax', softmax, false), ...family('logSoftmax', logSoftmax, true)];
