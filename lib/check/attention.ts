// Cases of attention over packed sequences.
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { tensor, viewOf } from '../core/tensor.js';
import { attention } from '../ops/attention.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';

export interface Rules {
  scale?: number;
  causal?: boolean;
  window?: number;
  softcap?: number;
  /** By head. */
  sinks?: readonly number[];
}

/** The rules as the ops take them. */
export const settingsOf = ({ sinks, ...rules }: Rules, device: Device) => ({
  ...rules,
  ...(sinks ? { sinks: tensor([...sinks], { device }) } : {}),
});

type Row = Float64Array;

/** One query at `position` among `keys` keys, of which `key(j)` and `value(j)` give the rows. */
export function attendRow(
  q: Row,
  position: number,
  keys: number,
  key: (j: number) => Row,
  value: (j: number) => Row,
  { scale = q.length ** -0.5, causal = true, window, softcap, sinks }: Rules,
  head = 0,
): Row {
  const first = window ? Math.max(0, position - window + 1) : 0;
  const end = causal ? position + 1 : window ? Math.min(keys, position + window) : keys;
  const scores: number[] = [];
  for (let j = first; j < end; j++) {
    const row = key(j);
    let score = 0;
    for (let i = 0; i < q.length; i++) score += q[i]! * row[i]!;
    score *= scale;
    scores.push(softcap ? softcap * Math.tanh(score / softcap) : score);
  }
  const most = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - most));
  const total = weights.reduce((a, b) => a + b, sinks ? Math.exp(sinks[head]! - most) : 0);
  const out = new Float64Array(q.length);
  for (const [j, weight] of weights.entries()) {
    const row = value(first + j);
    for (let i = 0; i < out.length; i++) out[i]! += (weight / total) * row[i]!;
  }
  return out;
}

export const rowOf = ({ shape, data }: Numbers, ...index: number[]): Row => {
  const width = shape.at(-1)!;
  const at = index.reduce((sum, i, axis) => sum * shape[axis]! + i, 0) * width;
  return data.subarray(at, at + width);
};

export function reference(q: Numbers, k: Numbers, v: Numbers, boundaries: readonly number[], rules: Rules): Numbers {
  const out = numbers(q.shape);
  const [, heads, headDim] = q.shape as [number, number, number];
  const group = heads / k.shape[1]!;
  for (let s = 0; s + 1 < boundaries.length; s++) {
    const [begin, end] = [boundaries[s]!, boundaries[s + 1]!];
    for (let t = begin; t < end; t++) {
      for (let h = 0; h < heads; h++) {
        const kv = Math.floor(h / group);
        const row = attendRow(
          rowOf(q, t, h),
          t - begin,
          end - begin,
          (j) => rowOf(k, begin + j, kv),
          (j) => rowOf(v, begin + j, kv),
          rules,
          h,
        );
        out.data.set(row, (t * heads + h) * headDim);
      }
    }
  }
  return out;
}

interface Settings extends Rules {
  heads: [q: number, kv: number];
  headDim: number;
  boundaries: number[];
  /** Tokens after the last sequence. */
  rest?: number;
  dtypes?: [q: DType, k: DType, v: DType];
  /** Default: all three. */
  gradients?: ('q' | 'k' | 'v')[];
  slack?: number;
}

function one({
  heads,
  headDim,
  boundaries,
  rest = 0,
  dtypes = ['f32', 'f32', 'f32'],
  gradients = ['q', 'k', 'v'],
  slack = 4,
  ...rules
}: Settings): Case {
  const tokens = (boundaries.at(-1) ?? 0) + rest;
  const lengths = boundaries.slice(1).map((end, i) => end - boundaries[i]!);
  return defineCase({
    name: `attention ${dtypes} of ${lengths} tokens, ${heads.join('/')} heads × ${headDim} ${JSON.stringify(rules)}`,
    inputs: {
      q: { shape: [tokens, heads[0], headDim], dtype: dtypes[0] },
      k: { shape: [tokens, heads[1], headDim], dtype: dtypes[1] },
      v: { shape: [tokens, heads[1], headDim], dtype: dtypes[2] },
      boundaries: { shape: [boundaries.length], dtype: 'i32', values: boundaries },
    },
    run: ({ q, k, v, boundaries }) => attention(q, k, v, { boundaries, ...settingsOf(rules, q.device) }),
    reference: ({ q, k, v }) => reference(q, k, v, boundaries, rules),
    gradients,
    terms: headDim + Math.max(0, ...lengths),
    slack,
    flops:
      lengths.reduce((sum, n) => sum + (rules.causal === false ? n * n : (n * (n + 1)) / 2), 0) *
      heads[0] *
      headDim *
      4,
  });
}

const bf16: [DType, DType, DType] = ['bf16', 'bf16', 'bf16'];
const f16: [DType, DType, DType] = ['f16', 'f16', 'f16'];

/** Each head size that tensor cores have a kernel for, in both formats. */
const headSizes: Case[] = [bf16, f16].flatMap((dtypes) =>
  [64, 96, 128, 256].map((headDim) => one({ heads: [2, 1], headDim, boundaries: [0, 19, 45], dtypes })),
);

/**
 * Enough tiles of keys for every stage to be filled again, and again after that. The first tokens see few keys, so their
 * numbers, and with them the roundings of their weights, are several times the root mean square of all.
 */
const long: Case[] = [64, 128].flatMap((headDim) =>
  [{}, { window: 150 }, { causal: false, softcap: 3 }, { causal: false, window: 150 }].map((rules) =>
    one({ heads: [2, 1], headDim, boundaries: [0, 535], dtypes: bf16, gradients: [], slack: 8, ...rules }),
  ),
);

export const cases: Case[] = [
  one({ heads: [4, 2], headDim: 16, boundaries: [0, 21, 21, 50], rest: 2, window: 9, sinks: [0.5, -3, 4, 0] }),
  one({ heads: [2, 1], headDim: 64, boundaries: [0, 40], dtypes: bf16, sinks: [1, -1] }),
  ...headSizes,
  ...long,
  // One key has the weight 1 whatever its score: q and k have gradients of nothing but rounding.
  one({ heads: [2, 2], headDim: 8, boundaries: [0, 1], gradients: ['v'] }),
  one({ heads: [2, 2], headDim: 16, boundaries: [0, 19] }),
  one({ heads: [1, 1], headDim: 1, boundaries: [0, 3] }),
  one({ heads: [6, 2], headDim: 17, boundaries: [0, 0, 5, 5, 40, 41, 41], rest: 3 }),
  one({ heads: [3, 1], headDim: 64, boundaries: [2, 20], rest: 1 }),
  one({ heads: [2, 1], headDim: 8, boundaries: [0, 70, 135] }),
  one({ heads: [2, 1], headDim: 8, boundaries: [0, 21, 30], causal: false }),
  one({ heads: [2, 1], headDim: 8, boundaries: [0, 40, 43], window: 5 }),
  one({ heads: [1, 1], headDim: 8, boundaries: [0, 90], window: 1, gradients: ['v'] }),
  one({ heads: [2, 2], headDim: 8, boundaries: [0, 30], window: 7, causal: false }),
  // Texts of many lengths with windows on both sides: shorter than the window, of one token, and of several tiles.
  one({ heads: [4, 2], headDim: 16, boundaries: [0, 1, 4, 4, 90, 107], rest: 2, window: 9, causal: false }),
  one({ heads: [2, 1], headDim: 64, boundaries: [0, 150, 161], window: 33, causal: false, dtypes: bf16 }),
  one({ heads: [1, 1], headDim: 8, boundaries: [0, 70], window: 1, causal: false, gradients: ['v'] }),
  one({ heads: [4, 2], headDim: 16, boundaries: [0, 25], softcap: 1.5, scale: 0.5 }),
  one({ heads: [4, 2], headDim: 16, boundaries: [0, 33], softcap: 2, window: 9, scale: 0.3 }),
  one({ heads: [2, 1], headDim: 80, boundaries: [0, 9] }),
  one({ heads: [5, 1], headDim: 96, boundaries: [0, 9] }),
  // Five heads to a group: a tile's rows end within a query, and at keys that fill no block.
  one({ heads: [5, 1], headDim: 16, boundaries: [0, 33] }),
  one({ heads: [7, 1], headDim: 8, boundaries: [0, 40], window: 11 }),
  one({ heads: [2, 2], headDim: 128, boundaries: [0, 9] }),
  one({ heads: [2, 1], headDim: 256, boundaries: [0, 9] }),
  // Wider than the tensor cores' kernels, as Gemma 4 has them.
  one({ heads: [2, 1], headDim: 512, boundaries: [0, 11], dtypes: bf16 }),
  one({ heads: [2, 1], headDim: 32, boundaries: [0, 15, 30], dtypes: ['bf16', 'bf16', 'bf16'] }),
  one({ heads: [2, 1], headDim: 20, boundaries: [0, 15, 30], dtypes: ['f16', 'f16', 'f16'] }),
  one({ heads: [2, 1], headDim: 33, boundaries: [0, 15, 30], dtypes: ['f32', 'bf16', 'f16'] }),
  // 16-bit rows in whole 16-byte parts go to tensor cores: each head size, with more than one tile of rows and of keys.
  one({ heads: [2, 2], headDim: 64, boundaries: [0, 70, 70, 141], rest: 2, dtypes: bf16 }),
  one({ heads: [4, 1], headDim: 80, boundaries: [3, 36], dtypes: bf16 }),
  one({ heads: [2, 1], headDim: 96, boundaries: [0, 67], dtypes: f16 }),
  one({ heads: [8, 1], headDim: 128, boundaries: [0, 17, 36], dtypes: bf16 }),
  one({ heads: [2, 1], headDim: 256, boundaries: [0, 35], dtypes: bf16 }),
  one({ heads: [3, 1], headDim: 64, boundaries: [0, 80, 91], window: 21, softcap: 2, scale: 0.2, dtypes: bf16 }),
  one({ heads: [2, 1], headDim: 128, boundaries: [0, 90], causal: false, window: 30, dtypes: f16 }),
  one({ heads: [2, 1], headDim: 64, boundaries: [0, 20, 90], causal: false, scale: -0.1, dtypes: bf16 }),
  one({ heads: [2, 1], headDim: 128, boundaries: [0, 140, 205], dtypes: bf16, gradients: [] }),
  one({ heads: [9, 3], headDim: 64, boundaries: [0, 260], gradients: [] }),
  one({ heads: [2, 1], headDim: 64, boundaries: [0, 1100], window: 600, gradients: [] }),
  one({ heads: [2, 2], headDim: 8, boundaries: [0, 0], gradients: [] }),
  defineCase({
    name: 'attention of views of a fused qkv',
    inputs: { qkv: { shape: [50, 8, 16] }, boundaries: { shape: [3], dtype: 'i32', values: [0, 20, 50] } },
    run: ({ qkv, boundaries }) => {
      const part = (heads: number, from: number) => viewOf(qkv, [50, heads, 16], [128, 16, 1], from * 16);
      return attention(part(4, 0), part(2, 4), part(2, 6), { boundaries });
    },
    reference: ({ qkv }) => {
      const part = (heads: number, from: number): Numbers => {
        const out = numbers([50, heads, 16]);
        for (let t = 0; t < 50; t++) {
          for (let h = 0; h < heads; h++) out.data.set(rowOf(qkv, t, from + h), (t * heads + h) * 16);
        }
        return out;
      };
      return reference(part(4, 0), part(2, 4), part(2, 6), [0, 20, 50], {});
    },
    terms: 64,
  }),
];
