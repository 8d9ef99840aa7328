// Microscaling formats: 4-bit floats that share a scale of 8 bits, of OCP (mxfp4) and of NVIDIA (nvfp4, which is only named).
import type { Family } from './format.js';

/** What the codes of E2M1 stand for: a sign, two bits of an exponent, one of a mantissa (OCP Microscaling Formats, 2023). */
export const fp4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6] as const;

export const mx = {
  /** An exponent e, 16 bytes, whose low halves are elements 0 to 15: 2^(e - 127) · the number of a code. */
  mxfp4: {
    kind: 'block',
    blockElements: 32,
    blockBytes: 17,
    ggml: 39,
    unpack: (block) => {
      const scale = 2 ** (block.getUint8(0) - 127);
      return Array.from({ length: 32 }, (_, i) => {
        const byte = block.getUint8(1 + (i % 16));
        return scale * fp4[i < 16 ? byte & 15 : byte >> 4]!;
      });
    },
  },
  nvfp4: { kind: 'named', blockElements: 64, blockBytes: 36, ggml: 40 },
} as const satisfies Family;
