// GGUF files, built field by field: what a right one holds, and what is said about a wrong one.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openGguf, readGguf } from '../../lib/files/gguf.js';
import { GgufBytes, memoryFile, smallGguf } from './memory.js';

const read = (bytes: Uint8Array | GgufBytes, size?: number) => {
  const done = bytes instanceof GgufBytes ? bytes.done() : bytes;
  return readGguf(memoryFile('x.gguf', done, size ?? done.length));
};

describe('readGguf', () => {
  it('reads every kind of value', () => {
    const { version, metadata } = read(smallGguf());
    expect(version).toBe(3);
    expect(metadata.get('general.architecture')).toBe('llama');
    expect(metadata.get('llama.embedding_length')).toBe(32);
    expect(metadata.get('llama.attention.layer_norm_rms_epsilon')).toBe(Math.fround(1e-5));
    expect(metadata.get('tokenizer.ggml.tokens')).toEqual(['<s>', 'é', '']);
    expect(metadata.get('tokenizer.ggml.scores')).toEqual(Float32Array.of(0, -1, 0.5));
    expect(metadata.get('test.flag')).toBe(true);
    expect(metadata.get('test.flags')).toEqual([true, false]);
    expect(metadata.get('test.nested')).toEqual([Uint32Array.of(7), ['x']]);
    expect(metadata.get('test.large')).toBe(2n ** 60n);
  });

  it('gives shapes in row-major order, and places inside the file', () => {
    const bytes = smallGguf();
    const { tensors, read: bytesOf } = read(bytes);
    const embedding = tensors.get('token_embd.weight');
    expect(embedding).toMatchObject({ dtype: 'q8_0', shape: [3, 32], bytes: 102 });
    expect(tensors.get('blk.0.attn_q.weight')).toMatchObject({ dtype: 'q4_1', shape: [32, 32], bytes: 640 });
    expect(tensors.get('blk.0.attn_k.weight')).toMatchObject({ dtype: 'q4_0', shape: [16, 32], bytes: 288 });
    expect([...tensors.values()].every(({ offset }) => offset % 32 === 0)).toBe(true);
    expect(bytesOf('token_embd.weight')).toEqual(Uint8Array.from({ length: 102 }, (_, i) => i));
  });

  it('maps tensors and refuses types that can not be loaded by their name', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'helvetia-gguf-'));
    try {
      const path = join(folder, 'x.gguf');
      const file = new GgufBytes().header(2, 0).tensor('f', [3], 0, 0).tensor('k', [256], 12, 32);
      writeFileSync(path, file.pad(32).f32(1).f32(2).f32(3).pad(32).raw(new Uint8Array(144)).done());
      using gguf = openGguf(path);
      expect(await gguf.tensor('f').data()).toEqual(Float32Array.of(1, 2, 3));
      expect(() => gguf.tensor('k')).toThrow(
        `${path}: tensor "k" is Q4_K, which is not supported yet; supported: F32, BF16, F16, Q8_0, Q4_0, Q4_1`,
      );
      expect(() => gguf.tensor('absent')).toThrow(`${path}: there is no tensor "absent"`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('respects general.alignment, and takes a file without tensors that ends early', () => {
    const file = new GgufBytes().header(1, 1).number('general.alignment', 1024).tensor('a', [1], 0, 0).pad(1024).f32(1);
    expect(read(file).tensors.get('a')?.offset).toBe(1024);
    expect(read(new GgufBytes().header(0, 1).text('a', 'b')).metadata.get('a')).toBe('b');
  });

  const empty = () => new GgufBytes().header(0, 1);
  const tensors = (count: number) => new GgufBytes().header(count, 0);
  const wrong: [what: string, file: Uint8Array | GgufBytes, message: string][] = [
    [
      'another file',
      new TextEncoder().encode('{"a": 1, "b": 2, "c": 3}'),
      `not a GGUF file: it doesn't begin with "GGUF"`,
    ],
    ['an empty file', new Uint8Array(0), 'not a GGUF file'],
    ['version 1', new GgufBytes().header(0, 0, 1), 'GGUF version 1; versions 2 and 3 are read'],
    ['big-endian', new GgufBytes().header(0, 0, 0x03000000), 'a big-endian GGUF file'],
    ['a cut in the counts', smallGguf().slice(0, 14), 'the file ends within the number of tensors, at byte 14'],
    [
      'a cut in the metadata',
      smallGguf().slice(0, 700),
      'the length of metadata key 15 is 10, but only 4 bytes follow',
    ],
    ['a huge tensor count', new GgufBytes().header(2n ** 64n - 1n, 0), 'which no file can hold'],
    ['a lying tensor count', new GgufBytes().header(1000, 0), 'the number of tensors is 1000, but only 8 bytes follow'],
    ['a lying key count', new GgufBytes().header(0, 2n ** 40n), 'but only 0 bytes follow'],
    [
      'a lying string',
      empty()
        .string('a')
        .u32(8)
        .u64(2 ** 40),
      'the length of the value of "a" is 1099511627776, but only 0',
    ],
    [
      'a lying array',
      empty()
        .string('a')
        .u32(9)
        .u32(6)
        .u64(2 ** 32),
      'the length of the value of "a" is 4294967296, but',
    ],
    ['a lying array of strings', empty().string('a').u32(9).u32(8).u64(2).u64(0), 'but only 8 bytes follow'],
    ['deep arrays', deepArrays(40), 'nests arrays more than 3 deep'],
    ['an unknown value type', empty().string('a').u32(13).u64(0), 'the value of "a" has the unknown type 13'],
    ['an unknown element type', empty().string('a').u32(9).u32(99).u64(0), 'an array of the unknown type 99'],
    ['a bool that is none', empty().string('a').u32(7).u8(2), 'must be 0 or 1 to be a bool, got 2'],
    ['a key twice', new GgufBytes().header(0, 2).number('a', 1).number('a', 1), 'the metadata key "a" is there twice'],
    ['a key that is no text', empty().u64(1).u8(255).u32(4).u32(0), 'metadata key 0 is not UTF-8 text'],
    ['an alignment of 24', empty().number('general.alignment', 24), 'general.alignment must be a power of two, got 24'],
    ['an alignment of 0', empty().number('general.alignment', 0), 'must be a power of two, got 0'],
    ['an alignment in words', empty().text('general.alignment', '32'), 'must be a power of two, got "32"'],
    ['a part of a split model', empty().number('split.count', 3), 'one of 3 parts of a split model'],
    ['five dimensions', tensors(1).tensor('a', [1, 1, 1, 1, 1], 0, 0), 'tensor "a" has 5 dimensions, at most 4'],
    [
      'an unknown ggml type',
      tensors(1).tensor('a', [1], 5, 0).pad(32).f32(0),
      'tensor "a" has the unknown ggml type 5',
    ],
    ['half a block', tensors(1).tensor('a', [48], 2, 0).pad(32).u64(0), 'is Q4_0, whose rows must be multiples of 32'],
    ['an overflowing shape', tensors(1).tensor('a', [2 ** 40, 2 ** 40], 0, 0), 'is larger than any file'],
    ['an overflow beside a zero', tensors(1).tensor('a', [2 ** 40, 0, 2 ** 40], 0, 0), 'is larger than any file'],
    ['a dimension beyond 2^53', tensors(1).tensor('a', [2n ** 60n], 0, 0), 'which no file can hold'],
    ['a tensor past the end', tensors(1).tensor('a', [4], 0, 0).pad(32).f32(0), 'tensor "a" ends at byte'],
    [
      'a tensor far past the end',
      tensors(1)
        .tensor('a', [1], 0, 2 ** 52)
        .pad(32)
        .f32(0),
      'tensor "a" ends at byte',
    ],
    [
      'an unaligned offset',
      tensors(1).tensor('a', [1], 0, 4).pad(32).u64(0),
      'tensor "a" is at 4, which is no multiple of 32',
    ],
    [
      'an overlap',
      tensors(2).tensor('a', [16], 0, 0).tensor('b', [1], 0, 32).pad(32).raw(new Uint8Array(64)),
      '"a" and "b" overlap',
    ],
    ['a tensor twice', tensors(2).tensor('a', [0], 0, 0).tensor('a', [0], 0, 0).pad(32), 'tensor "a" is there twice'],
  ];
  for (const [what, file, message] of wrong) {
    it(`refuses ${what}`, () => {
      expect(() => read(file)).toThrow(message);
      expect(() => read(file)).toThrow(/^x\.gguf: /);
    });
  }

  it('does not believe a count only because the file is large', () => {
    const strings = empty()
      .string('a')
      .u32(9)
      .u32(8)
      .u64(2 ** 34);
    expect(() => read(strings, 2 ** 42)).toThrow('(a header may have 268435456)');
    const many = empty()
      .string('a')
      .u32(9)
      .u32(8)
      .u64(2 ** 24);
    expect(() => read(many, 2 ** 42)).toThrow('the metadata has more than 8000000 values');
  });
});

function deepArrays(depth: number): GgufBytes {
  const file = new GgufBytes().header(0, 1).string('a').u32(9);
  for (let i = 0; i < depth; i++) file.u32(9).u64(1);
  return file.u32(4).u64(0);
}
