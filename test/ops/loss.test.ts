// linearCrossEntropy and crossEntropy: the case list, rows without a target, extreme logits, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/loss.js';
import { backward } from '../../lib/core/autograd.js';
import { tensor } from '../../lib/core/tensor.js';
import { crossEntropy, linearCrossEntropy } from '../../lib/ops/loss.js';
import { randn, zeros } from '../../lib/ops/random.js';
import { sum } from '../../lib/ops/reduce.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('loss', cases);

const device = testDevice;
const targetsOf = (...values: number[]) => tensor(Int32Array.from(values), { device });

describe('loss', () => {
  it('gives rows without a target loss 0 and gradient 0, even where x is NaN', async () => {
    const x = tensor(
      [
        [1, 2],
        [Number.NaN, 1],
        [3, 4],
      ],
      { device, requiresGrad: true },
    );
    const weight = randn([5, 2], { device, seed: 1, requiresGrad: true });
    const losses = linearCrossEntropy(x, weight, targetsOf(0, -1, 4));
    backward(sum(losses));
    expect((await losses.data())[1]).toBe(0);
    expect([...(await x.grad!.data()).slice(2, 4)]).toEqual([0, 0]);
    for (const value of await weight.grad!.data()) expect(value).not.toBeNaN();
  });

  it('takes a vocabulary of none', async () => {
    const x = randn([3, 4], { device, seed: 1 });
    const losses = linearCrossEntropy(x, zeros([0, 4], { device }), targetsOf(-1, -1, -1));
    expect([...(await losses.data())]).toEqual([0, 0, 0]);
  });

  it('has no gradient where no row has a target', async () => {
    const x = randn([3, 4], { device, seed: 1, requiresGrad: true });
    const weight = randn([5, 4], { device, seed: 2, requiresGrad: true });
    backward(sum(linearCrossEntropy(x, weight, targetsOf(-1, -1, -1))));
    expect(new Set([...(await x.grad!.data()), ...(await weight.grad!.data())])).toEqual(new Set([0]));
  });

  it('stays finite where the exponentials do not', async () => {
    const x = tensor([[1000], [-1000]], { device });
    const weight = tensor([[1], [0.999], [-1]], { device });
    const losses = await linearCrossEntropy(x, weight, targetsOf(2, 2)).data();
    expect(losses[0]).toBeCloseTo(2000 + Math.log(1 + Math.exp(-1)), 2);
    expect(losses[1]).toBe(0);
  });

  it('rejects the await for a target beyond the vocabulary', async () => {
    const losses = linearCrossEntropy(zeros([2, 4], { device }), zeros([5, 4], { device }), targetsOf(1, 5));
    await expect(losses.data()).rejects.toThrow('linearCrossEntropy: target 5 at 1 is beyond a vocabulary of 5');
  });

  it('refuses what does not fit', () => {
    const [x, weight] = [zeros([2, 4], { device }), zeros([5, 4], { device })];
    expect(() => linearCrossEntropy(x, zeros([5, 3], { device }), targetsOf(0, 1))).toThrow(
      new RangeError('linearCrossEntropy: x [tokens,hidden] [2,4] does not fit a weight [vocab,hidden] of [5,3]'),
    );
    expect(() => linearCrossEntropy(x, weight, targetsOf(0))).toThrow(
      new RangeError('linearCrossEntropy: targets must be [2], got [1]'),
    );
    expect(() => linearCrossEntropy(x, weight, zeros([2], { device }))).toThrow(
      new TypeError('linearCrossEntropy: targets must be i32, got f32'),
    );
    expect(() => linearCrossEntropy(x, weight, targetsOf(0, 1), { softcap: -1 })).toThrow(
      new RangeError('linearCrossEntropy: softcap must be 0 or positive, got -1'),
    );
    expect(() => crossEntropy(zeros([2], { device }), targetsOf(0, 1))).toThrow(
      new RangeError('crossEntropy: takes logits [rows,classes], got [2]'),
    );
  });
});
