// The catalogue of formats: every member against the addon, and against what ggml and safetensors say of it.
import { describe, expect, it } from 'vitest';
import { bytesOf, dtypeCode } from '../../lib/core/dtype.js';
import { native } from '../../lib/core/native.js';
import { halfAt } from '../../lib/formats/half.js';
import {
  blockDTypes,
  blockFormat,
  byteCount,
  dtypes,
  type FormatName,
  formats,
  fromGgml,
  fromSafetensors,
  safetensorsNames,
} from '../../lib/formats/index.js';

const names = Object.keys(formats) as FormatName[];

describe('the catalogue', () => {
  it.each(names)('%s is a format whose blocks are whole', (name) => {
    const { blockElements, blockBytes, ggml, safetensors } = formats[name];
    expect(Number.isInteger(blockElements) && blockElements > 0).toBe(true);
    expect(Number.isInteger(blockBytes) && blockBytes > 0).toBe(true);
    expect(byteCount(name, [3, blockElements])).toBe(3 * blockBytes);
    // What files call it leads back to it, and to nothing else.
    if (ggml !== undefined) expect(fromGgml(ggml)).toBe(name);
    if (safetensors !== undefined) expect(fromSafetensors(safetensors.name)).toBe(name);
    expect(ggml ?? safetensors, 'found in some file').toBeDefined();
  });

  it.each(dtypes)('%s is as large as the addon has it', (name) => {
    const { blockElements, blockBytes } = formats[name];
    expect(native.formats[dtypeCode(name)]).toEqual({ name, blockElements, blockBytes });
    expect(bytesOf(name, 2 * blockElements)).toBe(2 * blockBytes);
  });

  it('has all the formats of the addon', () => {
    expect(native.formats.map(({ name }) => name).sort()).toEqual([...dtypes].sort());
  });

  it('has a place of its own for each name of safetensors, wide formats first', () => {
    const orders = safetensorsNames.map((name) => formats[fromSafetensors(name)!].safetensors!.order);
    expect(orders).toEqual(orders.map((_, i) => i));
    const bits = (name: string): number => {
      const { blockElements, blockBytes } = formats[fromSafetensors(name)!];
      return (blockBytes * 8) / blockElements;
    };
    const plain = safetensorsNames.filter((name) => name !== 'BOOL');
    expect(plain.map(bits)).toEqual(plain.map(bits).sort((a, b) => b - a));
  });
});

describe('blocks', () => {
  it.each(blockDTypes)('of %s unpack to as many numbers as they hold', (name) => {
    const { blockElements, blockBytes, unpack } = blockFormat(name);
    const zeros = unpack(new DataView(new ArrayBuffer(blockBytes)));
    expect(zeros).toHaveLength(blockElements);
    expect(zeros.every((x) => x === 0)).toBe(true);
  });

  // Written by hand after ggml's block structs. 0x3c00 is 1, 0xc000 is -2, 0x3800 is ½.
  it.each<[(typeof blockDTypes)[number], number[], number[]]>([
    ['q8_0', [0x00, 0xc0, ...Array.from({ length: 32 }, (_, i) => (i * 8) & 255)], [0, -16, -32]],
    ['q4_0', [0x00, 0x3c, 0x98, 0x0f, ...Array(14).fill(0x88)], [0, 7, 0]],
    ['q4_1', [0x00, 0x3c, 0x00, 0x38, 0x21, 0xf0, ...Array(14).fill(0)], [1.5, 0.5, 0.5]],
    ['mxfp4', [128, 0x21, 0xf3, 0x0e, ...Array(13).fill(0)], [1, 3, -8]],
  ])('of %s hold these numbers', (name, bytes, first) => {
    const values = blockFormat(name).unpack(new DataView(Uint8Array.from(bytes).buffer));
    expect(values.slice(0, 3).map((x) => x + 0)).toEqual(first);
    const later = { q8_0: -2 * -128, q4_0: 1, q4_1: 2.5, mxfp4: 2 };
    expect(values[16]).toBe(later[name]);
  });

  it('keep their scales as f16', () => {
    const half = (bits: number): number => halfAt(new DataView(Uint16Array.of(bits).buffer), 0);
    const all = [0x0000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x7bff, 0xfbff, 0x7c00, 0xfc00].map(half);
    const infinity = Number.POSITIVE_INFINITY;
    expect(all).toEqual([0, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, 65504, -65504, infinity, -infinity]);
    expect(half(0x7e00)).toBeNaN();
  });
});
