// Microscaling formats: 4-bit floats that share a scale of 8 bits, of OCP (mxfp4) and of NVIDIA (nvfp4). Only named.
import type { Family } from './format.js';

/** What the codes of E2M1 stand for: a sign, two bits of an exponent, one of a mantissa (OCP Microscaling Formats, 2023). */
export const fp4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6] as const;

export const mx = {
  mxfp4: { kind: 'named', blockElements: 32, blockBytes: 17, ggml: 39 },
  nvfp4: { kind: 'named', blockElements: 64, blockBytes: 36, ggml: 40 },
} as const satisfies Family;
