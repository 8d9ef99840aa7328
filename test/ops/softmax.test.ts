// softmax and logSoftmax: the case list, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/softmax.js';
import { tensor } from '../../lib/core/tensor.js';
import { logSoftmax, softmax } from '../../lib/ops/softmax.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('softmax', cases);

describe('softmax', () => {
  it('sums to 1 far from zero', async () => {
    const out = await softmax(
      tensor(
        [
          [-1e30, -1e30],
          [3e38, 3e38],
        ],
        { device: testDevice },
      ),
    ).data();
    expect([...out]).toEqual([0.5, 0.5, 0.5, 0.5]);
  });

  it('refuses what it cannot take', () => {
    expect(() => softmax(tensor(1, { device: testDevice }))).toThrow(
      'softmax: takes a tensor of at least one axis, got a scalar',
    );
    expect(() => logSoftmax(tensor([1, 2], { dtype: 'i32', device: testDevice }))).toThrow(
      'logSoftmax: takes floating-point tensors, got i32',
    );
  });
});
