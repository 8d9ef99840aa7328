// Elementwise functions: the case lists of one and of two tensors, special values, updates in place, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/elementwise.js';
import { backward } from '../../lib/core/autograd.js';
import { kernels } from '../../lib/core/native.js';
import { type Tensor, tensor } from '../../lib/core/tensor.js';
import * as ops from '../../lib/ops/elementwise.js';
import { slice, transpose } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('elementwise', cases);

const device = testDevice;
const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const of = async (op: (x: Tensor) => Tensor, values: number[]): Promise<number[]> => [
  ...(await op(tensor(values, { device })).data()),
];

describe('special values', () => {
  const expected: Record<string, [(x: Tensor) => Tensor, number[], number[]]> = {
    exp: [ops.exp, [nan, inf, -inf, 89, -104, 0], [nan, inf, 0, inf, 0, 1]],
    log: [ops.log, [nan, inf, -inf, 0, -1, 1], [nan, inf, nan, -inf, nan, 0]],
    sqrt: [ops.sqrt, [nan, inf, -1, 0, 4], [nan, inf, nan, 0, 2]],
    rsqrt: [ops.rsqrt, [nan, inf, -1, 0, 4], [nan, 0, nan, inf, 0.5]],
    tanh: [ops.tanh, [nan, inf, -inf, 0, 100, -100], [nan, 1, -1, 0, 1, -1]],
    sigmoid: [ops.sigmoid, [nan, inf, -inf, 0, -200], [nan, 1, 0, 0.5, 0]],
    relu: [ops.relu, [nan, inf, -inf, 0], [nan, inf, 0, 0]],
    gelu: [ops.gelu, [nan, inf, 0, 100, -100], [nan, inf, 0, 100, -0]],
    geluTanh: [ops.geluTanh, [nan, inf, 0, 100, -1e30], [nan, inf, 0, 100, -0]],
    softplus: [ops.softplus, [nan, inf, -inf, 0, 100, -200], [nan, inf, 0, Math.fround(Math.log(2)), 100, 0]],
    silu: [ops.silu, [nan, inf, 0, 100, -200], [nan, inf, 0, 100, -0]],
    abs: [ops.abs, [nan, -inf, -0, -2], [nan, inf, 0, 2]],
    clamp: [(x) => ops.clamp(x, -1, 1), [nan, inf, -inf, 0.5], [nan, 1, -1, 0.5]],
    'power 0.5': [(x) => ops.power(x, 0.5), [nan, inf, 4, -1], [nan, inf, 2, nan]],
    'power 0': [(x) => ops.power(x, 0), [nan, 0, 4], [1, 1, 1]],
  };
  it.each(Object.entries(expected))('%s', async (_, [op, values, want]) => {
    const got = await of(op, values);
    for (const [i, value] of want.entries()) {
      if (Number.isFinite(value)) expect(got[i]! + 0, `of ${values[i]}`).toBeCloseTo(value, 6);
      else expect(got[i], `of ${values[i]}`).toBe(value);
    }
    // The same where registers are full.
    const wide = await of(
      op,
      Array.from({ length: 40 }, (_, i) => values[i % values.length]!),
    );
    expect(wide.map((x) => x + 0)).toEqual(wide.map((_, i) => got[i % values.length]! + 0));
  });

  it('keep small numbers exact', async () => {
    const [tiny] = await of(ops.log, [1e-42]);
    expect(tiny).toBeCloseTo(Math.log(Math.fround(1e-42)), 4);
    const [far] = await of(ops.gelu, [-8]);
    expect(far! / (-8 * 6.220960574271786e-16)).toBeCloseTo(1, 5); // Φ(-8)
    const [series] = await of(ops.tanh, [1e-4]);
    expect(series! / 1e-4).toBeCloseTo(1, 6);
  });

  it('NaN reaches the larger and the smaller of two', async () => {
    const a = tensor([nan, 1, nan, -0], { device });
    const b = tensor([1, nan, nan, 2], { device });
    expect([...(await ops.maximum(a, b).data())]).toEqual([nan, nan, nan, 2]);
    expect([...(await ops.minimum(a, b).data())].map((x) => x + 0)).toEqual([nan, nan, nan, 0]);
  });

  it('NaN equals nothing and is less than nothing', async () => {
    const a = tensor([nan, 1, nan], { device });
    const b = tensor([1, nan, nan], { device });
    for (const op of [ops.equal, ops.less, ops.lessEqual]) expect([...(await op(a, b).data())]).toEqual([0, 0, 0]);
  });

  it('where takes nothing from the side that is not chosen', async () => {
    const condition = tensor([1, 0, 1], { dtype: 'bool', device });
    const out = ops.where(condition, tensor([1, nan, inf], { device }), tensor([nan, 2, nan], { device }));
    expect([...(await out.data())]).toEqual([1, 2, inf]);
  });

  it('i32 wraps around', async () => {
    const x = tensor(Int32Array.of(2 ** 31 - 1, -(2 ** 31)), { device });
    expect([...(await ops.add(x, 1).data())]).toEqual([-(2 ** 31), -(2 ** 31) + 1]);
    expect([...(await ops.neg(x).data())]).toEqual([-(2 ** 31) + 1, -(2 ** 31)]);
  });
});

describe('slopes', () => {
  const slope = async (op: (x: Tensor) => Tensor, values: number[]): Promise<number[]> => {
    const x = tensor(values, { device, requiresGrad: true });
    backward(
      op(x),
      tensor(
        values.map(() => 1),
        { device },
      ),
    );
    return [...(await x.grad!.data())].map((value) => value + 0);
  };
  it('at the corners', async () => {
    expect(await slope(ops.relu, [-1, 0, 2])).toEqual([0, 0, 1]);
    expect(await slope(ops.abs, [-1, 0, 2])).toEqual([-1, 0, 1]);
    expect(await slope((x) => ops.clamp(x, -1, 1), [-2, -1, 0, 1, 2])).toEqual([0, 1, 1, 1, 0]);
    expect(await slope((x) => ops.maximum(x, 1), [0, 1, 2])).toEqual([0, 0.5, 1]);
    expect(await slope((x) => ops.minimum(x, 1), [0, 1, 2])).toEqual([1, 0.5, 0]);
  });
  it('far out', async () => {
    for (const op of [ops.silu, ops.gelu, ops.geluTanh])
      expect(await slope(op, [-1e20, -1000, 1000, 1e20])).toEqual([0, 0, 1, 1]);
  });
});

describe('in place', () => {
  it('an output may be an input, whatever the format', async () => {
    for (const dtype of ['f32', 'bf16', 'f16', 'i32'] as const) {
      const x = tensor(
        Float32Array.from({ length: 1500 }, (_, i) => i % 100),
        { dtype, device },
      );
      kernels.add(x.handle, x.handle, x.handle);
      expect([...(await x.data())]).toEqual(Array.from({ length: 1500 }, (_, i) => (i % 100) * 2));
    }
  });
  it('an output may be a view', async () => {
    const x = tensor(new Float32Array(12), { shape: [3, 4], device });
    const middle = transpose(slice(x, 1, 1, 3));
    kernels.add(
      middle.handle,
      middle.handle,
      tensor(
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        { device },
      ).handle,
    );
    expect([...(await x.data())]).toEqual([0, 1, 4, 0, 0, 2, 5, 0, 0, 3, 6, 0]);
  });
});

describe('misuse', () => {
  const x = tensor(
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    { device },
  );
  const i = tensor(Int32Array.of(1, 2, 3), { device });
  const mask = tensor([1, 0, 1], { dtype: 'bool', device });
  it('says what is wrong', () => {
    expect(() => ops.add(x, tensor([1, 2], { device }))).toThrow(
      new RangeError('add: shapes do not broadcast: [2,3] and [2]'),
    );
    expect(() => ops.add(x, i)).toThrow(
      new TypeError('add: takes floating-point tensors, or i32 with i32, got f32 and i32'),
    );
    expect(() => ops.mul(x, mask)).toThrow(TypeError);
    expect(() => ops.div(i, i)).toThrow(new TypeError('div: takes floating-point tensors, got i32'));
    expect(() => ops.add(i, 0.5)).toThrow(new TypeError('add: 0.5 beside a tensor of i32'));
    expect(() => ops.exp(i)).toThrow(new TypeError('exp: takes floating-point tensors, got i32'));
    expect(() => ops.neg(mask)).toThrow(TypeError);
    expect(() => ops.clamp(x, 2, 1)).toThrow(new RangeError('clamp: low 2 is not below high 1'));
    expect(() => ops.clamp(x, nan, 1)).toThrow(RangeError);
    expect(() => ops.where(x, x, x)).toThrow(new TypeError('where: the condition must be bool, got f32'));
    expect(() => ops.where(mask, x, tensor([1, 2], { device }))).toThrow(RangeError);
    expect(() => ops.add(1, 2)).toThrow(new TypeError('add: takes at least one tensor'));
  });
});
