// Safetensors, read and written. A file is
//
//   8 bytes        the header's length, little-endian
//   header         JSON: { name: { dtype, shape, data_offsets: [begin, end] }, …, "__metadata__": { string: string } }
//   data           the tensors' bytes; the offsets count from here and cover it without hole or overlap
//
// A file is foreign input, so the header is read strictly and every size is checked before it is used: what opens has
// all its tensors inside the file.

import { shown } from '../flow/fault.js';
import {
  byteCount,
  dtypes,
  formats,
  fromSafetensors,
  isDType,
  type SafetensorsName,
  safetensorsName,
  safetensorsNames,
} from '../formats/index.js';
import { writeAtomic } from './atomic.js';
import { JsonScanner } from './json-scan.js';
import type { MappedFile } from './mapped.js';
import { mappedWeights, openMapped, type WeightInfo, type Weights } from './weights.js';

export type SafetensorsDType = SafetensorsName;

const LOADABLE = dtypes.filter((dtype) => formats[dtype].safetensors !== undefined).map(safetensorsName);

// The reference implementation's own limit.
const MAX_HEADER_BYTES = 100_000_000;
// An entry takes about 300 bytes in memory; the largest models have some 100,000 tensors.
const MAX_TENSORS = 1_000_000;
// As many as a Tensor has; the format sets no limit.
const MAX_AXES = 6;

export interface SafetensorsInfo extends WeightInfo {
  readonly dtype: SafetensorsDType;
}

/** An open safetensors file. */
export interface Safetensors extends Weights {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
}

/** A tensor to save; `bytes` are its elements in row-major order, little-endian. */
export interface SavedTensor {
  dtype: SafetensorsDType;
  shape: readonly number[];
  bytes: Uint8Array;
}

/**
 * Maps a safetensors file and reads its header; the tensors' bytes are only read when they are used.
 *
 * @throws Error that names the file and what is wrong with it.
 */
export function openSafetensors(path: string): Safetensors {
  return openMapped(path, readSafetensors);
}

/** What {@link openSafetensors} does, for a file that is mapped already; closing the result closes `file`. */
export function readSafetensors(file: MappedFile): Safetensors {
  const { path } = file;
  const { metadata, tensors } = readHeader(file);
  const weights = mappedWeights(file, tensors, (name, { dtype, shape }) => {
    const format = fromSafetensors(dtype)!;
    if (!isDType(format)) {
      const supported = LOADABLE.join(', ');
      throw new Error(`${path}: tensor ${shown(name)} is ${dtype}, which can't be loaded; supported: ${supported}`);
    }
    if (shape.length > MAX_AXES) {
      throw new Error(
        `${path}: tensor ${shown(name)} has ${shape.length} axes, which can't be loaded; at most ${MAX_AXES} can`,
      );
    }
    return format;
  });
  return { ...weights, metadata };
}

/**
 * Writes a safetensors file, atomically.
 *
 * @throws RangeError if a tensor's bytes don't fit its shape; Error if the file can't be written.
 */
export async function saveSafetensors(
  path: string,
  tensors: ReadonlyMap<string, SavedTensor> | Readonly<Record<string, SavedTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const order = safetensorsNames;
  const entries: [string, SavedTensor][] = tensors instanceof Map ? [...tensors] : Object.entries(tensors);
  // Names are compared as UTF-8, because the reference implementation sorts bytes.
  entries.sort(
    ([nameA, a], [nameB, b]) =>
      order.indexOf(a.dtype) - order.indexOf(b.dtype) || Buffer.compare(Buffer.from(nameA), Buffer.from(nameB)),
  );

  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of entries) {
    if (name === '__metadata__') throw new RangeError(`${path}: no tensor may be called "__metadata__"`);
    const expected = byteCount(fromSafetensors(dtype)!, shape);
    if (bytes.byteLength !== expected) {
      throw new RangeError(
        `${path}: tensor ${shown(name)} has ${bytes.byteLength} bytes, but ${dtype} [${shape}] takes ${expected}`,
      );
    }
    const begin = end;
    end += bytes.byteLength;
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
  }

  const json = Buffer.from(`{${fields.join(',')}}`);
  // Padded with spaces to eight bytes, so that the data begins aligned.
  const header = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(header);
  if (header.length > MAX_HEADER_BYTES)
    throw new RangeError(`${path}: the header would pass ${MAX_HEADER_BYTES} bytes`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));

  await writeAtomic(path, async (write) => {
    await write(length);
    await write(header);
    for (const [, { bytes }] of entries) await write(bytes);
  });
}

function readHeader(file: MappedFile): {
  metadata: Map<string, string>;
  tensors: Map<string, SafetensorsInfo>;
} {
  const { path } = file;
  if (file.bytes < 8) throw new Error(`${path}: ${file.bytes} bytes are too few for a safetensors file`);
  const lengthBytes = file.read(0, 8);
  const length = new DataView(lengthBytes.buffer, lengthBytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(Math.min(MAX_HEADER_BYTES, file.bytes - 8))) {
    const limit =
      length > BigInt(file.bytes - 8) ? `the file has ${file.bytes}` : `at most ${MAX_HEADER_BYTES} are read`;
    throw new Error(`${path}: not a safetensors file: it claims a header of ${length} bytes, but ${limit}`);
  }
  const dataStart = 8 + Number(length);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file.read(8, Number(length)));
  } catch {
    throw new Error(`${path}: not a safetensors file: its header is not UTF-8 text`);
  }
  let header: Header;
  try {
    header = parseHeader(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Error(`${path}: the safetensors header is malformed at ${error.message}`);
  }

  const tensors = new Map<string, SafetensorsInfo>();
  for (const [name, { dtype, shape, begin, end }] of header.entries) {
    const tensor = `${path}: tensor ${shown(name)}`;
    const format = fromSafetensors(dtype);
    if (format === undefined) throw new Error(`${tensor} has the unknown dtype ${shown(dtype)}`);
    if (begin > end) throw new Error(`${tensor} begins at byte ${begin}, after its end at ${end}`);
    if (end > file.bytes - dataStart) {
      throw new Error(`${tensor} ends at byte ${end}, but the file has ${file.bytes - dataStart} bytes of data`);
    }
    const expected = byteCount(format, shape);
    if (end - begin !== expected) {
      const size = Number.isNaN(expected) ? 'an impossible number of' : expected;
      throw new Error(`${tensor} has ${end - begin} bytes, but ${dtype} [${list(shape)}] takes ${size} bytes`);
    }
    tensors.set(name, { dtype: dtype as SafetensorsDType, shape, offset: dataStart + begin, bytes: end - begin });
  }
  checkCover(path, tensors, dataStart, file.bytes);
  return { metadata: header.metadata, tensors };
}

// The format lets no byte of the data belong to two tensors or to none.
function checkCover(path: string, tensors: Map<string, SafetensorsInfo>, start: number, end: number): void {
  const sorted = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes);
  let at = start;
  let previous = '';
  for (const [name, { offset, bytes }] of sorted) {
    if (offset < at) throw new Error(`${path}: tensors ${shown(previous)} and ${shown(name)} overlap`);
    if (offset > at) throw new Error(`${path}: ${offset - at} bytes before tensor ${shown(name)} belong to no tensor`);
    at = offset + bytes;
    previous = name;
  }
  if (at !== end) throw new Error(`${path}: the last ${end - at} bytes belong to no tensor`);
}

interface Header {
  metadata: Map<string, string>;
  entries: Map<string, { dtype: string; shape: number[]; begin: number; end: number }>;
}

function parseHeader(text: string): Header {
  const json: JsonScanner = new JsonScanner(text);
  const metadata: Header['metadata'] = new Map();
  const entries: Header['entries'] = new Map();
  json.object((name) => {
    if (name === '__metadata__') {
      json.object((key) => metadata.set(key, json.string()));
      return;
    }
    if (entries.size === MAX_TENSORS) json.fail(`more than ${MAX_TENSORS} tensors`);
    let dtype: string | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    json.object((key) => {
      if (key === 'dtype') dtype = json.string();
      else if (key === 'shape') shape = integers(json);
      else if (key === 'data_offsets') offsets = integers(json);
      else json.skip();
    });
    const [begin, end, ...more] = offsets ?? [];
    if (dtype === undefined || shape === undefined || begin === undefined || end === undefined || more.length > 0) {
      json.fail(`tensor ${shown(name)} needs a dtype, a shape and two data_offsets`);
    }
    entries.set(name, { dtype, shape, begin, end });
  });
  json.end();
  return { metadata, entries };
}

function integers(json: JsonScanner): number[] {
  const values: number[] = [];
  json.array(() => values.push(json.integer()));
  return values;
}

function list(shape: readonly number[]): string {
  return shape.length <= 8 ? shape.join(',') : `${shape.slice(0, 8).join(',')},…`;
}
