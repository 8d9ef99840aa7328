// rope: the case list, in-place use of the kernel, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/rope.js';
import { kernels } from '../../lib/core/native.js';
import { empty, tensor } from '../../lib/core/tensor.js';
import { rope } from '../../lib/ops/rope.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('rope', cases);

const device = testDevice;
const positions = tensor([0, 3], { dtype: 'i32', device });
const frequencies = tensor([1, 0.5, 0.25], { device });
const numbers = Float32Array.from({ length: 2 * 3 * 8 }, (_, i) => Math.sin(i));

describe('rope', () => {
  it.each([false, true])('works in place, interleaved %s', async (interleaved) => {
    for (const dtype of ['f32', 'bf16'] as const) {
      const x = tensor(numbers, { shape: [2, 3, 8], dtype, device });
      const want = await rope(x, positions, frequencies, { interleaved }).data();
      kernels.rope(x.handle, x.handle, positions.handle, frequencies.handle, 1, 1, interleaved);
      expect(await x.data()).toEqual(want);
    }
  });

  it('refuses what does not fit', () => {
    const x = empty([2, 3, 8], { device });
    expect(() => rope(empty([2, 8], { device }), positions, frequencies)).toThrow(
      new RangeError('rope: takes [tokens, heads, headDim], got [2,8]'),
    );
    expect(() => rope(empty([3, 3, 8], { device }), positions, frequencies)).toThrow(
      new RangeError('rope: the positions of a tensor [3,3,8] must be [3], got [2]'),
    );
    expect(() => rope(x, positions, tensor([1, 1, 1, 1, 1], { device }))).toThrow(
      new RangeError('rope: the frequencies of 8 channels must be one axis of at most 4, got [5]'),
    );
    expect(() => rope(x, tensor([0, 1], { device }), frequencies)).toThrow(
      new TypeError('rope: positions must be i32, got f32'),
    );
    expect(() => rope(x, positions, tensor([1], { dtype: 'bf16', device }))).toThrow(
      new TypeError('rope: frequencies must be f32, got bf16'),
    );
  });
});
