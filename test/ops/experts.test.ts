// Mixture of experts: the case list, logits that are not numbers, independence of the batch, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/experts.js';
import { tensor } from '../../lib/core/tensor.js';
import { combineExperts, route, rowsByExpert, sortByExpert } from '../../lib/ops/experts.js';
import { randn, zeros } from '../../lib/ops/random.js';
import { slice } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('experts', cases);

const device = testDevice;

describe('experts', () => {
  it('chooses experts that exist, each once, whatever the logits are', async () => {
    const nan = Number.NaN;
    const less = -Infinity;
    const logits = tensor(
      [
        [nan, nan, nan, nan],
        [1, nan, 3, 2],
        [less, less, less, less],
      ],
      { device },
    );
    for (const score of ['softmax', 'sigmoid'] as const) {
      const { experts } = route(logits, { chosen: 3, score });
      const chosen = await experts.data();
      for (let t = 0; t < 3; t++) {
        const row = [...chosen.slice(3 * t, 3 * t + 3)];
        expect(new Set(row).size).toBe(3);
        expect(row.every((expert) => expert >= 0 && expert < 4)).toBe(true);
      }
    }
  });

  it('gives a token the same weights in any company, to the last bit', async () => {
    const logits = randn([50, 40], { device, seed: 1 });
    const settings = { chosen: 4, score: 'softmax', normalize: {} } as const;
    const all = await route(logits, settings).weights.data();
    for (const t of [0, 7, 49])
      expect(await route(slice(logits, 0, t, t + 1), settings).weights.data()).toEqual(all.slice(4 * t, 4 * t + 4));
  });

  it('refuses what does not fit', async () => {
    const logits = zeros([3, 8], { device });
    expect(() => route(logits, { chosen: 9, score: 'softmax' })).toThrow('route: must choose 1 to 8 experts, got 9');
    expect(() => route(zeros([1, 1025], { device }), { chosen: 1, score: 'softmax' })).toThrow(
      'takes 1 to 1024 experts',
    );
    const groups = { count: 4, kept: 1, best: 2 };
    expect(() => route(logits, { chosen: 3, score: 'sigmoid', groups })).toThrow(
      'route: 1 of 4 groups, by the best 2, do not fit 3 of 8 experts',
    );
    expect(() => route(logits, { chosen: 1, score: 'sigmoid' }, zeros([7], { device }))).toThrow('bias must be [8]');
    const chosen = (...values: number[]) => tensor(Int32Array.from(values), { shape: [2, 2], device });
    expect(() => sortByExpert(zeros([2, 2], { device }), 4)).toThrow(TypeError);
    const order = sortByExpert(chosen(0, 1, 3, 2), 4);
    expect(() => rowsByExpert(logits, order)).toThrow('rowsByExpert: x must be [2,dim], got [3,8]');
    expect(() => combineExperts(logits, zeros([2, 2], { device }), order)).toThrow('do not fit: [3,8], [2,2]');
    await expect(sortByExpert(chosen(0, 4, 3, 2), 4).segments.data()).rejects.toThrow('expert 4 (choice 1) of 4');
  });
});
