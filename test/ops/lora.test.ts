// loraLinear: the case list, what gets a gradient, merging, views, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/lora.js';
import { backward } from '../../lib/core/autograd.js';
import { tensor } from '../../lib/core/tensor.js';
import { contiguous } from '../../lib/ops/copy.js';
import { loraGrouped, loraLinear, loraLinearPath, loraMerge } from '../../lib/ops/lora.js';
import { linear } from '../../lib/ops/matmul.js';
import { randn, zeros } from '../../lib/ops/random.js';
import { sum } from '../../lib/ops/reduce.js';
import { slice, transpose } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('lora', cases);

const device = testDevice;

describe('lora', () => {
  it('gives the weight and the bias no gradient, and x only where it is asked', () => {
    const a = randn([2, 8], { device, seed: 1, requiresGrad: true });
    const b = randn([6, 2], { device, seed: 2, requiresGrad: true });
    const weight = randn([6, 8], { device, seed: 3, requiresGrad: true });
    const bias = randn([6], { device, seed: 4, requiresGrad: true });
    const x = randn([3, 8], { device, seed: 5 });
    backward(sum(loraLinear(x, weight, a, b, { scaling: 1, bias })));
    expect([x, weight, bias].map((t) => t.grad)).toEqual([undefined, undefined, undefined]);
    expect([a, b].map((t) => t.grad?.shape)).toEqual([
      [2, 8],
      [6, 2],
    ]);
  });

  it('is the frozen layer plus the path', async () => {
    const [x, weight] = [randn([20, 33], { device, seed: 1 }), randn([17, 33], { device, seed: 2 })];
    const [a, b] = [randn([4, 33], { device, seed: 3 }), randn([17, 4], { device, seed: 4 })];
    const [whole, frozen, path] = await Promise.all(
      [loraLinear(x, weight, a, b, { scaling: 3 }), linear(x, weight), loraLinearPath(x, a, b, 3)].map((t) => t.data()),
    );
    for (const [i, value] of whole!.entries()) expect(value).toBeCloseTo(frozen![i]! + path![i]!, 3);
  });

  it.each([
    ['f32', 2 ** -24],
    ['bf16', 2 ** -9],
    ['f16', 2 ** -12],
  ] as const)('takes out what it merged, within two roundings of %s', async (dtype, roundoff) => {
    const [a, b] = [randn([3, 20], { device, seed: 1 }), randn([33, 3], { device, seed: 2 })];
    const weight = randn([33, 20], { device, seed: 3, dtype });
    const before = await weight.data();
    const merged = await loraMerge(weight, a, b, 0.25).data();
    const after = await loraMerge(weight, a, b, -0.25).data();
    expect(merged.filter((value, i) => value !== before[i]).length).toBeGreaterThan(600);
    after.forEach((value, i) => {
      // The larger of two sizes has the larger unit; f32 sums add some units of their own.
      const size = Math.abs(before[i]!) + Math.abs(merged[i]!);
      expect(Math.abs(value - before[i]!)).toBeLessThanOrEqual(2 * (roundoff + 2 ** -23) * size);
    });
    expect(() => loraMerge(weight, b, a, 1)).toThrow('loraMerge: weight [out,in], a [r,in] and b [out,r] do not fit');
    expect(() => loraMerge(transpose(weight), transpose(b), transpose(a), 1)).toThrow('must be contiguous');
  });

  it('takes views', async () => {
    const [xt, weight] = [randn([8, 5], { device, seed: 1 }), randn([6, 8], { device, seed: 2 })];
    const [a, b] = [randn([2, 8], { device, seed: 3 }), zeros([6, 2], { device })];
    const x = transpose(xt);
    const [viewed, copied] = [loraLinear(x, weight, a, b, { scaling: 1 }), linear(contiguous(x), weight)];
    expect(await viewed.data()).toEqual(await copied.data());
  });

  it('refuses what does not fit', () => {
    const [x, weight] = [zeros([3, 8], { device }), zeros([6, 8], { device })];
    const [a, b] = [zeros([2, 8], { device }), zeros([6, 2], { device })];
    expect(() => loraLinear(x, weight, b, a, { scaling: 1 })).toThrow(
      new RangeError('loraLinear: x [..,in], a [r,in] and b [out,r] do not fit: [3,8], [6,2], [2,8]'),
    );
    expect(() => loraLinear(x, zeros([5, 8], { device }), a, b, { scaling: 1 })).toThrow(
      new RangeError('loraLinear: weight must be [6,8], got [5,8]'),
    );
    expect(() => loraLinear(x, weight, a, b, { scaling: 1, bias: zeros([5], { device }) })).toThrow(
      new RangeError('loraLinear: bias must be [6], got [5]'),
    );
    expect(() => loraLinear(x, zeros([6, 8], { device, dtype: 'i32' }), a, b, { scaling: 1 })).toThrow(TypeError);
  });

  it('gives a row of a group the same numbers in any company, to the last bit', async () => {
    const [a, b] = [randn([3, 24, 50], { device, seed: 1 }), randn([3, 70, 24], { device, seed: 2 })];
    const scalings = tensor([1, 2, 0.3], { device });
    const x = randn([90, 50], { device, seed: 3 });
    const run = (rows: typeof x, slots: number[]): ReturnType<typeof x.data> => {
      const order = Int32Array.from(slots.keys()).sort((s, t) => slots[s]! - slots[t]! || s - t);
      const segments = Int32Array.from({ length: 4 }, (_, s) => slots.filter((slot) => slot < s).length);
      const ranks = tensor(Int32Array.of(24, 24, 24), { device });
      const groups = {
        a,
        b,
        ranks,
        scalings,
        order: tensor(order, { device }),
        segments: tensor(segments, { device }),
      };
      return loraGrouped(zeros([slots.length, 70], { device }), rows, groups).data();
    };
    const all = await run(
      x,
      Array.from({ length: 90 }, (_, t) => t % 3),
    );
    for (const t of [0, 1, 89])
      expect(await run(slice(x, 0, t, t + 1), [t % 3])).toEqual(all.slice(t * 70, t * 70 + 70));
  });

  it('refuses groups that do not fit, and rows outside the batch at the await; takes layers without outputs', async () => {
    const [a, b] = [zeros([2, 4, 8], { device }), zeros([2, 6, 4], { device })];
    const [out, x] = [zeros([3, 6], { device }), zeros([3, 8], { device })];
    const groups = (order: number[], segments: number[]) => ({
      a,
      b,
      ranks: tensor(Int32Array.of(4, 4), { device }),
      scalings: zeros([2], { device }),
      order: tensor(Int32Array.from(order), { device }),
      segments: tensor(Int32Array.from(segments), { device }),
    });
    expect(() => loraGrouped(x, out, groups([0], [0, 0, 1]))).toThrow(/loraGrouped: out \[tokens,out\].* do not fit/);
    expect(() => loraGrouped(out, x, groups([0], [0, 1]))).toThrow(
      'must be [slots], [slots], [tokens] and [slots + 1]',
    );
    await expect(loraGrouped(out, x, groups([3], [0, 0, 1])).data()).rejects.toThrow(
      'loraGrouped: row 3 of a batch of 3',
    );
    const nothing = { ...groups([0], [0, 0, 1]), b: zeros([2, 0, 4], { device }) };
    expect([...(await loraGrouped(zeros([3, 0], { device }), x, nothing).data())]).toEqual([]);
    const again = zeros([3, 6], { device });
    await expect(loraGrouped(again, x, groups([0], [0, 2, 1])).data()).rejects.toThrow(
      'slot 0 has the rows 0 to 2 of 1',
    );
  });
});
