// Safetensors files: what is saved comes back, and what is wrong in a foreign file is said.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWeights } from '../../lib/files/folder-weights.js';
import { openSafetensors, readSafetensors, type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { memoryFile, safetensorsBytes, sharedData } from './memory.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-safetensors-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const read = (header: unknown, dataBytes: number) =>
  readSafetensors(memoryFile('x.safetensors', safetensorsBytes(header, dataBytes)));
const f32 = (shape: number[], begin: number, end: number) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

describe('saveSafetensors', () => {
  const tensors: Record<string, SavedTensor> = {
    'b.weight': { dtype: 'F32', shape: [2, 2], bytes: bytesOf(Float32Array.of(1, -0, Number.NaN, 1e-40)) },
    'a.weight': { dtype: 'F32', shape: [1], bytes: bytesOf(Float32Array.of(7)) },
    half: { dtype: 'BF16', shape: [3], bytes: bytesOf(Uint16Array.of(1, 2, 3)) },
    ids: { dtype: 'I64', shape: [2], bytes: bytesOf(BigInt64Array.of(-1n, 2n)) },
    mask: { dtype: 'BOOL', shape: [5], bytes: Uint8Array.of(1, 0, 1, 0, 1) },
    none: { dtype: 'F16', shape: [0, 4], bytes: new Uint8Array(0) },
    '__proto__ "é😀': { dtype: 'U8', shape: [], bytes: Uint8Array.of(9) },
  };

  it('gives the same bytes back', async () => {
    const path = join(folder, 'round.safetensors');
    await saveSafetensors(path, tensors, { format: 'pt', note: 'é"' });
    using file = openSafetensors(path);
    expect([...file.metadata]).toEqual([
      ['format', 'pt'],
      ['note', 'é"'],
    ]);
    expect(file.tensors.size).toBe(Object.keys(tensors).length);
    for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
      expect(file.tensors.get(name)).toMatchObject({ dtype, shape, bytes: bytes.length });
      expect(file.read(name)).toEqual(bytes);
    }
    expect(await file.tensor('b.weight').data()).toEqual(Float32Array.of(1, -0, Number.NaN, 1e-40));
    expect(file.tensor('b.weight').shape).toEqual([2, 2]);
    expect(() => file.tensor('ids')).toThrow(
      `${path}: tensor "ids" is I64, which can't be loaded; supported: F32, BF16`,
    );
    expect(() => file.tensor('absent')).toThrow(`${path}: there is no tensor "absent"`);
  });

  it('orders tensors by width and name, and begins the data at a multiple of eight', async () => {
    const path = join(folder, 'order.safetensors');
    await saveSafetensors(path, new Map(Object.entries(tensors)));
    using file = openSafetensors(path);
    expect([...file.tensors.keys()]).toEqual(['ids', 'a.weight', 'b.weight', 'half', 'none', '__proto__ "é😀', 'mask']);
    expect(file.tensors.get('ids')?.offset).toSatisfy((offset: number) => offset % 8 === 0);
    expect(readFileSync(path)[8]).toBe('{'.charCodeAt(0));
  });

  it('refuses bytes that do not fit the shape, and leaves the old file', async () => {
    const path = join(folder, 'kept.safetensors');
    await saveSafetensors(path, {});
    const before = readFileSync(path);
    const wrong: SavedTensor = { dtype: 'F32', shape: [3], bytes: new Uint8Array(8) };
    await expect(saveSafetensors(path, { wrong })).rejects.toThrow(
      new RangeError(`${path}: tensor "wrong" has 8 bytes, but F32 [3] takes 12`),
    );
    await expect(saveSafetensors(path, { __metadata__: wrong })).rejects.toThrow('no tensor may be called');
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('readSafetensors', () => {
  it('takes an empty file, a scalar, an empty tensor and keys it does not know', () => {
    expect(read('{}', 0).tensors.size).toBe(0);
    const header = {
      s: f32([], 0, 4),
      e: f32([0], 4, 4),
      x: { ...f32([1], 4, 8), more: [{ a: [1.5e3, null, true] }] },
    };
    expect([...read(`${JSON.stringify(header)}   `, 8).tensors.keys()]).toEqual(['s', 'e', 'x']);
  });

  const wrong: [what: string, header: unknown, dataBytes: number, message: string][] = [
    [
      'a tensor past the end',
      { a: f32([4], 0, 16) },
      12,
      'tensor "a" ends at byte 16, but the file has 12 bytes of data',
    ],
    ['a lying byte count', { a: f32([4], 0, 12) }, 12, 'tensor "a" has 12 bytes, but F32 [4] takes 16 bytes'],
    ['an overflowing shape', { a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4, 'takes an impossible number of bytes'],
    ['an overflow beside a zero', { a: f32([0, 2 ** 50, 2 ** 50], 0, 0) }, 0, 'takes an impossible number of bytes'],
    ['half a byte', { a: { dtype: 'F4', shape: [3], data_offsets: [0, 1] } }, 1, 'takes an impossible number of bytes'],
    ['offsets in reverse', { a: f32([0], 4, 0) }, 4, 'tensor "a" begins at byte 4, after its end at 0'],
    ['an overlap', { a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12, 'tensors "a" and "b" overlap'],
    ['the same place twice', { a: f32([2], 0, 8), b: f32([2], 0, 8) }, 8, 'tensors "a" and "b" overlap'],
    ['a hole', { a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12, '4 bytes before tensor "b" belong to no tensor'],
    ['bytes left over', { a: f32([1], 0, 4) }, 9, 'the last 5 bytes belong to no tensor'],
    [
      'an unknown dtype',
      { a: { dtype: 'F99', shape: [], data_offsets: [0, 4] } },
      4,
      'tensor "a" has the unknown dtype "F99"',
    ],
    ['a dtype of Object.prototype', { a: { dtype: 'toString', shape: [], data_offsets: [0, 4] } }, 4, 'unknown dtype'],
    [
      'a negative size',
      { a: f32([-1], 0, 4) },
      4,
      'malformed at line 1, column 30: expected an integer from 0 to 2^53 - 1',
    ],
    ['a fraction', { a: f32([1.5], 0, 4) }, 4, 'expected an integer'],
    [
      'no shape',
      { a: { dtype: 'F32', data_offsets: [0, 4] } },
      4,
      'tensor "a" needs a dtype, a shape and two data_offsets',
    ],
    ['three offsets', { a: { dtype: 'F32', shape: [], data_offsets: [0, 4, 8] } }, 4, 'needs a dtype, a shape and two'],
    [
      'a tensor twice',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{}}',
      1,
      'column 54: the same key twice',
    ],
    ['a field twice', '{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1, 'the same key twice'],
    ['metadata that is no text', { __metadata__: { a: 1 } }, 0, 'expected a string'],
    ['an array', '[]', 0, "expected '{'"],
    ['text behind the header', '{} x', 0, 'unexpected text after the value'],
    ['deep nesting', `{"a":{"x":${'['.repeat(1_000_000)}`, 0, 'the text ends too early'],
  ];
  for (const [what, header, dataBytes, message] of wrong) {
    it(`refuses ${what}`, () => {
      expect(() => read(header, dataBytes)).toThrow(message);
      expect(() => read(header, dataBytes)).toThrow(/^x\.safetensors: /);
    });
  }

  it('refuses a header that is cut off, larger than the file, or not UTF-8', () => {
    const open = (bytes: Uint8Array) => () => readSafetensors(memoryFile('x.safetensors', bytes));
    expect(open(new Uint8Array(3))).toThrow('x.safetensors: 3 bytes are too few for a safetensors file');
    expect(open(new Uint8Array(8).fill(255))).toThrow(
      'claims a header of 18446744073709551615 bytes, but the file has 8',
    );
    expect(open(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe))).toThrow('its header is not UTF-8 text');
    const huge = memoryFile('x.safetensors', Uint8Array.of(0, 0, 0, 16, 0, 0, 0, 0), 2 ** 40);
    expect(() => readSafetensors(huge)).toThrow('claims a header of 268435456 bytes, but at most 100000000 are read');
  });

  it('says so when a tensor has more axes than can be loaded', () => {
    const path = join(folder, 'axes.safetensors');
    writeFileSync(path, safetensorsBytes({ deep: f32(new Array(4000).fill(1), 0, 4) }, 4));
    using file = openSafetensors(path);
    expect(() => file.tensor('deep')).toThrow(
      `${path}: tensor "deep" has 4000 axes, which can't be loaded; at most 6 can`,
    );
  });

  it('copies a tensor that lies unaligned', async () => {
    const path = join(folder, 'unaligned.safetensors');
    const header = { a: { dtype: 'U8', shape: [3], data_offsets: [0, 3] }, b: f32([1], 3, 7) };
    const json = JSON.stringify(header);
    const bytes = safetensorsBytes(json + ' '.repeat((8 - (json.length % 8)) % 8), 7);
    bytes.set(bytesOf(Float32Array.of(1.5)), bytes.length - 4);
    writeFileSync(path, bytes);
    using file = openSafetensors(path);
    expect(await file.tensor('b').data()).toEqual(Float32Array.of(1.5));
  });
});

describe('openWeights', () => {
  const one = (value: number): SavedTensor => ({
    dtype: 'F32',
    shape: [1],
    bytes: bytesOf(Float32Array.of(value)),
  });
  const sharded = async (name: string, map: unknown, shards: Record<string, Record<string, SavedTensor>>) => {
    const path = join(folder, name);
    mkdirSync(path);
    const text = typeof map === 'string' ? map : JSON.stringify({ metadata: { total_size: 8 }, weight_map: map });
    writeFileSync(join(path, 'model.safetensors.index.json'), text);
    for (const [shard, tensors] of Object.entries(shards)) await saveSafetensors(join(path, shard), tensors);
    return path;
  };

  it('opens the single file', async () => {
    const path = join(folder, 'single');
    mkdirSync(path);
    await saveSafetensors(join(path, 'model.safetensors'), { x: one(3) });
    using weights = openWeights(path);
    expect(await weights.tensor('x').data()).toEqual(Float32Array.of(3));
  });

  it('looks a tensor up in its shard', async () => {
    const shards = { 'a.safetensors': { x: one(1) }, 'b.safetensors': { y: one(2), unlisted: one(4) } };
    const path = await sharded('shards', { x: 'a.safetensors', y: 'b.safetensors' }, shards);
    using weights = openWeights(path);
    expect([...weights.tensors.keys()].sort()).toEqual(['unlisted', 'x', 'y']);
    expect(await weights.tensor('x').data()).toEqual(Float32Array.of(1));
    expect(await weights.tensor('y').data()).toEqual(Float32Array.of(2));
    expect(weights.read('y')).toEqual(bytesOf(Float32Array.of(2)));
    expect(() => weights.tensor('z')).toThrow('model.safetensors.index.json: there is no tensor "z"');
  });

  it('refuses what is missing, twice there or outside the folder', async () => {
    const a = { 'a.safetensors': { x: one(1) } };
    const both = { ...a, 'b.safetensors': { x: one(1), y: one(2) } };
    const cases: [name: string, map: unknown, shards: typeof a, message: string][] = [
      ['gone', { x: 'a.safetensors', y: 'b.safetensors' }, a, 'b.safetensors: this shard is missing'],
      ['absent', { x: 'a.safetensors', z: 'a.safetensors' }, a, 'a.safetensors: tensor "z" is not there, though'],
      [
        'swapped',
        { x: 'b.safetensors', y: 'a.safetensors' },
        { 'a.safetensors': { x: one(1) }, 'b.safetensors': { y: one(1) } } as typeof a,
        'is not there, though',
      ],
      ['double', { x: 'a.safetensors', y: 'b.safetensors' }, both, 'b.safetensors: tensor "x" is in'],
      ['up', { x: '../a.safetensors' }, a, 'must be in a .safetensors file beside the index, got "../a.safetensors"'],
      ['root', { x: '/etc/a.safetensors' }, a, 'beside the index'],
      ['drive', { x: 'C:a.safetensors' }, a, 'beside the index'],
      ['backslash', { x: '..\\a.safetensors' }, a, 'beside the index'],
      ['number', { x: 3 }, a, 'expected a string'],
      ['empty', {}, a, "field 'weight_map' must list the tensors"],
      [
        'listed-twice',
        '{"weight_map":{"x":"a.safetensors","x":"a.safetensors"}}',
        a,
        'malformed at line 1, column 36: the same key twice',
      ],
      ['no-map', '{"metadata":{}}', a, "field 'weight_map' must list the tensors"],
    ];
    for (const [name, map, shards, message] of cases) {
      const path = await sharded(name, map, shards);
      expect(() => openWeights(path), name).toThrow(message);
      expect(() => openWeights(path), name).toThrow(path);
    }
  });

  it('says what a folder lacks', () => {
    const path = join(folder, 'pickled');
    mkdirSync(path);
    expect(() => openWeights(path)).toThrow(
      `${path}: neither model.safetensors nor model.safetensors.index.json is there`,
    );
    writeFileSync(join(path, 'pytorch_model.bin'), '');
    expect(() => openWeights(path)).toThrow('convert it to safetensors');
  });
});

const real = sharedData('stories260K/hf');
it.skipIf(!real)(
  `saves a real model again, bit for bit${real ? '' : ' (skipped: shared data is missing)'}`,
  async () => {
    using original = openWeights(real as string);
    const tensors = new Map<string, SavedTensor>();
    for (const [name, { dtype, shape }] of original.tensors) {
      tensors.set(name, { dtype: dtype as 'F32', shape, bytes: original.read(name) });
    }
    const path = join(folder, 'copy.safetensors');
    await saveSafetensors(path, tensors, { format: 'pt' });
    expect(readFileSync(path).equals(readFileSync(join(real as string, 'model.safetensors')))).toBe(true);
  },
);
