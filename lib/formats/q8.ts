// ggml's block formats of 8-bit codes: 32 elements, element = scale · code.
import type { Family } from './format.js';
import { halfAt } from './half.js';

const elements = 32;

export const q8 = {
  /** f16 scale, 32 signed bytes. */
  q8_0: {
    kind: 'block',
    blockElements: elements,
    blockBytes: 34,
    ggml: 8,
    unpack: (block) => Array.from({ length: elements }, (_, i) => halfAt(block, 0) * block.getInt8(2 + i)),
  },
  q8_1: { kind: 'named', blockElements: elements, blockBytes: 36, ggml: 9 },
} as const satisfies Family;
