// ggml's block formats of 5-bit codes. Only named.
import type { Family } from './format.js';

export const q5 = {
  q5_0: { kind: 'named', blockElements: 32, blockBytes: 22, ggml: 6 },
  q5_1: { kind: 'named', blockElements: 32, blockBytes: 24, ggml: 7 },
} as const satisfies Family;
