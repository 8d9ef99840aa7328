// The walk from a result to its leaves, whatever the rules of the ops on the way.
import { describe, expect, it } from 'vitest';
import { backward, backwardPaced, checkpoint, checkpointSteps, noGrad } from '../../lib/core/autograd.js';
import { memory } from '../../lib/core/device.js';
import { scope } from '../../lib/core/scope.js';
import { finish, type Steps } from '../../lib/core/steps.js';
import { type Tensor, tensor } from '../../lib/core/tensor.js';
import { add, mul } from '../../lib/ops/elementwise.js';
import { linear } from '../../lib/ops/matmul.js';
import { randn } from '../../lib/ops/random.js';
import { sum } from '../../lib/ops/reduce.js';
import { reshape } from '../../lib/ops/view.js';
import { isEmulated } from '../device.js';

const leaf = (values: number[]): Tensor => tensor(values, { requiresGrad: true });
const gradOf = async (x: Tensor): Promise<number[]> => [...(await x.grad!.data())];

describe('backward', () => {
  it('adds up where a tensor is used more than once', async () => {
    const x = leaf([2, 3]);
    const square = mul(x, x);
    backward(sum(add(mul(square, x), square))); // x³ + x²
    expect(await gradOf(x)).toEqual([3 * 4 + 2 * 2, 3 * 9 + 2 * 3]);
  });

  it('adds to the gradient that is there', async () => {
    const x = leaf([1]);
    for (let i = 0; i < 3; i++) backward(mul(x, 5));
    expect(await gradOf(x)).toEqual([15]);
  });

  it('hands one gradient to several inputs without mixing them up', async () => {
    const a = leaf([1, 2]);
    const b = leaf([3, 4]);
    const both = add(a, b); // its rule hands its own gradient on
    backward(sum(add(reshape(both, [2]), mul(a, 10))));
    expect(await gradOf(a)).toEqual([11, 11]);
    expect(await gradOf(b)).toEqual([1, 1]);
  });

  it('asks for no gradient of an input that needs none', async () => {
    const frozen = tensor([[1, 2]]);
    const x = tensor([[3, 4]], { requiresGrad: true });
    expect(mul(frozen, frozen).history).toBeUndefined();
    const out = linear(x, frozen);
    expect(out.history?.inputs).not.toContain(frozen);
    backward(out);
    expect(frozen.grad).toBeUndefined();
    expect(await gradOf(x)).toEqual([1, 2]);
  });

  it('records nothing under noGrad', () => {
    const x = leaf([1]);
    expect(noGrad(() => mul(x, 2)).history).toBeUndefined();
    expect(mul(x, 2).history).toBeDefined();
  });

  it('walks deep graphs', async () => {
    const x = leaf([1]);
    scope(() => {
      let y: Tensor = x;
      // Depth is the graph's, which JavaScript walks; the device's part is the same for each.
      for (let i = 0; i < (isEmulated ? 200 : 20_000); i++) y = add(y, 0);
      backward(y);
    });
    expect(await gradOf(x)).toEqual([1]);
  });

  it('takes a gradient for a result of several elements, and refuses a wrong one', async () => {
    const x = leaf([1, 2]);
    expect(() => backward(mul(x, 2))).toThrow('backward: takes one element or a gradient, got [2]');
    expect(() => backward(mul(x, 2), tensor([1]))).toThrow('backward: a gradient [1] for a tensor [2]');
    const seed = tensor([10, 20]);
    backward(mul(x, 2), seed);
    expect(await gradOf(x)).toEqual([20, 40]);
    expect([...(await seed.data())]).toEqual([10, 20]);
  });

  it('gives the same in slices', async () => {
    const run = async (paced: boolean): Promise<number[]> => {
      const x = leaf([1, 2, 3]);
      const y = sum(mul(mul(x, x), x));
      if (paced) await backwardPaced(y, () => new Promise((resolve) => setImmediate(resolve)));
      else backward(y);
      return gradOf(x);
    };
    expect(await run(true)).toEqual(await run(false));
  });
});

describe('checkpoint', () => {
  it('gives the same gradients as without, to inputs and to leaves inside, and holds less', async () => {
    const peakOf = async (checkpointed: boolean): Promise<{ gradients: number[][]; extra: number }> => {
      const x = randn([64, 256], { seed: 1, requiresGrad: true });
      const w = randn([256, 256], { seed: 2, deviation: 0.05, requiresGrad: true });
      await x.data();
      const start = memory().used;
      const held = await scope(async () => {
        const block = (y: Tensor): Tensor => {
          let z = y;
          for (let i = 0; i < 10; i++) z = mul(linear(z, w), 0.9);
          return z;
        };
        const out = sum(checkpointed ? checkpoint(block, x) : block(x));
        await out.data();
        const used = memory().used - start;
        backward(out);
        return used;
      });
      const gradients = [await gradOf(x), await gradOf(w)];
      for (const t of [x.grad!, w.grad!, x, w]) t.dispose();
      return { gradients, extra: held };
    };
    // The collector may free an earlier test's tensors meanwhile, which makes either figure too small: hence the retries.
    const tensorBytes = 64 * 256 * 4;
    for (let attempt = 0; ; attempt++) {
      const plain = await peakOf(false);
      const saved = await peakOf(true);
      expect(saved.gradients).toEqual(plain.gradients);
      expect(saved.extra).toBeLessThanOrEqual(3 * tensorBytes);
      if (plain.extra < 10 * tensorBytes && attempt < 5) continue;
      expect(plain.extra).toBeGreaterThanOrEqual(10 * tensorBytes);
      return;
    }
  });

  it('gives those of several results, of which some lead to others or to nothing', async () => {
    const gradients = async (wrap: (body: (y: Tensor) => Steps<Tensor[]>, y: Tensor) => Steps<Tensor[]>) => {
      const x = randn([3, 4], { seed: 3, requiresGrad: true });
      const w = randn([4, 4], { seed: 4, requiresGrad: true });
      const [first, second, third] = finish(
        // biome-ignore lint/correctness/useYield: it has nothing to wait for.
        wrap(function* (y) {
          const z = linear(y, w);
          return [z, mul(z, z), mul(y, 3)];
        }, x),
      );
      backward(sum(mul(mul(first!, 0.5), second!)));
      expect(third!.shape).toEqual([3, 4]);
      return [await gradOf(x), await gradOf(w)];
    };
    const plain = await gradients((body, y) => body(y));
    const again = await gradients((body, y) => checkpointSteps(body, y));
    expect(plain[0]!.some((value) => value !== 0)).toBe(true);
    again.forEach((values, i) => {
      values.forEach((value, n) => expect(value).toBeCloseTo(plain[i]![n]!, 5));
    });
  });
});
