// Cases of sample and penalize. The reference follows Hugging Face's warpers step by step, by a full sort.
import { cast } from '../ops/copy.js';
import { affine } from '../ops/elementwise.js';
import { penalize, type SamplingOptions, sample } from '../ops/sample.js';
import { type Case, defineCase, numbers } from './case.js';
import { philoxWords } from './philox.js';

/** The probabilities that are left after all options, summing up to 1. */
export function probabilities(logits: ArrayLike<number>, options: SamplingOptions): number[] {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const order = Array.from({ length: logits.length }, (_, i) => i).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const high = logits[order[0]!]!;
  const w = Array.from(logits, (logit) => Math.exp((logit - high) / temperature));
  const keep = (test: (token: number) => boolean): void => {
    for (const token of order) if (!test(token)) w[token] = 0;
  };
  if (topK > 0 && topK < order.length) {
    const last = logits[order[topK - 1]!]!;
    keep((token) => logits[token]! >= last);
  }
  if (topP < 1) {
    const goal = topP * w.reduce((a, b) => a + b, 0);
    let sum = 0;
    keep((token) => {
      const needed = token === order[0] || sum < goal;
      sum += w[token]!;
      return needed;
    });
  }
  keep((token) => w[token]! >= minP);
  const total = w.reduce((a, b) => a + b, 0);
  return w.map((value) => value / total);
}

export function referenceToken(logits: ArrayLike<number>, options: SamplingOptions): number {
  if (options.temperature === 0) return Array.from(logits).indexOf(Math.max(...Array.from(logits)));
  const p = probabilities(logits, options);
  const u = (philoxWords(options.seed ?? 0, options.step ?? 0)[0]! >>> 8) / 2 ** 24;
  let sum = 0;
  return p.findIndex((value) => {
    sum += value;
    return sum > u;
  });
}

function choosing(
  rows: number,
  vocab: number,
  options: SamplingOptions,
  spread = 2,
  dtype: 'f32' | 'bf16' = 'f32',
): Case {
  const each = Array.from({ length: rows }, (_, row) => ({ ...options, seed: 1000 * row + 17, step: row }));
  return defineCase({
    name: `sample ${dtype} [${rows},${vocab}] ${JSON.stringify(options)} spread ${spread}`,
    inputs: { logits: { shape: [rows, vocab], dtype } },
    run: ({ logits }) => cast(sample(affine(logits, spread, 0), each), 'f32'),
    reference: ({ logits }) =>
      numbers(
        [rows],
        each.map((row, i) =>
          referenceToken(
            logits.data.slice(i * vocab, (i + 1) * vocab).map((x) => x * spread),
            row,
          ),
        ),
      ),
  });
}

function penalizing(rows: number, vocab: number, count: number, dtype: 'f32' | 'bf16' = 'f32'): Case {
  return defineCase({
    name: `penalize ${dtype} [${rows},${vocab}] by ${count} tokens`,
    inputs: {
      logits: { shape: [rows, vocab], dtype },
      tokens: {
        shape: [rows, count],
        dtype: 'i32',
        values: Array.from({ length: rows * count }, (_, i) => ((i * 7) % (vocab + 1)) - 1),
      },
      penalties: { shape: [rows], values: 'positive' },
    },
    run: ({ logits, tokens, penalties }) => penalize(cast(logits, dtype, { copy: true }), tokens, penalties),
    reference: ({ logits, tokens, penalties }) => {
      const out = numbers([rows, vocab], logits.data);
      for (let row = 0; row < rows; row++) {
        for (const token of new Set(tokens.data.subarray(row * count, (row + 1) * count))) {
          if (token < 0) continue;
          const at = row * vocab + token;
          out.data[at]! *= out.data[at]! < 0 ? penalties.data[row]! : 1 / penalties.data[row]!;
        }
      }
      return out;
    },
  });
}

export const cases: Case[] = [
  choosing(4, 1, {}),
  choosing(40, 50, {}),
  choosing(3, 1000, { temperature: 0 }),
  choosing(8, 777, { temperature: 0.7 }),
  choosing(8, 777, { topK: 1 }),
  choosing(8, 777, { topK: 5, temperature: 1.5 }),
  choosing(8, 777, { topK: 776 }),
  choosing(8, 5000, { topP: 0.9 }),
  choosing(8, 5000, { topP: 0.9 }, 0.001),
  choosing(8, 5000, { topP: 0 }),
  choosing(8, 5000, { minP: 0.1 }, 4),
  choosing(8, 5000, { topK: 40, topP: 0.8, minP: 0.05, temperature: 0.8 }, 3),
  choosing(4, 5000, { topK: 3000, topP: 0.99 }, 0.01),
  choosing(4, 20000, { topP: 0.5, temperature: 30 }),
  penalizing(1, 9, 4),
  penalizing(3, 50, 100),
  penalizing(2, 20, 30, 'bf16'),
];
