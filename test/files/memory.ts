// What the tests of foreign files share: a mapped file that lies in memory and can't forgive a read outside it, a
// writer of small GGUF files, and seeded random numbers.

import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { MappedFile } from '../../lib/files/mapped.js';

/** Thrown where a reader asks for bytes that the file doesn't have: no test may take this for a clean error. */
export class OutsideRead extends Error {}

/** A mapped file of `bytes` bytes that begins with `head` and goes on with zeros. */
export function memoryFile(path: string, head: Uint8Array, bytes = head.length): MappedFile {
  const inside = (offset: number, length: number) => {
    const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
    if (!whole || offset < 0 || length < 0 || offset + length > bytes) {
      throw new OutsideRead(`${offset} + ${length} of ${bytes}`);
    }
  };
  const file = {
    path,
    bytes,
    read(offset: number, length: number): Uint8Array {
      inside(offset, length);
      const copy = new Uint8Array(length);
      copy.set(head.subarray(offset, Math.min(head.length, offset + length)));
      return copy;
    },
    tensor(offset: number, shape: readonly number[], dtype: string) {
      inside(offset, 0);
      return { offset, shape, dtype };
    },
    close() {},
  };
  return file as unknown as MappedFile;
}

/** A file's first bytes in memory, with its true size. */
export function headOf(path: string, limit: number): { head: Uint8Array; bytes: number } {
  const bytes = statSync(path).size;
  const head = new Uint8Array(Math.min(limit, bytes));
  const file = openSync(path, 'r');
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  return { head, bytes };
}

/** A path in the shared test data, or undefined where that isn't there. */
export function sharedData(path: string): string | undefined {
  const full = fileURLToPath(new URL(`../../../shared/data/${path}`, import.meta.url));
  return existsSync(full) ? full : undefined;
}

/** Integers from 0 to `below - 1`, the same for the same seed (xorshift). */
export function random(seed: number): (below: number) => number {
  let state = (seed * 2654435761) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/** Builds GGUF bytes field by field, so that a test can lie in any of them. */
export class GgufBytes {
  readonly #parts: Buffer[] = [];

  get length(): number {
    return this.#parts.reduce((sum, part) => sum + part.length, 0);
  }

  u8(value: number): this {
    return this.raw(Buffer.from([value]));
  }

  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    return this.raw(part);
  }

  f32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeFloatLE(value);
    return this.raw(part);
  }

  u64(value: number | bigint): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    return this.raw(part);
  }

  string(text: string): this {
    return this.u64(Buffer.byteLength(text)).raw(Buffer.from(text));
  }

  raw(part: Uint8Array): this {
    this.#parts.push(Buffer.from(part));
    return this;
  }

  pad(alignment: number): this {
    return this.raw(Buffer.alloc((alignment - (this.length % alignment)) % alignment));
  }

  header(tensors: number | bigint, keys: number | bigint, version = 3): this {
    return this.raw(Buffer.from('GGUF')).u32(version).u64(tensors).u64(keys);
  }

  text(key: string, value: string): this {
    return this.string(key).u32(8).string(value);
  }

  number(key: string, value: number): this {
    return Number.isInteger(value) ? this.string(key).u32(4).u32(value) : this.string(key).u32(6).f32(value);
  }

  /** Dimensions innermost first, as the file has them. */
  tensor(name: string, dimensions: readonly (number | bigint)[], type: number, offset: number | bigint): this {
    this.string(name).u32(dimensions.length);
    for (const size of dimensions) this.u64(size);
    return this.u32(type).u64(offset);
  }

  done(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts));
  }
}

/** A complete GGUF file of a llama model with one layer, hidden size 32, two heads and a vocabulary of three. */
export function smallGguf(): Uint8Array {
  const tensors: [string, number[], number, number][] = [
    ['token_embd.weight', [32, 3], 8, 3 * 34],
    ['output_norm.weight', [32], 0, 128],
    ['blk.0.attn_norm.weight', [32], 0, 128],
    ['blk.0.attn_q.weight', [32, 32], 3, 32 * 20],
    ['blk.0.attn_k.weight', [32, 16], 2, 16 * 18],
    ['blk.0.attn_v.weight', [32, 16], 1, 1024],
    ['blk.0.attn_output.weight', [32, 32], 30, 2048],
  ];
  const file = new GgufBytes().header(tensors.length, 16);
  file.text('general.architecture', 'llama').number('general.alignment', 32);
  file.number('llama.embedding_length', 32).number('llama.block_count', 1).number('llama.context_length', 64);
  file.number('llama.feed_forward_length', 64).number('llama.attention.head_count', 2);
  file.number('llama.attention.head_count_kv', 1).number('llama.rope.freq_base', 10000);
  file.number('llama.attention.layer_norm_rms_epsilon', 1e-5);
  file.string('tokenizer.ggml.tokens').u32(9).u32(8).u64(3).string('<s>').string('é').string('');
  file.string('tokenizer.ggml.scores').u32(9).u32(6).u64(3).f32(0).f32(-1).f32(0.5);
  file.string('test.flag').u32(7).u8(1);
  file.string('test.flags').u32(9).u32(7).u64(2).u8(1).u8(0);
  file.string('test.nested').u32(9).u32(9).u64(2).u32(4).u64(1).u32(7).u32(8).u64(1).string('x');
  file
    .string('test.large')
    .u32(10)
    .u64(2n ** 60n);
  let offset = 0;
  for (const [name, dimensions, type, bytes] of tensors) {
    file.tensor(name, dimensions, type, offset);
    offset = Math.ceil((offset + bytes) / 32) * 32;
  }
  file.pad(32).raw(Uint8Array.from({ length: offset }, (_, i) => i % 251));
  return file.done();
}

/** Safetensors bytes from a header in any form and so many bytes of data. */
export function safetensorsBytes(header: unknown, dataBytes: number): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return new Uint8Array(Buffer.concat([length, json, Buffer.alloc(dataBytes, 1)]));
}
