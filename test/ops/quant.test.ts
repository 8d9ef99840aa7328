// dequantize: the case list, exactness to the last bit, and misuse.
import { describe, expect, it } from 'vitest';
import { blockTensor, cases, drawBlocks } from '../../lib/check/quant.js';
import { device } from '../../lib/core/device.js';
import { empty, tensor, viewOf } from '../../lib/core/tensor.js';
import { blockDTypes, blockFormat } from '../../lib/formats/index.js';
import { dequantize } from '../../lib/ops/quant.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('quant', cases);

describe('dequantize', () => {
  it.each(blockDTypes)('%s gives the very numbers of the format', async (dtype) => {
    const shape = [40, 2 * blockFormat(dtype).blockElements];
    const { bytes, values } = drawBlocks(dtype, shape, 7);
    const out = await dequantize(blockTensor(dtype, shape, bytes, device(testDevice))).data();
    expect([...out].map((x) => x + 0)).toEqual([...values.data].map((x) => x + 0));
  });
  it('leaves a tensor that has the format already', () => {
    const x = tensor([1], { device: testDevice });
    expect(dequantize(x)).toBe(x);
  });
  it('refuses what does not fit', () => {
    expect(() => dequantize(tensor([1], { dtype: 'bf16', device: testDevice }))).toThrow(
      new TypeError('dequantize: takes a block format, got bf16'),
    );
    const blocks = empty([2, 32], { dtype: 'q8_0', device: testDevice });
    expect(() => dequantize(blocks, 'i32')).toThrow(new TypeError('dequantize: gives floating-point tensors, not i32'));
    expect(() => dequantize(viewOf(blocks, [32, 2], [1, 32]))).toThrow(RangeError);
  });
});
