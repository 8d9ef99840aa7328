// The catalogue of number formats: those of tensors, and those that files may hold. A format that tensors have is
// declared twice, in its family here and in the header of the same stem in native/formats/.
import { float } from './float.js';
import type { BlockFormat, Format } from './format.js';
import { integer } from './integer.js';
import { iq } from './iq.js';
import { k } from './k.js';
import { mx } from './mx.js';
import { q4 } from './q4.js';
import { q5 } from './q5.js';
import { q8 } from './q8.js';
import { tiny } from './tiny.js';

export type { BlockFormat, Format } from './format.js';

const catalogue = { ...float, ...integer, ...q8, ...q4, ...q5, ...k, ...iq, ...mx, ...tiny } as const;

type Catalogue = typeof catalogue;
export type FormatName = keyof Catalogue;
type NameOf<Kind> = { [N in FormatName]: Catalogue[N]['kind'] extends Kind ? N : never }[FormatName];

/** Formats that ops compute with. */
export type DType = NameOf<'float' | 'integer'>;
/** Formats whose elements share a scale, in blocks. Storage only: `dequantize` makes them computable. */
export type BlockDType = NameOf<'block'>;
/** Formats that a tensor can have. */
export type AnyDType = DType | BlockDType;

/** Formats' names in safetensors files, such as `BF16`. */
export type SafetensorsName = {
  [N in FormatName]: Catalogue[N] extends { safetensors: { name: infer Name } } ? Name : never;
}[FormatName];

export const formats: Readonly<Record<FormatName, Format>> = catalogue;
const names = Object.keys(catalogue) as FormatName[];

/** The formats that a tensor can have. */
export const dtypes: readonly AnyDType[] = names.filter(isDType);
/** The formats of blocks. */
export const blockDTypes: readonly BlockDType[] = names.filter(isBlock);

export function isDType(name: FormatName): name is AnyDType {
  return formats[name].kind !== 'named';
}
export function isBlock(name: FormatName): name is BlockDType {
  return formats[name].kind === 'block';
}
export function isFloat(name: FormatName): boolean {
  return formats[name].kind === 'float';
}

export const blockFormat = (dtype: BlockDType): BlockFormat => catalogue[dtype];

/**
 * Bytes of a tensor of this shape. NaN where a double can't hold the size exactly or it is no whole number of blocks; the
 * other sizes of an empty tensor count too, because strides are made of them.
 */
export function byteCount(name: FormatName, shape: readonly number[]): number {
  const { blockElements, blockBytes } = formats[name];
  let elements = 1;
  for (const size of shape) {
    elements *= Math.max(1, size);
    if (!Number.isSafeInteger(elements)) return Number.NaN;
  }
  const bytes = (elements / blockElements) * blockBytes;
  if (!Number.isSafeInteger(bytes)) return Number.NaN;
  return shape.includes(0) ? 0 : bytes;
}

const byGgml = new Map(names.flatMap((name) => (formats[name].ggml === undefined ? [] : [[formats[name].ggml, name]])));

/** The format that ggml gives this number, if there is one. */
export const fromGgml = (number: number): FormatName | undefined => byGgml.get(number);

const inSafetensors = names
  .filter((name) => formats[name].safetensors !== undefined)
  .sort((a, b) => formats[a].safetensors!.order - formats[b].safetensors!.order);
const bySafetensors = new Map(inSafetensors.map((name) => [formats[name].safetensors!.name, name]));

/** The format that safetensors files call this, if there is one. */
export const fromSafetensors = (name: string): FormatName | undefined => bySafetensors.get(name);

/** All names of formats in safetensors files, in the order in which a writer puts their tensors. */
export const safetensorsNames = [...bySafetensors.keys()] as readonly SafetensorsName[];

/** The format's name in safetensors files. @throws TypeError if it has none there. */
export function safetensorsName(dtype: AnyDType): SafetensorsName {
  const name = formats[dtype].safetensors?.name;
  if (name === undefined) throw new TypeError(`safetensors files hold no ${dtype} tensors`);
  return name as SafetensorsName;
}
