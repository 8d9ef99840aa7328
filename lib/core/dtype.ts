// Number formats, in the order of native/dtype.h.

const formats = {
  f32: { code: 0, blockElements: 1, blockBytes: 4 },
  bf16: { code: 1, blockElements: 1, blockBytes: 2 },
  f16: { code: 2, blockElements: 1, blockBytes: 2 },
  i32: { code: 3, blockElements: 1, blockBytes: 4 },
  u8: { code: 4, blockElements: 1, blockBytes: 1 },
  bool: { code: 5, blockElements: 1, blockBytes: 1 },
  q8_0: { code: 6, blockElements: 32, blockBytes: 34 },
  q4_0: { code: 7, blockElements: 32, blockBytes: 18 },
  q4_1: { code: 8, blockElements: 32, blockBytes: 20 },
} as const;

/** Formats that ops compute with. */
export type DType = 'f32' | 'bf16' | 'f16' | 'i32' | 'u8' | 'bool';
/** Formats whose elements share a scale, in blocks of 32. Storage only: `dequantize` makes them computable. */
export type BlockDType = 'q8_0' | 'q4_0' | 'q4_1';
export type AnyDType = DType | BlockDType;

export const isDType = (name: string): name is AnyDType => Object.hasOwn(formats, name);
export const isFloat = (dtype: AnyDType): boolean => dtype === 'f32' || dtype === 'bf16' || dtype === 'f16';
export const isBlock = (dtype: AnyDType): dtype is BlockDType => formats[dtype].blockElements > 1;
export const dtypeCode = (dtype: AnyDType): number => formats[dtype].code;

/** Bytes that `size` elements take. `size` is a multiple of the block. */
export function bytesOf(dtype: AnyDType, size: number): number {
  const { blockElements, blockBytes } = formats[dtype];
  return (size / blockElements) * blockBytes;
}

export const blockElements = (dtype: AnyDType): number => formats[dtype].blockElements;

/** The format that holds both floating-point ones without loss: f32 unless the two are the same 16-bit format. */
export function widerFloat(a: AnyDType, b: AnyDType): DType {
  return a === b ? (a as DType) : 'f32';
}
