// rmsNorm and layerNorm: the case list, which gradients are made, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/norm.js';
import { backward } from '../../lib/core/autograd.js';
import { tensor } from '../../lib/core/tensor.js';
import { layerNorm, rmsNorm } from '../../lib/ops/norm.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('norm', cases);

const device = testDevice;
const x = tensor(
  [
    [1, 2, 3],
    [4, 5, 6],
  ],
  { device },
);
const ones = tensor([1, 1, 1], { device });

describe('norm', () => {
  it('gives a frozen input no gradient', () => {
    const weight = tensor([1, 2, 3], { device, requiresGrad: true });
    backward(
      rmsNorm(x, weight),
      tensor(
        [
          [1, 1, 1],
          [1, 1, 1],
        ],
        { device },
      ),
    );
    expect(weight.grad?.shape).toEqual([3]);
    expect(x.grad).toBeUndefined();
  });

  it('gives NaN where a row has NaN, and only there', async () => {
    const out = await rmsNorm(
      tensor(
        [
          [1, Number.NaN, 1],
          [2, 2, 2],
        ],
        { device },
      ),
      ones,
      { eps: 0 },
    ).data();
    expect([...out]).toEqual([Number.NaN, Number.NaN, Number.NaN, 1, 1, 1]);
  });

  it('refuses what does not fit', () => {
    const two = tensor([1, 1], { device });
    expect(() => rmsNorm(x, two)).toThrow(new RangeError('rmsNorm: the weight of a tensor [2,3] must be [3], got [2]'));
    expect(() => layerNorm(x, ones, two)).toThrow(
      new RangeError('layerNorm: the bias of a tensor [2,3] must be [3], got [2]'),
    );
    expect(() => rmsNorm(x, ones, { eps: Number.NaN })).toThrow(
      new RangeError('rmsNorm: eps must be a number of at least 0, got NaN'),
    );
    expect(() => rmsNorm(tensor([1, 2, 3], { dtype: 'i32', device }), ones)).toThrow(TypeError);
    expect(() => rmsNorm(tensor(1, { device }), ones)).toThrow('got a scalar');
  });
});
