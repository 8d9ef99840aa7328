// Broadcasting: which shapes go together, and where the gradient of a repeated side ends up.
import { describe, expect, it } from 'vitest';
import { backward } from '../../lib/core/autograd.js';
import { tensor } from '../../lib/core/tensor.js';
import { add, broadcastShape, greater, mul, where } from '../../lib/ops/binary.js';
import { testDevice } from '../device.js';

const device = testDevice;

describe('broadcastShape', () => {
  it('aligns sizes from the last axis', () => {
    expect(broadcastShape('test', [2, 1, 3], [4, 1])).toEqual([2, 4, 3]);
    expect(broadcastShape('test', [], [5])).toEqual([5]);
    expect(broadcastShape('test', [0, 1], [1, 3])).toEqual([0, 3]);
    expect(broadcastShape('test', [1], [1], [7, 1])).toEqual([7, 1]);
  });
  it('refuses sizes that differ', () => {
    expect(() => broadcastShape('test', [2, 3], [3, 2])).toThrow(
      new RangeError('test: shapes do not broadcast: [2,3] and [3,2]'),
    );
    expect(() => broadcastShape('test', [0], [2])).toThrow(RangeError);
  });
});

describe('binary', () => {
  it('takes the wider of two formats, and a number takes the tensor’s', () => {
    const half = tensor([1, 2], { dtype: 'bf16', device });
    expect(add(half, half).dtype).toBe('bf16');
    expect(add(half, tensor([1, 2], { dtype: 'f16', device })).dtype).toBe('f32');
    expect(add(half, tensor([1, 2], { device })).dtype).toBe('f32');
    expect(mul(half, 0.3).dtype).toBe('bf16');
    expect(add(tensor(Int32Array.of(1), { device }), 2).dtype).toBe('i32');
    expect(greater(half, 1).dtype).toBe('bool');
  });

  it('gives each side its gradient in its own shape and format', async () => {
    const a = tensor(
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      { device, requiresGrad: true },
    );
    const b = tensor([10, 20, 30], { dtype: 'bf16', device, requiresGrad: true });
    backward(
      mul(a, b),
      tensor(
        [
          [1, 1, 1],
          [2, 2, 2],
        ],
        { device },
      ),
    );
    expect([...(await a.grad!.data())]).toEqual([10, 20, 30, 20, 40, 60]);
    expect(b.grad!.dtype).toBe('bf16');
    expect([...(await b.grad!.data())]).toEqual([9, 12, 15]);
  });

  it('adds up when both sides are one tensor', async () => {
    const x = tensor([3, 4], { device, requiresGrad: true });
    backward(mul(add(x, x), x), tensor([1, 1], { device }));
    expect([...(await x.grad!.data())]).toEqual([12, 16]);
  });

  it('sends the gradient of where to the chosen side only', async () => {
    const a = tensor([1, 2, 3], { device, requiresGrad: true });
    const b = tensor(7, { device, requiresGrad: true });
    backward(where(greater(a, 1), a, b), tensor([1, 2, 4], { device }));
    expect([...(await a.grad!.data())]).toEqual([0, 2, 4]);
    expect(await b.grad!.item()).toBe(1);
  });
});
