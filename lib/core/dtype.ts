// The formats of tensors: the catalogue's, by the numbers that the addon gives them.
import { type AnyDType, type DType, formats } from '../formats/index.js';
import { native } from './native.js';

export { type AnyDType, type BlockDType, type DType, isBlock, isFloat } from '../formats/index.js';

const codes = new Map(native.formats.map(({ name }, code) => [name, code]));

/** The addon's number of a format. */
export function dtypeCode(dtype: AnyDType): number {
  const code = codes.get(dtype);
  if (code === undefined) throw new Error(`the native addon has no format ${dtype}: build it again`);
  return code;
}

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
