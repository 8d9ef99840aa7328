// Integer formats; a bool is a byte that holds 0 or 1. Ops compute with i32, u8 and bool, the others are only named.
import type { Family } from './format.js';

const computed = { kind: 'integer', blockElements: 1 } as const;
const named = { kind: 'named', blockElements: 1 } as const;

export const integer = {
  i32: { ...computed, blockBytes: 4, ggml: 26, safetensors: { name: 'I32', order: 6 } },
  u8: { ...computed, blockBytes: 1, safetensors: { name: 'U8', order: 17 } },
  bool: { ...computed, blockBytes: 1, safetensors: { name: 'BOOL', order: 21 } },
  u64: { ...named, blockBytes: 8, safetensors: { name: 'U64', order: 0 } },
  i64: { ...named, blockBytes: 8, ggml: 27, safetensors: { name: 'I64', order: 1 } },
  u32: { ...named, blockBytes: 4, safetensors: { name: 'U32', order: 5 } },
  u16: { ...named, blockBytes: 2, safetensors: { name: 'U16', order: 9 } },
  i16: { ...named, blockBytes: 2, ggml: 25, safetensors: { name: 'I16', order: 10 } },
  i8: { ...named, blockBytes: 1, ggml: 24, safetensors: { name: 'I8', order: 16 } },
} as const satisfies Family;
