// Casts, joins, gather and scatterAdd: the case list, what is not copied, saturation, bad indices, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/copy.js';
import { kernels } from '../../lib/core/native.js';
import { empty, tensor } from '../../lib/core/tensor.js';
import { cast, concat, contiguous, gather, scatterAdd, stack } from '../../lib/ops/copy.js';
import { full, zeros } from '../../lib/ops/random.js';
import { slice, transpose } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('copy', cases);

const device = testDevice;
const x = tensor(
  [
    [1, 2, 3],
    [4, 5, 6],
  ],
  { device },
);

describe('copy', () => {
  it('does not copy what is there already', () => {
    expect(cast(x, 'f32')).toBe(x);
    expect(contiguous(x)).toBe(x);
    expect(cast(x, 'f32', { copy: true })).not.toBe(x);
    expect(contiguous(transpose(x))).not.toBe(x);
  });

  it('saturates, and turns NaN into 0', async () => {
    const extremes = tensor([Number.NaN, Infinity, -Infinity, 3e9, -3e9, 2.9, -2.9, 2147483520], { device });
    expect([...(await cast(extremes, 'i32').data())]).toEqual([
      0, 2147483647, -2147483648, 2147483647, -2147483648, 2, -2, 2147483520,
    ]);
    expect([...(await cast(extremes, 'u8').data())]).toEqual([0, 255, 0, 255, 0, 2, 0, 255]);
    expect([...(await cast(extremes, 'bool').data())]).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    expect([...(await cast(tensor(Int32Array.of(-1, 256, 7), { device }), 'u8').data())]).toEqual([0, 255, 7]);
  });

  it('writes into views and leaves the rest', async () => {
    const out = full([4, 5], 9, { device });
    kernels.copy(slice(slice(out, 0, 1, 3), 1, 1, 4).handle, x.handle);
    expect([...(await out.data())]).toEqual([9, 9, 9, 9, 9, 9, 1, 2, 3, 9, 9, 4, 5, 6, 9, 9, 9, 9, 9, 9]);
    kernels.fill(slice(out, 1, 0, 2).handle, -1);
    expect([...(await slice(out, 1, 0, 3).data())]).toEqual([-1, -1, 9, -1, -1, 2, -1, -1, 5, -1, -1, 9]);
  });

  it('fills every format', async () => {
    for (const [dtype, value, want] of [
      ['f32', 0.1, Math.fround(0.1)],
      ['bf16', -2.5, -2.5],
      ['f16', Infinity, Infinity],
      ['i32', 2 ** 31 - 1, 2 ** 31 - 1],
      ['i32', -1e20, -(2 ** 31)],
      ['u8', 200, 200],
      ['bool', -3, 1],
    ] as const) {
      const out = empty([600], { dtype, device });
      kernels.fill(out.handle, value);
      expect(new Set(await out.data())).toEqual(new Set([want]));
    }
  });
});

describe('a bad index', () => {
  const index = tensor(
    [
      [0, 2, 0],
      [1, 0, -1],
    ],
    { dtype: 'i32', device },
  );
  it('fails at the await, with its place', async () => {
    await expect(gather(x, 0, index).data()).rejects.toThrow('gather: index 2 (element 1) is outside axis 0 of size 2');
    await expect(gather(x, 1, index).data()).rejects.toThrow(
      'gather: index -1 (element 5) is outside axis 1 of size 3',
    );
    await expect(scatterAdd(x, 0, index, x).data()).rejects.toThrow(
      'scatterAdd: index 2 (element 1) is outside axis 0 of size 2',
    );
    await x.device.idle().catch(() => undefined);
  });
});

describe('misuse', () => {
  const i = tensor([[0, 1, 0]], { dtype: 'i32', device });
  it('says what is wrong', () => {
    expect(() => concat([])).toThrow(new RangeError('concat: takes at least one tensor'));
    expect(() => concat([x, transpose(x)], 1)).toThrow(
      new RangeError('concat: shapes differ off axis 1: [2,3] and [3,2]'),
    );
    expect(() => concat([x, cast(x, 'bf16')])).toThrow(new TypeError('concat: formats differ: f32 and bf16'));
    expect(() => concat([x], 2)).toThrow(RangeError);
    expect(() => stack([x, transpose(x)])).toThrow(new RangeError('stack: shapes differ: [2,3] and [3,2]'));
    expect(() => stack([x], 3)).toThrow(RangeError);
    expect(() => gather(x, 1, x)).toThrow(new TypeError('gather: index must be i32, got f32'));
    expect(() => gather(x, 1, zeros([3, 1], { dtype: 'i32', device }))).toThrow(
      new RangeError('gather: an index [3,1] into [2,3] along axis 1'),
    );
    expect(() => scatterAdd(x, 0, i, x)).toThrow(
      new RangeError('scatterAdd: shapes differ: index [1,3] and source [2,3]'),
    );
    expect(() => scatterAdd(x, 0, i, i)).toThrow(TypeError);
    const blocks = empty([32], { dtype: 'q8_0', device });
    expect(() => cast(blocks, 'f32')).toThrow(new TypeError('cast: a q8_0 tensor holds blocks: dequantize it first'));
  });
});
