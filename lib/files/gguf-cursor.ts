// Reads the numbers, strings and arrays of a GGUF header one after another, never past the file's end and never more
// of them than memory can hold: a count is believed only where the file still has the bytes for it.

import { shown } from '../flow/fault.js';
import type { MappedFile } from './mapped.js';

export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;

/** A metadata value. 64-bit integers are numbers where a double holds them exactly; arrays of numbers stay packed. */
export type GgufValue = number | bigint | boolean | string | GgufNumbers | boolean[] | string[] | GgufValue[];

// One header of a real model is below 30 MB.
const MAX_HEADER_BYTES = 256 * 1024 * 1024;
// Strings, booleans and nested arrays each become an object or a slot; the largest vocabularies and their merges have
// below a million.
const MAX_VALUES = 8_000_000;
// The format allows arrays of arrays, but no key in use has them.
const MAX_DEPTH = 3;
// Names are far shorter; values such as chat templates reach some 100 kB.
const MAX_NAME_BYTES = 65_535;
const WINDOW_BYTES = 1024 * 1024;

const STRING = 8;
const ARRAY = 9;
const BOOL = 7;

type Reader = { bytes: number; array: new (buffer: ArrayBuffer) => GgufNumbers };
const NUMBERS: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [0, { bytes: 1, array: Uint8Array }],
  [1, { bytes: 1, array: Int8Array }],
  [2, { bytes: 2, array: Uint16Array }],
  [3, { bytes: 2, array: Int16Array }],
  [4, { bytes: 4, array: Uint32Array }],
  [5, { bytes: 4, array: Int32Array }],
  [6, { bytes: 4, array: Float32Array }],
  [10, { bytes: 8, array: BigUint64Array }],
  [11, { bytes: 8, array: BigInt64Array }],
  [12, { bytes: 8, array: Float64Array }],
]);

export class GgufCursor {
  /** Bytes from the beginning of the file to what is read next. */
  at = 0;
  readonly #file: MappedFile;
  readonly #end: number;
  #window = new Uint8Array(0);
  #windowAt = 0;
  #values = 0;

  constructor(file: MappedFile) {
    this.#file = file;
    this.#end = Math.min(file.bytes, MAX_HEADER_BYTES);
  }

  fail(what: string): never {
    throw new Error(`${this.#file.path}: ${what}`);
  }

  u32(what: string): number {
    const bytes = this.#take(4, what);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  /** A 64-bit count, size or offset. */
  size(what: string): number {
    const bytes = this.#take(8, what);
    const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(`${what} is ${value}, which no file can hold`);
    return Number(value);
  }

  /** A count of things that take at least `bytesEach` bytes in the rest of the header. */
  count(bytesEach: number, what: string): number {
    const count = this.size(what);
    if (count > (this.#end - this.at) / bytesEach) {
      this.fail(`${what} is ${count}, but only ${this.#end - this.at} bytes follow${this.#limit()}`);
    }
    return count;
  }

  /** A key or a tensor's name: short, and exactly UTF-8. */
  name(what: string): string {
    const length = this.count(1, `the length of ${what}`);
    if (length > MAX_NAME_BYTES) this.fail(`${what} has ${length} bytes, more than a name may have`);
    const bytes = this.#take(length, what);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return this.fail(`${what} is not UTF-8 text`);
    }
  }

  value(type: number, key: string): GgufValue {
    const what = `the value of ${shown(key)}`;
    const reader = NUMBERS.get(type);
    if (reader) return single(this.#numbers(reader, 1, what));
    if (type === BOOL) return this.#bool(what);
    if (type === STRING) return this.#string(what);
    if (type === ARRAY) return this.#array(what, 1);
    return this.fail(`${what} has the unknown type ${type}`);
  }

  #array(what: string, depth: number): GgufValue {
    if (depth > MAX_DEPTH) this.fail(`${what} nests arrays more than ${MAX_DEPTH} deep`);
    const type = this.u32(what);
    const reader = NUMBERS.get(type);
    const least = reader?.bytes ?? { [BOOL]: 1, [STRING]: 8, [ARRAY]: 12 }[type];
    if (least === undefined) this.fail(`${what} is an array of the unknown type ${type}`);
    const count = this.count(least, `the length of ${what}`);
    if (reader) return this.#numbers(reader, count, what);
    this.#values += count;
    if (this.#values > MAX_VALUES) this.fail(`the metadata has more than ${MAX_VALUES} values`);
    if (type === BOOL) return Array.from({ length: count }, () => this.#bool(what));
    if (type === STRING) return Array.from({ length: count }, () => this.#string(what));
    return Array.from({ length: count }, () => this.#array(what, depth + 1));
  }

  #numbers(reader: Reader, count: number, what: string): GgufNumbers {
    // Copied, because a typed array must begin aligned.
    return new reader.array(new Uint8Array(this.#take(count * reader.bytes, what)).buffer);
  }

  #bool(what: string): boolean {
    const value = this.#take(1, what)[0];
    if (value !== 0 && value !== 1) this.fail(`${what} must be 0 or 1 to be a bool, got ${value}`);
    return value === 1;
  }

  // Vocabularies may hold pieces of characters, so bytes that aren't UTF-8 become the replacement character.
  #string(what: string): string {
    const length = this.count(1, `the length of ${what}`);
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.#take(length, what));
  }

  // The next `length` bytes; valid until the next call.
  #take(length: number, what: string): Uint8Array<ArrayBuffer> {
    if (length > this.#end - this.at) {
      this.fail(`the file ends within ${what}, at byte ${this.#end}${this.#limit()}`);
    }
    const start = this.at;
    this.at += length;
    if (length > WINDOW_BYTES) return this.#read(start, length);
    if (start < this.#windowAt || this.at > this.#windowAt + this.#window.length) {
      this.#window = this.#read(start, Math.min(WINDOW_BYTES, this.#end - start));
      this.#windowAt = start;
    }
    return this.#window.subarray(start - this.#windowAt, this.at - this.#windowAt) as Uint8Array<ArrayBuffer>;
  }

  #read(start: number, length: number): Uint8Array<ArrayBuffer> {
    return this.#file.read(start, length) as Uint8Array<ArrayBuffer>;
  }

  #limit(): string {
    return this.#file.bytes > MAX_HEADER_BYTES ? ` (a header may have ${MAX_HEADER_BYTES})` : '';
  }
}

function single(numbers: GgufNumbers): number | bigint {
  const value = numbers[0] as number | bigint;
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
