// ggml's block formats of 4-bit codes: 32 elements. The low halves of the 16 bytes are elements 0 to 15, the high halves
// 16 to 31.
import type { Family } from './format.js';
import { halfAt } from './half.js';

const elements = 32;

function codes(block: DataView, first: number): number[] {
  return Array.from({ length: elements }, (_, i) => {
    const byte = block.getUint8(first + (i % 16));
    return i < 16 ? byte & 15 : byte >> 4;
  });
}

export const q4 = {
  /** f16 scale, 16 bytes: scale · (code - 8). */
  q4_0: {
    kind: 'block',
    blockElements: elements,
    blockBytes: 18,
    ggml: 2,
    unpack: (block) => codes(block, 2).map((code) => halfAt(block, 0) * (code - 8)),
  },
  /** f16 scale, f16 minimum, 16 bytes: scale · code + minimum. */
  q4_1: {
    kind: 'block',
    blockElements: elements,
    blockBytes: 20,
    ggml: 3,
    unpack: (block) => codes(block, 4).map((code) => halfAt(block, 0) * code + halfAt(block, 2)),
  },
} as const satisfies Family;
