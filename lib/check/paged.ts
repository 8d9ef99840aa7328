// Cases of the paged key-value cache.
import type { DType } from '../core/dtype.js';
import { pagedAppend, pagedAttention } from '../ops/paged.js';
import { attendRow, type Rules, rowOf, settingsOf } from './attention.js';
import { type Case, defineCase, type Numbers, numbers, seeded } from './case.js';

interface Settings extends Rules {
  heads: [q: number, kv: number];
  headDim: number;
  blockSize: number;
  /** Per sequence: its new tokens, and its keys with them. */
  sequences: [queries: number, keys: number][];
  dtypes?: [q: DType, cache: DType];
}

/** Numbers below `count` in random order. */
function shuffled(count: number): number[] {
  const random = seeded(count);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

function attend({ heads, headDim, blockSize, sequences, dtypes = ['f32', 'f32'], ...rules }: Settings): Case {
  const boundaries = [0];
  for (const [queries] of sequences) boundaries.push(boundaries.at(-1)! + queries);
  const tokens = boundaries.at(-1)!;
  const maxBlocks = 1 + Math.max(...sequences.map(([, keys]) => Math.ceil(keys / blockSize)));
  const blocks = sequences.length * maxBlocks;
  const order = shuffled(blocks);
  // Entries beyond a sequence's keys are never read, so they may be anything.
  const tables = order.map((block, i) =>
    (i % maxBlocks) * blockSize < sequences[Math.floor(i / maxBlocks)]![1] ? block : -1,
  );
  const cache = { shape: [blocks, heads[1], blockSize, headDim], dtype: dtypes[1] };
  return defineCase({
    name: `pagedAttention ${dtypes} of ${sequences.map((s) => s.join(' of ')).join(', ')} tokens, ${heads.join('/')} heads × ${headDim}, blocks of ${blockSize} ${JSON.stringify(rules)}`,
    inputs: {
      q: { shape: [tokens, heads[0], headDim], dtype: dtypes[0] },
      kCache: cache,
      vCache: cache,
      blockTables: { shape: [sequences.length, maxBlocks], dtype: 'i32', values: tables },
      boundaries: { shape: [boundaries.length], dtype: 'i32', values: boundaries },
      lengths: { shape: [sequences.length], dtype: 'i32', values: sequences.map(([, keys]) => keys) },
    },
    run: ({ q, kCache, vCache, ...rest }) =>
      pagedAttention(q, kCache, vCache, { ...rest, ...settingsOf(rules, q.device) }),
    reference: ({ q, kCache, vCache }) => {
      const out = numbers(q.shape);
      for (const [s, [queries, keys]] of sequences.entries()) {
        for (let n = 0; n < queries && keys > 0; n++) {
          for (let h = 0; h < heads[0]; h++) {
            const kv = Math.floor((h * heads[1]) / heads[0]);
            const row = (from: Numbers) => (j: number) =>
              rowOf(from, tables[s * maxBlocks + Math.floor(j / blockSize)]!, kv, j % blockSize);
            const token = boundaries[s]! + n;
            out.data.set(
              attendRow(rowOf(q, token, h), keys - queries + n, keys, row(kCache), row(vCache), rules, h),
              (token * heads[0] + h) * headDim,
            );
          }
        }
      }
      return out;
    },
    terms: headDim + Math.max(...sequences.map(([, keys]) => keys)),
    flops: sequences.reduce((sum, [queries, keys]) => sum + queries * (keys - queries / 2), 0) * heads[0] * headDim * 4,
  });
}

function append(name: string, slots: number[], dtypes: [kv: DType, cache: DType]): Case {
  const cache = { shape: [4, 2, 8, 19], dtype: dtypes[1] };
  const rows = { shape: [slots.length, 2, 19], dtype: dtypes[0] };
  return defineCase({
    name: `pagedAppend ${dtypes.join(' into ')}, ${name}`,
    inputs: {
      kCache: cache,
      vCache: cache,
      k: rows,
      v: rows,
      slots: { shape: [slots.length], dtype: 'i32', values: slots },
    },
    run: ({ kCache, vCache, k, v, slots }) => {
      pagedAppend(kCache, vCache, k, v, slots);
      return [kCache, vCache];
    },
    reference: ({ kCache, vCache, k, v }) =>
      (
        [
          [kCache, k],
          [vCache, v],
        ] as const
      ).map(([before, added]) => {
        const out = numbers(before.shape, before.data);
        for (const [token, slot] of slots.entries()) {
          for (let head = 0; head < 2 && slot >= 0; head++) {
            rowOf(out, Math.floor(slot / 8), head, slot % 8).set(rowOf(added, token, head));
          }
        }
        return out;
      }),
  });
}

/** Each head size that tensor cores have a kernel for, in both formats: decoding, and a prompt beside it. */
const headSizes: Case[] = (['bf16', 'f16'] as const).flatMap((dtype) =>
  [64, 96, 128, 256].map((headDim) =>
    attend({
      heads: [2, 1],
      headDim,
      blockSize: 16,
      sequences: [
        [1, 40],
        [21, 53],
      ],
      dtypes: [dtype, dtype],
    }),
  ),
);

/** More blocks than a small GPU has multiprocessors: where two do not fit on one, they are made smaller. */
const manyBlocks: Case[] = (['bf16', 'f16'] as const).flatMap((dtype) =>
  [128, 256].map((headDim) =>
    attend({
      heads: [4, 2],
      headDim,
      blockSize: 16,
      sequences: [
        [1, 70],
        [1, 130],
        [1, 200],
      ],
      dtypes: [dtype, dtype],
    }),
  ),
);

export const cases: Case[] = [
  ...headSizes,
  ...manyBlocks,
  append('in order', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], ['f32', 'f32']),
  append('scattered, some skipped', [31, -1, 0, 17, -1, 8], ['f32', 'bf16']),
  append('narrower rows', [3, 12], ['bf16', 'f32']),
  append('one format', [3, 12, 30], ['f16', 'f16']),
  append('nothing', [], ['f32', 'f32']),
  attend({ heads: [1, 1], headDim: 8, blockSize: 4, sequences: [[1, 1]] }),
  attend({
    heads: [4, 2],
    headDim: 24,
    blockSize: 8,
    sequences: [
      [1, 70],
      [1, 0],
      [21, 40],
      [1, 1],
    ],
    window: 30,
    sinks: [0.5, -3, 4, 0],
  }),
  attend({
    heads: [2, 1],
    headDim: 64,
    blockSize: 16,
    sequences: [
      [1, 200],
      [19, 33],
    ],
    dtypes: ['bf16', 'bf16'],
    sinks: [1, -1],
  }),
  attend({ heads: [3, 1], headDim: 64, blockSize: 16, sequences: [[1, 37]] }),
  attend({
    heads: [6, 2],
    headDim: 17,
    blockSize: 5,
    sequences: [
      [1, 1],
      [1, 16],
      [1, 64],
      [1, 131],
    ],
  }),
  attend({
    heads: [8, 1],
    headDim: 80,
    blockSize: 32,
    sequences: [
      [1, 700],
      [0, 5],
      [1, 512],
      [1, 0],
      [1, 513],
    ],
  }),
  attend({ heads: [7, 1], headDim: 128, blockSize: 32, sequences: [[1, 1500]], dtypes: ['f32', 'bf16'] }),
  attend({ heads: [5, 1], headDim: 33, blockSize: 32, sequences: [[1, 70]], dtypes: ['bf16', 'bf16'] }),
  attend({
    heads: [2, 2],
    headDim: 256,
    blockSize: 16,
    sequences: [
      [1, 70],
      [3, 9],
    ],
    dtypes: ['bf16', 'f16'],
  }),
  attend({
    heads: [4, 2],
    headDim: 16,
    blockSize: 8,
    sequences: [
      [1, 1200],
      [1, 30],
    ],
    window: 100,
  }),
  attend({
    heads: [4, 2],
    headDim: 16,
    blockSize: 8,
    sequences: [
      [1, 50],
      [4, 50],
    ],
    softcap: 1.5,
    scale: 0.5,
  }),
  attend({ heads: [4, 2], headDim: 16, blockSize: 8, sequences: [[30, 30]] }),
  attend({
    heads: [9, 3],
    headDim: 64,
    blockSize: 32,
    sequences: [
      [100, 400],
      [1, 9],
      [2, 2],
      [70, 71],
    ],
    dtypes: ['f32', 'bf16'],
  }),
  attend({ heads: [2, 1], headDim: 24, blockSize: 7, sequences: [[40, 150]], window: 33, softcap: 3 }),
  // One 16-bit format for all goes to tensor cores: decoding alone, with long prompts beside it, and with a few new tokens.
  attend({
    heads: [8, 2],
    headDim: 64,
    blockSize: 32,
    sequences: [
      [1, 300],
      [1, 1],
      [1, 0],
      [1, 97],
    ],
    dtypes: ['bf16', 'bf16'],
  }),
  attend({
    heads: [4, 1],
    headDim: 128,
    blockSize: 32,
    sequences: [
      [1, 200],
      [40, 75],
      [3, 50],
      [0, 9],
    ],
    dtypes: ['bf16', 'bf16'],
  }),
  attend({
    heads: [2, 2],
    headDim: 80,
    blockSize: 5,
    sequences: [
      [1, 66],
      [20, 20],
    ],
    window: 11,
    softcap: 2,
    dtypes: ['f16', 'f16'],
  }),
  attend({ heads: [20, 1], headDim: 256, blockSize: 32, sequences: [[1, 150]], window: 100, dtypes: ['f16', 'f16'] }),
  attend({
    heads: [2, 1],
    headDim: 512,
    blockSize: 16,
    sequences: [
      [1, 20],
      [5, 5],
    ],
    dtypes: ['bf16', 'bf16'],
  }),
];
