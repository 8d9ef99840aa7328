// Sampling: the case list, frequencies against probabilities, awkward logits, and misuse.
import { describe, expect, it } from 'vitest';
import { cases, probabilities } from '../../lib/check/sample.js';
import { tensor } from '../../lib/core/tensor.js';
import { randn } from '../../lib/ops/random.js';
import { penalize, type SamplingOptions, sample, samplingTensors } from '../../lib/ops/sample.js';
import { expand } from '../../lib/ops/view.js';
import { isEmulated, testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('sample', cases);

const device = testDevice;
const draws = isEmulated ? 2000 : 20_000;
const rows = (logits: number[], options: SamplingOptions): Promise<ArrayLike<number>> =>
  sample(
    expand(tensor([logits], { device }), [draws, logits.length]),
    Array.from({ length: draws }, (_, step) => ({ ...options, step })),
  ).data();

describe('sample', () => {
  it.each<SamplingOptions>([
    {},
    { temperature: 0.5 },
    { topK: 3 },
    { topP: 0.7 },
    { minP: 0.3 },
    { temperature: 2, topK: 6, topP: 0.9, minP: 0.2 },
  ])('draws as often as likely: %o', async (options) => {
    const logits = [1, 0.5, -2, 2, 0, 1.5, -Infinity, 0.2];
    const counts = new Array<number>(8).fill(0);
    for (const token of Array.from(await rows(logits, { ...options, seed: 77 }))) counts[token]!++;
    for (const [token, p] of probabilities(logits, options).entries()) {
      expect(Math.abs(counts[token]! - p * draws), `token ${token}`).toBeLessThanOrEqual(
        5 * Math.sqrt(p * (1 - p) * draws),
      );
    }
  });

  it('keeps all that tie with the last of top-k, and the first of those that tie for top-p', async () => {
    expect(new Set(Array.from(await rows([0, 1, 1, 1, 0], { topK: 2 })))).toEqual(new Set([1, 2, 3]));
    expect(new Set(Array.from(await rows([0, 1, 1, 1, 0], { topP: 0.4 })))).toEqual(new Set([1, 2]));
    expect(new Set(Array.from(await rows(new Array(3000).fill(1), { topP: 0.01 })))).toEqual(
      new Set(Array.from({ length: 30 }, (_, i) => i)),
    );
  });

  it('takes the first of the largest when greedy', async () => {
    const logits = tensor(
      [
        [0, 3, 3, 1],
        [-5, -4, -4, -9],
      ],
      { device },
    );
    expect([...(await sample(logits, { temperature: 0 }).data())]).toEqual([1, 1]);
    expect([...(await sample(logits, { topK: 1, temperature: 1e-9 }).data())]).toEqual([1, 1]);
  });

  it('survives awkward logits', async () => {
    const huge = Array.from({ length: 5000 }, (_, i) => (i === 4000 ? 3e38 : i % 2 ? -3e38 : i));
    const options: SamplingOptions[] = [
      { topK: 2500 },
      { topP: 0.999 },
      { topK: 10, topP: 0.5, minP: 0.5 },
      { temperature: 1e30, topP: 0.5 },
    ];
    for (const one of options) {
      const [token] = await sample(tensor([huge], { device }), one).data();
      expect(token).toBeGreaterThanOrEqual(0);
      expect(token).toBeLessThan(5000);
    }
    expect(await sample(tensor([[1, Infinity, 2]], { device })).item()).toBe(1);
    expect(await sample(tensor([[-Infinity, -Infinity, -1e30]], { device }), { topK: 2 }).item()).toBe(2);
  });

  it('gives a row the same token alone and among others', async () => {
    const logits = randn([5, 3000], { seed: 1, device });
    const options = Array.from({ length: 5 }, (_, row) => ({ topP: 0.95, seed: row, step: 3 }));
    const together = [...(await sample(logits, options).data())];
    using tensors = { ...samplingTensors(options), [Symbol.dispose]: () => undefined };
    expect([...(await sample(logits, tensors).data())]).toEqual(together);
  });

  it('gives -1 for a row with NaN and -2 for one with nothing, and the others their tokens', async () => {
    const logits = [
      [1, 2],
      [Number.NaN, 0],
      [-Infinity, -Infinity],
      [3, 2],
    ];
    for (const options of [{ temperature: 0 }, { topK: 1 }, { topK: 1, topP: 0.5, minP: 0.1 }])
      expect([...(await sample(tensor(logits, { device }), options).data())]).toEqual([1, -1, -2, 0]);
  });
});

describe('penalize', () => {
  it('counts a token once, and skips padding', async () => {
    const logits = tensor(
      [
        [2, -2, 4, 0],
        [2, -2, 4, 0],
      ],
      { device },
    );
    penalize(
      logits,
      tensor(
        [
          [0, 0, 1, -1],
          [2, -1, -1, -1],
        ],
        { dtype: 'i32', device },
      ),
      tensor([2, 4], { device }),
    );
    expect([...(await logits.data())]).toEqual([1, -4, 4, 0, 2, -2, 1, 0]);
  });
  it('fails at the await for a token outside the logits', async () => {
    const logits = penalize(
      tensor([[1, 2]], { device }),
      tensor([[2]], { dtype: 'i32', device }),
      tensor([2], { device }),
    );
    await expect(logits.data()).rejects.toThrow("penalize: token 2 of row 0 is outside the logits' 2 columns");
    await logits.device.idle().catch(() => undefined);
  });
});

describe('misuse', () => {
  const logits = tensor([[1, 2]], { device });
  it('says what is wrong', () => {
    expect(() => sample(logits, { temperature: -1 })).toThrow(
      new RangeError('sample: the temperature -1 is not 0 or above'),
    );
    expect(() => sample(logits, { temperature: Number.NaN })).toThrow(RangeError);
    expect(() => sample(logits, { topK: 1.5 })).toThrow(new RangeError('sample: topK 1.5 is not a count'));
    expect(() => sample(logits, { topP: 1.1 })).toThrow(new RangeError('sample: topP 1.1 is outside [0, 1]'));
    expect(() => sample(logits, { minP: -0.1 })).toThrow(RangeError);
    expect(() => sample(logits, { seed: 0.5 })).toThrow(RangeError);
    expect(() => sample(logits, { step: -1 })).toThrow(RangeError);
    expect(() => sample(logits, [{}, {}])).toThrow(new RangeError('sample: options must be [1,4], got [2,4]'));
    expect(() => sample(tensor([1, 2], { device }))).toThrow(
      new RangeError('sample: the logits must be [rows, vocab], got [2]'),
    );
    expect(() => penalize(logits, tensor(Int32Array.of(1), { device }), tensor([2], { device }))).toThrow(RangeError);
  });
});
