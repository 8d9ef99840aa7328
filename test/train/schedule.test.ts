// The schedules against what transformers' get_*_schedule_with_warmup give.
import { describe, expect, it } from 'vitest';
import { rateFactor, type ScheduleName, warmupLength } from '../../lib/train/schedule.js';

const expected: [ScheduleName, number, number, number[]][] = [
  ['constant', 0, 10, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]],
  ['linear', 0, 10, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]],
  [
    'cosine',
    0,
    10,
    [
      1.0, 0.975528258, 0.904508497, 0.793892626, 0.654508497, 0.5, 0.345491503, 0.206107374, 0.095491503, 0.024471742,
      0.0,
    ],
  ],
  ['constant', 3, 10, [0.0, 0.333333333, 0.666666667, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]],
  [
    'linear',
    3,
    10,
    [
      0.0, 0.333333333, 0.666666667, 1.0, 0.857142857, 0.714285714, 0.571428571, 0.428571429, 0.285714286, 0.142857143,
      0.0,
    ],
  ],
  [
    'cosine',
    3,
    10,
    [
      0.0, 0.333333333, 0.666666667, 1.0, 0.950484434, 0.811744901, 0.611260467, 0.388739533, 0.188255099, 0.049515566,
      0.0,
    ],
  ],
  ['constant', 4, 4, [0.0, 0.25, 0.5, 0.75, 1.0]],
  ['linear', 4, 4, [0.0, 0.25, 0.5, 0.75, 0.0]],
  ['cosine', 4, 4, [0.0, 0.25, 0.5, 0.75, 1.0]],
  ['linear', 5, 4, [0.0, 0.2, 0.4, 0.6, 0.8]],
  ['cosine', 5, 4, [0.0, 0.2, 0.4, 0.6, 0.8]],
  ['linear', 1, 2, [0.0, 1.0, 0.0]],
];

describe('rateFactor', () => {
  it.each(expected)('%s with %i of %i steps of warm-up', (name, warmupSteps, totalSteps, factors) => {
    factors.forEach((factor, done) => {
      expect(rateFactor({ name, warmupSteps, totalSteps }, done)).toBeCloseTo(factor, 8);
    });
  });

  it('never falls below 0 after the end', () => {
    expect(rateFactor({ name: 'linear', warmupSteps: 0, totalSteps: 3 }, 5)).toBe(0);
  });
});

describe('warmupLength', () => {
  it('takes steps as they are, and rounds a share up', () => {
    expect(warmupLength({ warmupSteps: 7 }, 100)).toBe(7);
    expect(warmupLength({ warmupRatio: 0.03 }, 110)).toBe(4);
    expect(warmupLength({}, 110)).toBe(0);
  });
});
