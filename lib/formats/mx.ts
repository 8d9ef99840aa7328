// Microscaling formats: 4-bit floats that share a scale of 8 bits, of OCP (mxfp4) and of NVIDIA (nvfp4). Only named.
import type { Family } from './format.js';

export const mx = {
  mxfp4: { kind: 'named', blockElements: 32, blockBytes: 17, ggml: 39 },
  nvfp4: { kind: 'named', blockElements: 64, blockBytes: 36, ggml: 40 },
} as const satisfies Family;
