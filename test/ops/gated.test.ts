// swiglu and geglu: the case list and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/gated.js';
import { tensor } from '../../lib/core/tensor.js';
import { gatedHalves, geglu, swiglu } from '../../lib/ops/gated.js';
import { transpose } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('gated', cases);

describe('gated', () => {
  const x = tensor(
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    { device: testDevice },
  );
  it('takes views', async () => {
    const out = await swiglu(transpose(x), transpose(x)).data();
    expect(out[1]! / (16 / (1 + Math.exp(-4)))).toBeCloseTo(1, 6);
  });
  it('refuses what does not fit', () => {
    expect(() => swiglu(x, transpose(x))).toThrow(new RangeError('swiglu: shapes differ: [2,3] and [3,2]'));
    expect(() => geglu(x, tensor(Int32Array.of(1), { device: testDevice }))).toThrow(
      new TypeError('geglu: takes floating-point tensors, got i32'),
    );
    expect(() => gatedHalves('swiglu', x)).toThrow(
      new RangeError('swiglu: takes [..,2n] where gate and up are one, got [2,3]'),
    );
  });
});
