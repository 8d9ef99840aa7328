// Reductions: the case list, long sums, NaN and ties, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/reduce.js';
import { backward } from '../../lib/core/autograd.js';
import { tensor } from '../../lib/core/tensor.js';
import { cast } from '../../lib/ops/copy.js';
import { full } from '../../lib/ops/random.js';
import { argmax, argmin, max, mean, min, sum, variance } from '../../lib/ops/reduce.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('reduce', cases);

const device = testDevice;
const nan = Number.NaN;

describe('sum', () => {
  // Equal numbers are the worst case: every rounding of a partial sum goes the same way. A single f32 sum would be off
  // by several percent.
  it('of ten million equal numbers is good to a few roundings', async () => {
    const x = full([1e7], 0.1, { device });
    expect(Math.abs((await sum(x).item()) / (1e7 * Math.fround(0.1)) - 1)).toBeLessThan(3e-7);
    const columns = full([100_000, 100], 0.1, { device });
    for (const value of await sum(columns, 0).data())
      expect(Math.abs(value / (1e5 * Math.fround(0.1)) - 1)).toBeLessThan(3e-7);
  });
  it('of numbers that cancel', async () => {
    const values = Float32Array.from({ length: 100_001 }, (_, i) => (i === 100_000 ? 1 : i % 2 ? -1e4 : 1e4));
    expect(await sum(tensor(values, { device })).item()).toBe(1);
  });
  it('of bool and u8 is an i32 count', async () => {
    const x = sum(cast(tensor([0, 2, 3, 0], { device }), 'bool'));
    expect(x.dtype).toBe('i32');
    expect(await x.item()).toBe(2);
    expect(await sum(full([1000], 255, { dtype: 'u8', device })).item()).toBe(255_000);
  });
  it('keeps axes when asked', () => {
    const x = full([2, 3, 4], 1, { device });
    expect(sum(x, 1, { keepDims: true }).shape).toEqual([2, 1, 4]);
    expect(sum(x, [-1, 0]).shape).toEqual([3]);
    expect(sum(x, []).shape).toEqual([2, 3, 4]);
    expect(argmax(x, { keepDims: true }).shape).toEqual([2, 3, 1]);
  });
});

describe('extremes', () => {
  it('keep NaN', async () => {
    const x = tensor(
      [
        [1, nan, 3],
        [1, 2, 3],
      ],
      { device },
    );
    expect([...(await max(x, 1).data())]).toEqual([nan, 3]);
    expect([...(await min(x, 1).data())]).toEqual([nan, 1]);
    expect([...(await max(x, 0).data())]).toEqual([1, nan, 3]);
    expect([...(await argmax(x).data())]).toEqual([1, 2]);
    expect([...(await argmin(x).data())]).toEqual([1, 0]);
    const wide = Float32Array.from({ length: 1000 }, (_, i) => (i === 700 || i === 900 ? nan : i));
    expect(await argmax(tensor(wide, { device })).item()).toBe(700);
  });
  it('of infinities and of equal numbers take the first', async () => {
    expect(await argmax(full([77], -Infinity, { device })).item()).toBe(0);
    expect(await argmin(full([77], Infinity, { device })).item()).toBe(0);
    expect(await argmax(tensor([0, 5, 5, -0], { device })).item()).toBe(1);
  });
  it('share the gradient among ties', async () => {
    const x = tensor(
      [
        [1, 3, 3],
        [2, 0, 1],
      ],
      { device, requiresGrad: true },
    );
    backward(max(x, 1), tensor([1, 10], { device }));
    expect([...(await x.grad!.data())]).toEqual([0, 0.5, 0.5, 10, 0, 0]);
  });
});

describe('mean and variance', () => {
  it('of nothing are NaN', async () => {
    const x = full([2, 0], 1, { device });
    expect([...(await mean(x, 1).data())]).toEqual([nan, nan]);
    expect([...(await variance(x, 1).data())]).toEqual([nan, nan]);
  });
  it('do not cancel far from zero', async () => {
    const x = tensor(
      Float32Array.from({ length: 1000 }, (_, i) => 10_000 + (i % 2)),
      { device },
    );
    expect(await variance(x, 0, { correction: 0 }).item()).toBeCloseTo(0.25, 6);
  });
  it('round a 16-bit mean once', async () => {
    expect(await mean(full([5000], 3, { dtype: 'bf16', device })).item()).toBe(3);
    expect(await mean(full([5000], 60_000, { dtype: 'f16', device })).item()).toBe(60_000);
  });
});

describe('misuse', () => {
  const x = full([2, 3], 1, { device });
  it('says what is wrong', () => {
    expect(() => sum(x, 2)).toThrow(new RangeError('sum: axis 2 of a tensor [2,3]'));
    expect(() => sum(x, [0, -2])).toThrow(new RangeError('sum: an axis is named twice in [0,-2]'));
    expect(() => sum(x, 0.5)).toThrow(RangeError);
    expect(() => max(full([2, 0], 1, { device }), 1)).toThrow(new RangeError('max: of no elements: [2,0]'));
    expect(() => argmax(full([2, 0], 1, { device }))).toThrow(RangeError);
    expect(() => argmin(full([], 1, { device }))).toThrow(RangeError);
    expect(() => mean(tensor(Int32Array.of(1), { device }))).toThrow(
      new TypeError('mean: takes floating-point tensors, got i32'),
    );
  });
});
