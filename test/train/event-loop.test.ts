// While a fine-tune runs, the process's timers keep firing.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Decoder } from '../../lib/models/decoder.js';
import { finetune } from '../../lib/train/finetune.js';
import { judged, type Lateness, lateness } from '../lateness.js';
import { processed } from '../processor-time.js';
import { ruleRows, smallDecoder } from './small.js';

let decoder: Decoder;
beforeAll(() => {
  decoder = smallDecoder({ hidden: 128, layers: 30 });
});
afterAll(() => decoder.dispose());

it('a 5 ms timer is at most 20 ms late during a fine-tune', async () => {
  const train = (steps: number) =>
    finetune(decoder, undefined, {
      data: ruleRows(400),
      steps,
      batchTokens: 256,
      gradientAccumulation: 2,
      learningRate: 1e-4,
    });
  // The first steps also compile the JavaScript.
  (await train(3)).dispose();
  const attempts: Lateness[] = [];
  const best = () => Math.min(...attempts.map(judged));
  // The system may take the core away now and then: a fine-tune that holds the loop up does so every time.
  while (attempts.length < 4 && !(best() <= 20)) {
    attempts.push(await lateness(async () => (await train(6)).dispose()));
  }
  expect(best(), JSON.stringify(attempts)).toBeLessThanOrEqual(20);
});

it('the measure sees a loop that is held up', async () => {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
  const found = await lateness(async () => {
    await pause();
    for (const until = processed() + 150; processed() < until; );
    await pause();
  });
  expect(found.worst).toBeGreaterThan(100);
  if (!Number.isNaN(found.worstOwn)) expect(found.worstOwn).toBeGreaterThan(100);
});
