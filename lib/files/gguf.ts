// GGUF, llama.cpp's file of a whole model, versions 2 and 3, little-endian:
//
//   "GGUF", version u32, tensor count u64, metadata count u64
//   metadata    key, type u32, value
//   tensors     name, dimensions (innermost first), type u32, offset u64 from where the data begins
//   data        aligned to `general.alignment`
//
// Parsed here and not by @huggingface/gguf, because that library takes strings that end beyond the file, doesn't check
// where tensors lie, and holds up to a million values per array however small the file is.

import { shown } from '../flow/fault.js';
import { type AnyDType, byteCount, dtypes, type FormatName, formats, fromGgml } from '../formats/index.js';
import { GgufCursor, type GgufValue } from './gguf-cursor.js';
import type { MappedFile } from './mapped.js';
import { mappedWeights, openMapped, type WeightInfo, type Weights } from './weights.js';

export type { GgufNumbers, GgufValue } from './gguf-cursor.js';

const MAGIC = 0x46554747;
const DEFAULT_ALIGNMENT = 32;
const MAX_TENSORS = 1_000_000;
const MAX_DIMENSIONS = 4;

// Weights are numbers, plain or in blocks.
const LOADABLE = dtypes.filter((name) => formats[name].ggml !== undefined && formats[name].kind !== 'integer');
const isLoadable = (name: FormatName): name is AnyDType => (LOADABLE as readonly FormatName[]).includes(name);

export interface GgufInfo extends WeightInfo {
  readonly dtype: FormatName;
}

/** An open GGUF file. Tensors have llama.cpp's names; `gguf-names.ts` maps them to Hugging Face's. */
export interface Gguf extends Weights {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufInfo>;
}

/**
 * Maps a GGUF file and reads its header; the tensors' bytes are only read when they are used.
 *
 * @throws Error that names the file and what is wrong with it.
 */
export function openGguf(path: string): Gguf {
  return openMapped(path, readGguf);
}

/** What {@link openGguf} does, for a file that is mapped already; closing the result closes `file`. */
export function readGguf(file: MappedFile): Gguf {
  const { path } = file;
  const cursor = new GgufCursor(file);
  if (file.bytes < 4 || cursor.u32('the magic') !== MAGIC) cursor.fail(`not a GGUF file: it doesn't begin with "GGUF"`);
  const version = readVersion(cursor);
  // The smallest entries: a name's length, a type and one byte; a name's length, dimensions, a type and an offset.
  const tensorCount = cursor.count(24, 'the number of tensors');
  const metadataCount = cursor.count(13, 'the number of metadata keys');
  if (tensorCount > MAX_TENSORS)
    cursor.fail(`the number of tensors is ${tensorCount}, at most ${MAX_TENSORS} are read`);

  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.name(`metadata key ${i}`);
    if (metadata.has(key)) cursor.fail(`the metadata key ${shown(key)} is there twice`);
    metadata.set(key, cursor.value(cursor.u32(`the type of ${shown(key)}`), key));
  }
  const parts = metadata.get('split.count');
  if (typeof parts === 'number' && parts > 1) {
    cursor.fail(`one of ${parts} parts of a split model; join them with llama-gguf-split --merge`);
  }

  const tensors = readTensors(file, cursor, tensorCount, readAlignment(cursor, metadata));
  const weights = mappedWeights(file, tensors, (name, { dtype }) => {
    if (isLoadable(dtype)) return dtype;
    const supported = LOADABLE.map((type) => type.toUpperCase()).join(', ');
    const what = `tensor ${shown(name)} is ${dtype.toUpperCase()}, which`;
    throw new Error(`${path}: ${what} is not supported yet; supported: ${supported}`);
  });
  return { ...weights, version, metadata };
}

function readVersion(cursor: GgufCursor): number {
  const version = cursor.u32('the version');
  if (version !== 0 && (version & 0xffff) === 0)
    cursor.fail('a big-endian GGUF file; only little-endian ones are read');
  if (version !== 2 && version !== 3) cursor.fail(`GGUF version ${version}; versions 2 and 3 are read`);
  return version;
}

function readAlignment(cursor: GgufCursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (
    typeof alignment !== 'number' ||
    !(alignment >= 1 && alignment <= 2 ** 31) ||
    !Number.isInteger(Math.log2(alignment))
  ) {
    cursor.fail(`general.alignment must be a power of two, got ${shown(alignment)}`);
  }
  return alignment;
}

function readTensors(file: MappedFile, cursor: GgufCursor, count: number, alignment: number): Map<string, GgufInfo> {
  const tensors = new Map<string, GgufInfo>();
  for (let i = 0; i < count; i++) {
    const name = cursor.name(`the name of tensor ${i}`);
    if (tensors.has(name)) cursor.fail(`tensor ${shown(name)} is there twice`);
    const what = `tensor ${shown(name)}`;
    const rank = cursor.u32(what);
    if (rank > MAX_DIMENSIONS) cursor.fail(`${what} has ${rank} dimensions, at most ${MAX_DIMENSIONS} are possible`);
    const shape = Array.from({ length: rank }, () => cursor.size(`a dimension of ${what}`)).reverse();
    const number = cursor.u32(what);
    const offset = cursor.size(`the offset of ${what}`);

    const dtype = fromGgml(number);
    if (dtype === undefined) cursor.fail(`${what} has the unknown ggml type ${number}`);
    // A row must be whole blocks, for blocks run along the innermost dimension.
    const { blockElements } = formats[dtype];
    if ((shape.at(-1) ?? 1) % blockElements !== 0)
      cursor.fail(`${what} [${shape}] is ${dtype.toUpperCase()}, whose rows must be multiples of ${blockElements}`);
    const bytes = byteCount(dtype, shape);
    if (!Number.isSafeInteger(bytes)) cursor.fail(`${what} [${shape}] is larger than any file`);
    if (offset % alignment !== 0) cursor.fail(`${what} is at ${offset}, which is no multiple of ${alignment}`);
    tensors.set(name, { dtype, shape, offset, bytes });
  }

  const start = Math.ceil(cursor.at / alignment) * alignment;
  const placed = new Map<string, GgufInfo>();
  for (const [name, info] of tensors) {
    const offset = start + info.offset;
    if (offset + info.bytes > file.bytes) {
      cursor.fail(`tensor ${shown(name)} ends at byte ${offset + info.bytes}, but the file has ${file.bytes}`);
    }
    placed.set(name, { ...info, offset });
  }
  checkOverlap(cursor, placed);
  return placed;
}

function checkOverlap(cursor: GgufCursor, tensors: ReadonlyMap<string, GgufInfo>): void {
  const sorted = [...tensors].filter(([, { bytes }]) => bytes > 0).sort(([, a], [, b]) => a.offset - b.offset);
  let end = 0;
  let previous = '';
  for (const [name, { offset, bytes }] of sorted) {
    if (offset < end) cursor.fail(`tensors ${shown(previous)} and ${shown(name)} overlap`);
    end = offset + bytes;
    previous = name;
  }
}
