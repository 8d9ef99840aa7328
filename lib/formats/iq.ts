// ggml's I formats, whose codes are places in tables of numbers or of whole groups. Only named.
import type { Family } from './format.js';

const named = { kind: 'named', blockElements: 256 } as const;

export const iq = {
  iq1_s: { ...named, blockBytes: 50, ggml: 19 },
  iq1_m: { ...named, blockBytes: 56, ggml: 29 },
  iq2_xxs: { ...named, blockBytes: 66, ggml: 16 },
  iq2_xs: { ...named, blockBytes: 74, ggml: 17 },
  iq2_s: { ...named, blockBytes: 82, ggml: 22 },
  iq3_xxs: { ...named, blockBytes: 98, ggml: 18 },
  iq3_s: { ...named, blockBytes: 110, ggml: 21 },
  iq4_nl: { kind: 'named', blockElements: 32, blockBytes: 18, ggml: 20 },
  iq4_xs: { ...named, blockBytes: 136, ggml: 23 },
} as const satisfies Family;
