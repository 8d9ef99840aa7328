// ggml's K formats: blocks of 256 elements in groups, whose scales are quantised too. Only named.
import type { Family } from './format.js';

const named = { kind: 'named', blockElements: 256 } as const;

export const k = {
  q2_k: { ...named, blockBytes: 84, ggml: 10 },
  q3_k: { ...named, blockBytes: 110, ggml: 11 },
  q4_k: { ...named, blockBytes: 144, ggml: 12 },
  q5_k: { ...named, blockBytes: 176, ggml: 13 },
  q6_k: { ...named, blockBytes: 210, ggml: 14 },
  q8_k: { ...named, blockBytes: 292, ggml: 15 },
} as const satisfies Family;
