// ggml's formats of one bit or of three values an element. Only named.
import type { Family } from './format.js';

export const tiny = {
  tq1_0: { kind: 'named', blockElements: 256, blockBytes: 54, ggml: 34 },
  tq2_0: { kind: 'named', blockElements: 256, blockBytes: 66, ggml: 35 },
  q1_0: { kind: 'named', blockElements: 128, blockBytes: 18, ggml: 41 },
} as const satisfies Family;
