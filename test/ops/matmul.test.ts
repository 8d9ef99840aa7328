// matmul and linear: the case list, which gradients are made, one result for every number of rows, and misuse.
import { describe, expect, it } from 'vitest';
import { compare } from '../../lib/check/case.js';
import { cases } from '../../lib/check/matmul.js';
import { backward, noGrad } from '../../lib/core/autograd.js';
import { tensor } from '../../lib/core/tensor.js';
import { toDevice } from '../../lib/ops/copy.js';
import { mul } from '../../lib/ops/elementwise.js';
import { linear, matmul } from '../../lib/ops/matmul.js';
import { randn, zeros } from '../../lib/ops/random.js';
import { sum } from '../../lib/ops/reduce.js';
import { slice, transpose } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('matmul', cases);

const device = testDevice;

describe('matmul', () => {
  it('gives a frozen operand no gradient', () => {
    const a = tensor([[1, 2]], { device, requiresGrad: true });
    const b = tensor([[3], [4]], { device });
    backward(matmul(a, b));
    expect(a.grad?.shape).toEqual([1, 2]);
    expect(b.grad).toBeUndefined();
  });

  it('reads slices where they lie', async () => {
    const x = tensor(
      Float32Array.from({ length: 60 }, (_, i) => i),
      { shape: [6, 10], device },
    );
    const a = slice(slice(x, 0, 1, 3), 1, 2, 5);
    const b = slice(slice(x, 0, 3, 6), 1, 7, 9);
    expect([...(await matmul(a, b).data())]).toEqual([
      12 * 37 + 13 * 47 + 14 * 57,
      12 * 38 + 13 * 48 + 14 * 58,
      22 * 37 + 23 * 47 + 24 * 57,
      22 * 38 + 23 * 48 + 24 * 58,
    ]);
  });

  it('hands NaN and infinity on', async () => {
    const a = tensor(
      [
        [1, Number.NaN],
        [1, Number.POSITIVE_INFINITY],
        [1, 2],
      ],
      { device },
    );
    const b = tensor([[1], [1]], { device });
    expect([...(await matmul(a, b).data())]).toEqual([Number.NaN, Number.POSITIVE_INFINITY, 3]);
  });

  it('refuses what does not fit', () => {
    const x = zeros([2, 3], { device });
    expect(() => matmul(x, x)).toThrow(new RangeError('matmul: inner sizes differ: [2,3] × [2,3]'));
    expect(() => matmul(x, zeros([3], { device }))).toThrow(new RangeError('matmul: takes matrices, got [2,3] × [3]'));
    expect(() => matmul(zeros([2, 2, 3], { device }), zeros([3, 3, 4], { device }))).toThrow(
      new RangeError('matmul: leading axes do not match: [2,2,3] × [3,3,4]'),
    );
    expect(() => matmul(x, zeros([3, 4], { device }), { bias: zeros([3], { device }) })).toThrow(
      new RangeError('matmul: bias must be [4], got [3]'),
    );
    expect(() => matmul(x, zeros([3, 4], { device }), { residual: zeros([4], { device }) })).toThrow(
      new RangeError('matmul: residual must be [2,4], got [4]'),
    );
    expect(() => matmul(x, zeros([3, 4], { device }), { activation: 'tanh' as 'silu' })).toThrow(
      new RangeError('matmul: activation must be one of silu, gelu, geluTanh, got tanh'),
    );
    expect(() => matmul(x, tensor(new Int32Array(3), { shape: [3, 1], device }))).toThrow(
      new TypeError('matmul: takes floating-point tensors, got i32'),
    );
    expect(() => linear(x, zeros([4, 2], { device }))).toThrow(
      new RangeError('linear: x [2,3] does not fit a weight [out,in] of [4,2]'),
    );
  });

  // Four multiprocessors (HELVETIA_PROCESSORS=4, and the GPU in software) have nine pairs of tiles here: each walks on.
  it.each(['bf16', 'f32'] as const)('makes more tiles than a GPU has processors, %s', async (dtype) => {
    const [a, b] = [1, 2].map((seed) => randn([520, 70], { device: 'cpu', seed, dtype: 'bf16' }));
    const want = await matmul(a!, b!, { transposeB: true, dtype: 'f32' }).data();
    const got = await matmul(toDevice(a!, device), toDevice(b!, device), { transposeB: true, dtype }).data();
    const difference = compare(got, want, dtype, 70, 4);
    expect(difference.worst, difference.message).toBeLessThanOrEqual(1);
  });

  it('has one meaning with a gradient and without', async () => {
    const [x, weight] = [
      randn([20, 33], { device, seed: 1, dtype: 'bf16', requiresGrad: true }),
      randn([17, 33], { device, seed: 2, dtype: 'bf16' }),
    ];
    const residual = randn([20, 17], { device, seed: 3 });
    for (const dtype of ['bf16', undefined] as const) {
      const options = { transposeB: true, activation: 'silu', residual, ...(dtype ? { dtype } : {}) } as const;
      const [recorded, plain] = [matmul(x, weight, options), noGrad(() => matmul(x, weight, options))];
      expect([recorded.dtype, plain.dtype]).toEqual([dtype ?? 'f32', dtype ?? 'f32']);
      const { worst, message } = compare(await recorded.data(), await plain.data(), recorded.dtype, 33, 4);
      expect(worst, message).toBeLessThanOrEqual(1);
    }
    expect(() =>
      matmul(x, weight, { transposeB: true, activation: 'silu', residual: zeros([17], { device }) }),
    ).toThrow('matmul: residual must be [20,17], got [17]');
  });

  it('adds a residual of any strides, and leaves it as it was', async () => {
    const [x, weight] = [randn([20, 33], { device, seed: 1 }), randn([17, 33], { device, seed: 2 })];
    const residual = randn([17, 20], { device, seed: 3, requiresGrad: true });
    const out = linear(x, weight, { residual: transpose(residual) });
    const [got, plain, added] = await Promise.all([out, linear(x, weight), residual].map((t) => t.data()));
    got!.forEach((value, i) => {
      expect(value).toBeCloseTo(plain![i]! + added![(i % 17) * 20 + Math.floor(i / 17)]!, 4);
    });
    backward(sum(mul(out, out)));
    const slope = await residual.grad!.data();
    slope.forEach((value, i) => expect(value).toBeCloseTo(2 * got![(i % 20) * 17 + Math.floor(i / 20)]!, 4));
  });

  // A GPU takes other kernels for other sizes.
  it.runIf(testDevice === 'cpu')('gives a row the same numbers among any number of rows, to the last bit', async () => {
    for (const dtype of ['f32', 'bf16'] as const) {
      for (const [inner, outer] of [
        [33, 20],
        [64, 7],
        [100, 300],
        [1100, 70],
      ] as const) {
        const [x, weight] = [
          randn([120, inner], { device, seed: 1 }),
          randn([outer, inner], { device, seed: 2, dtype }),
        ];
        const all = await linear(x, weight).data();
        for (const count of [1, 2, 9, 16, 17, 31, 97]) {
          const some = await linear(slice(x, 0, 5, 5 + count), weight).data();
          expect(some, `${count} rows of ${inner} to ${outer}`).toEqual(all.slice(5 * outer, (5 + count) * outer));
        }
      }
    }
  });
});
