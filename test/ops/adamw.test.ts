// adamw and squaredNorm: the case list, the first step, NaN, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/adamw.js';
import { tensor } from '../../lib/core/tensor.js';
import { adamw, squaredNorm } from '../../lib/ops/adamw.js';
import { zeros } from '../../lib/ops/random.js';
import { transpose } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('adamw', cases);

const device = testDevice;

describe('adamw', () => {
  it('moves by the learning rate at the first step, whatever the size of the gradient', async () => {
    const p = tensor([1, 1, 1], { device });
    const [m, v] = [zeros([3], { device }), zeros([3], { device })];
    adamw([p], [m], [v], [tensor([1e-3, -5, 0], { device })], { learningRate: 0.1, step: 1 });
    const moved = await p.data();
    for (const [i, want] of [0.9, 1.1, 1].entries()) expect(moved[i]).toBeCloseTo(want, 5);
  });

  it('hands a NaN in the norm on to the parameters', async () => {
    const p = tensor([1], { device });
    const [m, v, g] = [zeros([1], { device }), zeros([1], { device }), tensor([1], { device })];
    adamw([p], [m], [v], [g], { learningRate: 0.1, step: 1, norm: tensor([Number.NaN], { device }), maxNorm: 1 });
    expect(await p.item()).toBeNaN();
  });

  // Its pieces are also more than one block sums up.
  it('takes more tensors than a kernel has arguments for', async () => {
    const count = 1100;
    const of = (value: (i: number) => number): ReturnType<typeof zeros>[] =>
      Array.from({ length: count }, (_, i) => tensor(new Array<number>((i % 3) + 1).fill(value(i)), { device }));
    const [p, m, v, g] = [of((i) => i), of(() => 0), of(() => 0), of((i) => (i % 2 ? 1 : -1) * 0.5)];
    const norm = squaredNorm(g!);
    expect(await norm.item()).toBeCloseTo(0.25 * g!.reduce((sum, x) => sum + x.shape[0]!, 0), 3);
    adamw(p!, m!, v!, g!, { learningRate: 0.25, step: 1 });
    const moved = await Promise.all(p!.map((x) => x.data()));
    for (const [i, values] of moved.entries()) {
      for (const value of values) expect(value).toBeCloseTo(i % 2 ? i - 0.25 : i + 0.25, 3);
    }
  });

  it('takes no parameters at all', () => {
    expect(() => adamw([], [], [], [], { learningRate: 1, step: 1 })).not.toThrow();
  });

  it('refuses what does not fit', () => {
    const x = (): ReturnType<typeof zeros> => zeros([2], { device });
    const options = { learningRate: 0.1, step: 1 };
    expect(() => adamw([x()], [x()], [x()], [], options)).toThrow(
      new RangeError('adamw: takes as many parameters as moments, variances and gradients, got 1, 1, 1, 0'),
    );
    expect(() => adamw([x()], [x()], [x()], [zeros([3], { device })], options)).toThrow(
      new RangeError('adamw: shapes differ: [2] and [3]'),
    );
    expect(() => adamw([x()], [zeros([2], { device, dtype: 'bf16' })], [x()], [x()], options)).toThrow(
      new TypeError('adamw: moments and variances must be f32, got bf16'),
    );
    expect(() => adamw([x()], [x()], [x()], [x()], { ...options, step: 0 })).toThrow(
      new RangeError('adamw: step counts from 1, got 0'),
    );
    expect(() => adamw([x()], [x()], [x()], [x()], { ...options, betas: [0.9, 1] })).toThrow(
      new RangeError('adamw: betas are in [0, 1), got 1'),
    );
    expect(() => adamw([x()], [x()], [x()], [x()], { ...options, maxNorm: 1 })).toThrow(
      new RangeError('adamw: norm and maxNorm come together'),
    );
    expect(() => squaredNorm([])).toThrow(new RangeError('squaredNorm: takes at least one tensor'));
    expect(() => squaredNorm([transpose(zeros([2, 3], { device }))])).toThrow(
      new RangeError('squaredNorm: takes contiguous tensors, got a view [3,2]'),
    );
  });
});
