// Cases of linearCrossEntropy and crossEntropy.
import type { DType } from '../core/dtype.js';
import { crossEntropy, linearCrossEntropy } from '../ops/loss.js';
import { type Case, defineCase, type Numbers, numbers, seeded } from './case.js';
import { product } from './matmul.js';

/** One loss for each row of logits; 0 where the target is negative. */
function losses(logits: Numbers, targets: Numbers): Numbers {
  const [rows, classes] = logits.shape as [number, number];
  const out = numbers([rows]);
  for (let i = 0; i < rows; i++) {
    const target = targets.data[i]!;
    if (target < 0) continue;
    const row = logits.data.subarray(i * classes, (i + 1) * classes);
    const top = row.reduce((x, y) => Math.max(x, y), Number.NEGATIVE_INFINITY);
    out.data[i] = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0)) - row[target]!;
  }
  return out;
}

/** Seeded targets; about one in `skipped` is negative. */
function drawTargets(tokens: number, vocab: number, skipped: number): number[] {
  const random = seeded(tokens + vocab);
  return Array.from({ length: tokens }, () => {
    const target = Math.floor(random() * vocab);
    return skipped && random() * skipped < 1 ? -100 : target;
  });
}

interface Variant {
  x?: DType;
  weight?: DType;
  softcap?: number;
  skipped?: number;
}

function fused(tokens: number, hidden: number, vocab: number, variant: Variant = {}): Case {
  const { x: dtype = 'f32', weight = 'f32', softcap = 0, skipped = 0 } = variant;
  const how = `${softcap ? `, softcap ${softcap}` : ''}${skipped ? `, 1 in ${skipped} without a target` : ''}`;
  return defineCase({
    name: `linearCrossEntropy ${dtype} [${tokens},${hidden}], ${weight} weight [${vocab},${hidden}]${how}`,
    inputs: {
      x: { shape: [tokens, hidden], dtype },
      weight: { shape: [vocab, hidden], dtype: weight },
      targets: { shape: [tokens], dtype: 'i32', values: drawTargets(tokens, vocab, skipped) },
    },
    run: ({ x, weight, targets }) => linearCrossEntropy(x, weight, targets, { softcap }),
    reference: ({ x, weight, targets }) => {
      const { shape, data } = product(x, weight, false, true);
      const logits = softcap ? data.map((z) => softcap * Math.tanh(z / softcap)) : data;
      return losses(numbers(shape, logits), targets);
    },
    gradients: ['x', 'weight'],
    terms: hidden,
    flops: 2 * tokens * hidden * vocab,
  });
}

function plain(rows: number, classes: number, dtype: DType, skipped = 0): Case {
  return defineCase({
    name: `crossEntropy ${dtype} [${rows},${classes}]${skipped ? `, 1 in ${skipped} without a target` : ''}`,
    inputs: {
      logits: { shape: [rows, classes], dtype },
      targets: { shape: [rows], dtype: 'i32', values: drawTargets(rows, classes, skipped) },
    },
    run: ({ logits, targets }) => crossEntropy(logits, targets),
    reference: ({ logits, targets }) => losses(logits, targets),
    gradients: ['logits'],
    terms: classes,
  });
}

// The CPU's kernel takes 1024 tokens and 2048 words at a time.
export const cases: Case[] = [
  fused(0, 4, 5),
  fused(1, 1, 1),
  fused(3, 8, 17),
  fused(9, 33, 100, { skipped: 3 }),
  fused(20, 48, 65, { x: 'bf16', weight: 'bf16', skipped: 4 }),
  fused(12, 16, 40, { softcap: 5 }),
  fused(12, 16, 33, { x: 'f16', softcap: 2, skipped: 2 }),
  fused(6, 20, 2049, { weight: 'bf16', softcap: 3 }),
  fused(3, 8, 4200, { skipped: 3 }),
  fused(1030, 4, 6, { skipped: 50 }),
  fused(1030, 4, 6, { weight: 'bf16', x: 'bf16' }),
  // The GPU in software takes 128 tokens at a time of these.
  fused(300, 24, 72, { skipped: 5 }),
  fused(300, 24, 72, { x: 'bf16', weight: 'bf16' }),
  plain(0, 4, 'f32'),
  plain(5, 1, 'f32'),
  plain(7, 33, 'f32', 3),
  plain(4, 20, 'bf16'),
];
