// attention: the case list, gradients of long sequences against the written-out formula, lse, and misuse.
import { describe, expect, it } from 'vitest';
import { cases, type Rules, reference, rowOf, settingsOf } from '../../lib/check/attention.js';
import { compare, type Numbers, numbers, rounded, seeded } from '../../lib/check/case.js';
import { backward } from '../../lib/core/autograd.js';
import { kernels } from '../../lib/core/native.js';
import { empty, type Tensor, tensor, viewOf } from '../../lib/core/tensor.js';
import { attention } from '../../lib/ops/attention.js';
import { cast } from '../../lib/ops/copy.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('attention', cases);

const device = testDevice;

function drawn(shape: number[], seed: number): Numbers {
  const random = seeded(seed);
  const out = numbers(shape);
  return { shape, data: out.data.map(() => rounded(3 * (random() + random() - 1), 'bf16')) };
}

const toTensor = ({ shape, data }: Numbers, requiresGrad = false): Tensor =>
  tensor(Float32Array.from(data), { shape, device, requiresGrad });

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** dq, dk, dv for one causal sequence, in double precision. */
function gradients(q: Numbers, k: Numbers, v: Numbers, dout: Numbers, { window = 1e9, softcap }: Rules): Numbers[] {
  const [tokens, heads, headDim] = q.shape as [number, number, number];
  const group = heads / k.shape[1]!;
  const scale = headDim ** -0.5;
  const out = reference(q, k, v, [0, tokens], { window, ...(softcap ? { softcap } : {}) });
  const [dq, dk, dv] = [numbers(q.shape), numbers(k.shape), numbers(v.shape)];
  const addTo = (to: Float64Array, from: Float64Array, factor: number): void => {
    for (let i = 0; i < headDim; i++) to[i]! += factor * from[i]!;
  };
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < heads; h++) {
      const kv = Math.floor(h / group);
      const first = Math.max(0, t - window + 1);
      const query = rowOf(q, t, h);
      const grad = rowOf(dout, t, h);
      const raw = Array.from({ length: t + 1 - first }, (_, j) => scale * dot(query, rowOf(k, first + j, kv)));
      const scores = raw.map((s) => (softcap ? softcap * Math.tanh(s / softcap) : s));
      const most = Math.max(...scores);
      const total = scores.reduce((sum, s) => sum + Math.exp(s - most), 0);
      const delta = dot(grad, rowOf(out, t, h));
      for (const [j, score] of scores.entries()) {
        const p = Math.exp(score - most) / total;
        const slope = softcap ? 1 - (score / softcap) ** 2 : 1;
        const dscore = p * (dot(grad, rowOf(v, first + j, kv)) - delta) * slope * scale;
        addTo(rowOf(dv, first + j, kv), grad, p);
        addTo(rowOf(dk, first + j, kv), query, dscore);
        addTo(rowOf(dq, t, h), rowOf(k, first + j, kv), dscore);
      }
    }
  }
  return [dq, dk, dv];
}

describe('attention', () => {
  it.each<[number, number, number, Rules]>([
    [1200, 1, 16, {}],
    [700, 3, 64, {}],
    [1100, 2, 8, { window: 300, softcap: 4 }],
  ])('gradients of %i tokens, %i/1 heads × %i, %o', async (tokens, heads, headDim, rules) => {
    const inputs = [
      drawn([tokens, heads, headDim], 1),
      drawn([tokens, 1, headDim], 2),
      drawn([tokens, 1, headDim], 3),
    ] as const;
    const dout = drawn([tokens, heads, headDim], 4);
    const [q, k, v] = inputs.map((x) => toTensor(x, true)) as [Tensor, Tensor, Tensor];
    backward(
      attention(q, k, v, { boundaries: tensor([0, tokens], { dtype: 'i32', device }), ...settingsOf(rules, q.device) }),
      toTensor(dout),
    );
    const want = gradients(...inputs, dout, rules);
    for (const [i, x] of [q, k, v].entries()) {
      // lse and D carry a rounding each, which the difference dout · v - D enlarges.
      const difference = compare(await x.grad!.data(), want[i]!.data, 'f32', tokens * headDim, 8);
      expect(difference.worst, `gradient of ${'qkv'[i]}: ${difference.message}`).toBeLessThanOrEqual(1);
    }
  });

  it('gives views of a fused qkv their gradients', async () => {
    const fused = drawn([30, 4, 8], 5);
    const part = (heads: number, from: number): Tensor => viewOf(toTensor(fused), [30, heads, 8], [32, 8, 1], from * 8);
    const copy = async (x: Tensor): Promise<Tensor> => tensor(await x.data(), { shape: x.shape, device });
    const views = [part(2, 0), part(1, 2), part(1, 3)];
    const copies = await Promise.all(views.map(copy));
    const boundaries = tensor([0, 11, 30], { dtype: 'i32', device });
    for (const [q, k, v] of [views, copies] as [Tensor, Tensor, Tensor][]) {
      for (const x of [q, k, v]) x.requiresGrad = true;
      backward(attention(q, k, v, { boundaries }), toTensor(drawn([30, 2, 8], 6)));
    }
    for (const [i, view] of views.entries()) expect(await view.grad!.data()).toEqual(await copies[i]!.grad!.data());
  });

  it.each([
    ['heads', [30, 1, 64], [64, 0, 1]],
    ['tokens', [1, 2, 64], [0, 64, 1]],
  ] as const)('takes keys and values whose %s repeat', async (_, stored, strides) => {
    const [q, k, v] = [drawn([30, 4, 64], 1), drawn([...stored], 2), drawn([...stored], 3)];
    const repeated = (x: Numbers): Tensor => viewOf(cast(toTensor(x), 'bf16'), [30, 2, 64], [...strides]);
    const written = (x: Numbers): Numbers => {
      const out = numbers([30, 2, 64]);
      for (let i = 0; i < 60; i++) {
        const from = Math.floor(i / 2) * strides[0] + (i % 2) * strides[1];
        out.data.set(x.data.subarray(from, from + 64), i * 64);
      }
      return out;
    };
    const boundaries = tensor([0, 30], { dtype: 'i32', device });
    const out = attention(cast(toTensor(q), 'bf16'), repeated(k), repeated(v), { boundaries });
    const want = reference(q, written(k), written(v), [0, 30], {});
    const difference = compare(await out.data(), want.data, 'bf16', 64, 4);
    expect(difference.worst, difference.message).toBeLessThanOrEqual(1);
  });

  it('gives the logarithm of the sum, and -inf where a token is in no sequence', async () => {
    const [q, k, v] = [drawn([5, 2, 4], 1), drawn([5, 2, 4], 2), drawn([5, 2, 4], 3)];
    const out = empty([5, 2, 4], { device });
    const lse = empty([2, 5], { device });
    const boundaries = tensor([1, 4], { dtype: 'i32', device });
    kernels.attention(
      out.handle,
      lse.handle,
      toTensor(q).handle,
      toTensor(k).handle,
      toTensor(v).handle,
      boundaries.handle,
      0.5,
      true,
      0,
      0,
    );
    const want = [0, 1].flatMap((h) =>
      [0, 1, 2, 3, 4].map((t) => {
        if (t < 1 || t >= 4) return Number.NEGATIVE_INFINITY;
        let sum = 0;
        for (let j = 1; j <= t; j++) sum += Math.exp(0.5 * dot(rowOf(q, t, h), rowOf(k, j, h)));
        return Math.log(sum);
      }),
    );
    const difference = compare(await lse.data(), want, 'f32', 8, 4);
    expect(difference.worst, difference.message).toBeLessThanOrEqual(1);
    expect([...(await out.data())].slice(0, 8)).toEqual(new Array(8).fill(0));
    expect([...(await out.data())].slice(32)).toEqual(new Array(8).fill(0));
  });

  it('keeps NaN in the row where it is', async () => {
    const q = drawn([3, 1, 4], 1);
    q.data[5] = Number.NaN;
    const k = toTensor(drawn([3, 1, 4], 2));
    const out = await attention(toTensor(q), k, k, { boundaries: tensor([0, 3], { dtype: 'i32', device }) }).data();
    expect([...out].map(Number.isNaN)).toEqual(Array.from({ length: 12 }, (_, i) => i >= 4 && i < 8));
  });

  it('fails at the await when boundaries leave the tokens', async () => {
    const x = toTensor(drawn([4, 1, 4], 1));
    const wrong = (values: number[]): Promise<unknown> =>
      attention(x, x, x, { boundaries: tensor(values, { dtype: 'i32', device }) }).data();
    await expect(wrong([0, 5])).rejects.toThrow(
      'attention: boundaries must rise from 0 to at most 4 tokens, got 5 at 1',
    );
    await expect(wrong([0, 3, 2])).rejects.toThrow('got 2 at 2');
    await expect(wrong([-1, 3])).rejects.toThrow('got -1 at 0');
  });

  it('refuses what does not fit', () => {
    const boundaries = tensor([0, 4], { dtype: 'i32', device });
    const q = empty([4, 4, 8], { device });
    const k = empty([4, 2, 8], { device });
    const call =
      (a: Tensor, b: Tensor, c: Tensor, options = {}) =>
      () =>
        attention(a, b, c, { boundaries, ...options });
    expect(call(empty([4, 8], { device }), k, k)).toThrow(
      new RangeError('attention: q must be [tokens, heads, headDim], got [4,8]'),
    );
    expect(call(q, empty([3, 2, 8], { device }), k)).toThrow(
      new RangeError('attention: k and v must be [4, kvHeads, 8] for a q of [4,4,8], got [3,2,8] and [4,2,8]'),
    );
    expect(call(empty([4, 3, 8], { device }), k, k)).toThrow(
      new RangeError('attention: 3 query heads are not a multiple of 2 key heads'),
    );
    expect(call(q, k, k, { window: 0 })).toThrow(
      new RangeError('attention: window must be a whole number of at least 1, got 0'),
    );
    expect(call(q, k, k, { softcap: -1 })).toThrow(
      new RangeError('attention: softcap must be a number above 0, got -1'),
    );
    expect(call(q, k, k, { scale: Number.NaN })).toThrow(
      new RangeError('attention: scale must be a finite number, got NaN'),
    );
    expect(call(q, k, k, { boundaries: tensor([0, 4], { device }) })).toThrow(
      new TypeError('attention: boundaries must be i32, got f32'),
    );
    expect(call(q, k, k, { boundaries: empty([0], { dtype: 'i32', device }) })).toThrow(
      'boundaries must be [sequences + 1], got [0]',
    );
  });
});
