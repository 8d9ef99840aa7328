// Cases of gatedDelta and gatedScan, with the recurrence token by token as the reference.
import type { DType } from '../core/dtype.js';
import { gatedDelta, gatedScan } from '../ops/delta.js';
import { affine, neg, sigmoid, softplus } from '../ops/elementwise.js';
import { rmsNorm } from '../ops/norm.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';

interface Sizes {
  keyHeads: number;
  heads: number;
  dk: number;
  dv: number;
}

interface Settings {
  dtype?: DType;
  /** Decays are e^(−ln(1 + e^x) · this). Default 1. */
  forgetting?: number;
  /** gatedScan, which has no strength. */
  scan?: boolean;
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** `x` over its length in each row of `d` numbers. */
function unit(x: Numbers, d: number): Float64Array {
  const out = new Float64Array(x.data.length);
  for (let at = 0; at < out.length; at += d) {
    const row = x.data.subarray(at, at + d);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) + 1e-6);
    for (let i = 0; i < d; i++) out[at + i] = row[i]! / length;
  }
  return out;
}

function reference(
  inputs: Record<'q' | 'k' | 'v' | 'x' | 'b' | 'boundaries', Numbers>,
  sizes: Sizes,
  scale: number,
  scan: boolean,
) {
  const { keyHeads, heads, dk, dv } = sizes;
  const { v, x, b, boundaries } = inputs;
  const [q, k] = [unit(inputs.q, dk), unit(inputs.k, dk)];
  const out = numbers(v.shape);
  for (let s = 0; s + 1 < boundaries.data.length; s++) {
    for (let h = 0; h < heads; h++) {
      const state = new Float64Array(dk * dv);
      const keyHead = Math.floor((h * keyHeads) / heads);
      for (let t = boundaries.data[s]!; t < boundaries.data[s + 1]!; t++) {
        const gate = x.data[t * heads + h]!;
        const decay = Math.exp(-scale * (Math.max(gate, 0) + Math.log1p(Math.exp(-Math.abs(gate)))));
        const strength = logistic(b.data[t * heads + h]!);
        const key = k.subarray((t * keyHeads + keyHead) * dk, (t * keyHeads + keyHead + 1) * dk);
        const query = q.subarray((t * keyHeads + keyHead) * dk, (t * keyHeads + keyHead + 1) * dk);
        for (let j = 0; j < dv; j++) {
          let held = 0;
          for (let c = 0; c < dk; c++) {
            state[c * dv + j]! *= decay;
            held += key[c]! * state[c * dv + j]!;
          }
          const value = v.data[(t * heads + h) * dv + j]!;
          const u = scan ? value : strength * (value - held);
          let sum = 0;
          for (let c = 0; c < dk; c++) {
            state[c * dv + j]! += key[c]! * u;
            sum += query[c]! * state[c * dv + j]!;
          }
          out.data[(t * heads + h) * dv + j] = sum;
        }
      }
    }
  }
  return out;
}

function one(sizes: Sizes, boundaries: number[], settings: Settings = {}): Case {
  const { keyHeads, heads, dk, dv } = sizes;
  const { scan = false, ...shown } = settings;
  const { dtype = 'f32', forgetting = 1 } = shown;
  const tokens = boundaries.at(-1)!;
  return defineCase({
    name: `${scan ? 'gatedScan' : 'gatedDelta'} ${Object.values(sizes)} at ${boundaries} ${JSON.stringify(shown)}`,
    inputs: {
      q: { shape: [tokens, keyHeads, dk], dtype },
      k: { shape: [tokens, keyHeads, dk], dtype },
      v: { shape: [tokens, heads, dv], dtype },
      x: { shape: [tokens, heads] },
      b: { shape: [tokens, heads] },
      lengths: { shape: [dk], values: Array(dk).fill(dk ** -0.5) },
      boundaries: { shape: [boundaries.length], dtype: 'i32', values: boundaries },
    },
    run({ q, k, v, x, b, lengths, boundaries }) {
      const unit = { eps: 1e-6 / dk };
      const g = affine(neg(softplus(x)), forgetting, 0);
      const inputs = { q: rmsNorm(q, lengths, unit), k: rmsNorm(k, lengths, unit), v, g };
      return scan ? gatedScan(inputs, { boundaries }) : gatedDelta({ ...inputs, strength: sigmoid(b) }, { boundaries });
    },
    reference: (inputs) => reference(inputs, sizes, forgetting, scan),
    gradients: ['q', 'k', 'v', 'x', ...(scan ? [] : (['b'] as const))],
    terms: dk + dv,
  });
}

export const cases: Case[] = [
  one({ keyHeads: 1, heads: 2, dk: 4, dv: 4 }, [0, 0]),
  one({ keyHeads: 1, heads: 1, dk: 3, dv: 5 }, [0, 1]),
  one({ keyHeads: 2, heads: 2, dk: 8, dv: 8 }, [0, 6]),
  one({ keyHeads: 2, heads: 6, dk: 16, dv: 12 }, [0, 3, 3, 20]),
  one({ keyHeads: 1, heads: 2, dk: 12, dv: 40 }, [1, 9, 75]),
  one({ keyHeads: 1, heads: 1, dk: 20, dv: 33 }, [0, 64, 193], { forgetting: 0.01 }),
  one({ keyHeads: 1, heads: 2, dk: 72, dv: 66 }, [0, 35]),
  { ...one({ keyHeads: 1, heads: 2, dk: 128, dv: 128 }, [0, 70]), gradients: [] },
  one({ keyHeads: 1, heads: 1, dk: 8, dv: 8 }, [0, 100], { forgetting: 15 }),
  one({ keyHeads: 1, heads: 1, dk: 136, dv: 9 }, [0, 21]),
  // Keys and queries of length 1 are rounded to 16 bits before they meet.
  { ...one({ keyHeads: 1, heads: 2, dk: 16, dv: 16 }, [0, 30], { dtype: 'bf16' }), slack: 8 },
  // Chunks and blocks of rows that end inside of a tensor core's tile.
  { ...one({ keyHeads: 1, heads: 2, dk: 72, dv: 66 }, [0, 3, 74], { dtype: 'bf16' }), slack: 8, gradients: [] },
  { ...one({ keyHeads: 1, heads: 2, dk: 24, dv: 36 }, [0, 3, 40], { dtype: 'bf16' }), slack: 8 },
  { ...one({ keyHeads: 1, heads: 1, dk: 20, dv: 33 }, [1, 65, 90], { dtype: 'f16' }), slack: 8 },
  one({ keyHeads: 1, heads: 1, dk: 3, dv: 5 }, [0, 0], { scan: true }),
  one({ keyHeads: 1, heads: 2, dk: 4, dv: 7 }, [0, 1], { scan: true }),
  one({ keyHeads: 2, heads: 6, dk: 16, dv: 12 }, [1, 3, 3, 20], { scan: true }),
  // More heads than one task takes.
  one({ keyHeads: 1, heads: 19, dk: 5, dv: 4 }, [2, 40, 70], { scan: true }),
  one({ keyHeads: 1, heads: 17, dk: 4, dv: 3 }, [0, 9]),
  one({ keyHeads: 1, heads: 1, dk: 20, dv: 33 }, [0, 64, 193], { scan: true, forgetting: 0.01 }),
  one({ keyHeads: 1, heads: 1, dk: 8, dv: 8 }, [0, 100], { scan: true, forgetting: 15 }),
  { ...one({ keyHeads: 1, heads: 2, dk: 256, dv: 64 }, [0, 70], { scan: true }), gradients: [] },
  { ...one({ keyHeads: 1, heads: 2, dk: 16, dv: 16 }, [0, 30], { scan: true, dtype: 'bf16' }), slack: 8 },
];
