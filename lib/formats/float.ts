// Floating-point formats. Those of fewer than 16 bits and of 64 are only named.
import type { Family } from './format.js';

const named = { kind: 'named', blockElements: 1 } as const;

export const float = {
  f32: { kind: 'float', blockElements: 1, blockBytes: 4, ggml: 0, safetensors: { name: 'F32', order: 4 } },
  bf16: { kind: 'float', blockElements: 1, blockBytes: 2, ggml: 30, safetensors: { name: 'BF16', order: 7 } },
  f16: { kind: 'float', blockElements: 1, blockBytes: 2, ggml: 1, safetensors: { name: 'F16', order: 8 } },
  f64: { ...named, blockBytes: 8, ggml: 28, safetensors: { name: 'F64', order: 2 } },
  c64: { ...named, blockBytes: 8, safetensors: { name: 'C64', order: 3 } },
  f8_e5m2fnuz: { ...named, blockBytes: 1, safetensors: { name: 'F8_E5M2FNUZ', order: 11 } },
  f8_e4m3fnuz: { ...named, blockBytes: 1, safetensors: { name: 'F8_E4M3FNUZ', order: 12 } },
  f8_e8m0: { ...named, blockBytes: 1, safetensors: { name: 'F8_E8M0', order: 13 } },
  f8_e4m3: { ...named, blockBytes: 1, safetensors: { name: 'F8_E4M3', order: 14 } },
  f8_e5m2: { ...named, blockBytes: 1, safetensors: { name: 'F8_E5M2', order: 15 } },
  // Packed without holes: four elements in three bytes, two in one.
  f6_e3m2: { kind: 'named', blockElements: 4, blockBytes: 3, safetensors: { name: 'F6_E3M2', order: 18 } },
  f6_e2m3: { kind: 'named', blockElements: 4, blockBytes: 3, safetensors: { name: 'F6_E2M3', order: 19 } },
  f4: { kind: 'named', blockElements: 2, blockBytes: 1, safetensors: { name: 'F4', order: 20 } },
} as const satisfies Family;
