// Cases of causalConv.
import type { DType } from '../core/dtype.js';
import { causalConv } from '../ops/conv.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';
import { silu } from './elementwise.js';

interface Settings {
  dtype?: DType;
  width?: number;
  biased?: boolean;
  silu?: boolean;
}

function reference(x: Numbers, weight: Numbers, bias: Numbers | undefined, ends: Numbers, curved: boolean): Numbers {
  const [, channels] = x.shape as [number, number];
  const width = weight.shape[1]!;
  const out = numbers(x.shape);
  for (let s = 0; s + 1 < ends.data.length; s++) {
    const [begin, end] = [ends.data[s]!, ends.data[s + 1]!];
    for (let t = begin; t < end; t++) {
      for (let c = 0; c < channels; c++) {
        let y = bias?.data[c] ?? 0;
        for (let j = 0; j < width; j++) {
          const from = t + j - (width - 1);
          if (from >= begin) y += weight.data[c * width + j]! * x.data[from * channels + c]!;
        }
        out.data[t * channels + c] = curved ? silu(y) : y;
      }
    }
  }
  return out;
}

function one(channels: number, boundaries: number[], settings: Settings = {}): Case {
  const { dtype = 'f32', width = 4, biased = false, silu = false } = settings;
  const tokens = boundaries.at(-1)!;
  return defineCase({
    name: `causalConv [${tokens}, ${channels}] at ${boundaries} ${JSON.stringify(settings)}`,
    inputs: {
      x: { shape: [tokens, channels], dtype },
      weight: { shape: [channels, width], dtype },
      bias: { shape: [channels], dtype },
      boundaries: { shape: [boundaries.length], dtype: 'i32', values: boundaries },
    },
    run: ({ x, weight, bias, boundaries }) => causalConv(x, weight, { boundaries, silu, ...(biased ? { bias } : {}) }),
    reference: ({ x, weight, bias, boundaries }) => reference(x, weight, biased ? bias : undefined, boundaries, silu),
    gradients: ['x', 'weight', ...(biased ? (['bias'] as const) : [])],
    terms: width + 1,
  });
}

export const cases: Case[] = [
  one(8, [0, 0]),
  one(1, [0, 1]),
  one(5, [0, 7]),
  one(24, [0, 2, 3, 3, 12], { silu: true }),
  one(33, [0, 9, 30], { biased: true }),
  one(130, [0, 5, 6, 20], { biased: true, silu: true, width: 3 }),
  one(16, [2, 6, 9], { silu: true, width: 2 }),
  one(12, [0, 4, 11], { width: 1, silu: true }),
  one(40, [0, 6, 17], { dtype: 'bf16', silu: true }),
  one(9, [0, 17], { dtype: 'f16', biased: true, silu: true }),
  one(8, [0, 700, 1400], { silu: true }),
];
