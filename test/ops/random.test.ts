// Random numbers: the case list, the published test vectors, the distributions' shapes, and misuse.
import { describe, expect, it } from 'vitest';
import { philoxBlock } from '../../lib/check/philox.js';
import { cases } from '../../lib/check/random.js';
import { tensor } from '../../lib/core/tensor.js';
import { arange, dropout, full, rand, randn, uniform } from '../../lib/ops/random.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('random', cases);

const device = testDevice;
const hex = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');

describe('Philox4x32-10', () => {
  it('gives the known answers of Random123', () => {
    expect(hex(philoxBlock([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const ones = 0xffffffff;
    expect(hex(philoxBlock([ones, ones, ones, ones], [ones, ones]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
    const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
    expect(hex(philoxBlock(pi, [0xa4093822, 0x299f31d0]))).toBe('d16cfe09 94fdcceb 5001e420 24126ea1');
  });
  it('gives them on the device', async () => {
    const words = [...(await uniform([4], { seed: 0, device }).data())].map((x) => x * 2 ** 24);
    expect(hex(words)).toBe(hex([0x6627e8, 0xe169c5, 0xbc57ac, 0x9b00db]));
  });
  it('starts anywhere', async () => {
    const all = await uniform([400], { seed: 9, device }).data();
    const later = await uniform([100], { seed: 9, offset: 75, device }).data();
    expect(later).toEqual(all.slice(300));
  });
});

describe('distributions', () => {
  const count = 1_000_000;
  it('uniform', async () => {
    const x = await uniform([count], { seed: 3, low: 2, high: 4, device }).data();
    const bins = new Array<number>(20).fill(0);
    for (const value of x) bins[Math.floor((value - 2) * 10)]!++;
    // Chi squared of 19 degrees of freedom: above 60 once in 10^6.
    expect(bins.reduce((sum, n) => sum + (n - count / 20) ** 2 / (count / 20), 0)).toBeLessThan(60);
  });
  it('normal', async () => {
    const x = (await randn([count], { seed: 4, device }).data()) as Float32Array;
    const moment = (power: number): number => x.reduce((sum, value) => sum + value ** power, 0) / count;
    expect(Math.abs(moment(1))).toBeLessThan(0.005);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.008);
    expect(Math.abs(moment(3))).toBeLessThan(0.02);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.05);
  });
  it('never reaches the upper bound', async () => {
    const x = await uniform([count], { seed: 5, low: 16_777_216, high: 16_777_218, device }).data();
    expect(x.every((value) => value >= 16_777_216 && value < 16_777_218)).toBe(true);
  });
  it('differ by seed, and by call where none is given', async () => {
    const draw = async (seed?: number): Promise<string> =>
      String(await rand([4], { device, ...(seed === undefined ? {} : { seed }) }).data());
    expect(await draw(1)).toBe(await draw(1));
    expect(await draw(1)).not.toBe(await draw(2));
    expect(await draw()).not.toBe(await draw());
  });
});

describe('dropout', () => {
  it('keeps the mean', async () => {
    const out = (await dropout(full([100_000], 1, { device }), { probability: 0.3, seed: 1 }).data()) as Float32Array;
    expect(new Set(out)).toEqual(new Set([0, Math.fround(1 / (1 - Math.fround(0.3)))]));
    expect(Math.abs(out.reduce((a, b) => a + b, 0) / 100_000 - 1)).toBeLessThan(0.01);
  });
  it('at the ends', async () => {
    const x = tensor([1, Infinity], { device });
    expect(dropout(x, { probability: 0, seed: 1 })).toBe(x);
    expect([...(await dropout(x, { probability: 1, seed: 1 }).data())]).toEqual([0, 0]);
  });
});

describe('misuse', () => {
  const x = tensor([1], { device });
  it('says what is wrong', () => {
    expect(() => rand([2], { seed: 0.5, device })).toThrow(
      new RangeError('uniform: the seed 0.5 is not a whole number'),
    );
    expect(() => randn([2], { seed: 2 ** 60, device })).toThrow(RangeError);
    expect(() => randn([2], { offset: -1, device })).toThrow(new RangeError('randn: the offset -1 is not a count'));
    expect(() => randn([2], { dtype: 'i32', device })).toThrow(
      new TypeError('randn: makes floating-point tensors, not i32'),
    );
    expect(() => uniform([2], { low: 1, high: 0, device })).toThrow(RangeError);
    expect(() => dropout(x, { probability: 1.5, seed: 1 })).toThrow(
      new RangeError('dropout: the probability 1.5 is outside [0, 1]'),
    );
    expect(() => arange(5, { step: 0, device })).toThrow(RangeError);
    expect(() => arange(5, { step: -1, device })).toThrow(new RangeError('arange: from 0 to 5 in steps of -1'));
    expect(() => full([-1], 0, { device })).toThrow(RangeError);
  });
});
