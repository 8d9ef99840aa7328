// The memory that a fine-tune on rows of unequal lengths holds, beside what it needs.
import { expect, it } from 'vitest';
import { memory, resetPeak, trimMemory } from '../../lib/core/device.js';
import { finetune } from '../../lib/train/finetune.js';
import { testDevice } from '../device.js';
import { ruleRows, smallDecoder } from './small.js';

it('is at most 1.3 times what was in use at its peak', async () => {
  const decoder = smallDecoder({ hidden: 128, layers: 6 });
  await decoder.device.idle();
  trimMemory(testDevice);
  resetPeak(testDevice);
  const run = finetune(decoder, undefined, { data: ruleRows(80, 250), steps: 20, batchSize: 4, learningRate: 1e-3 });
  (await run).dispose();
  const { peak, peakHeld } = memory(testDevice);
  expect(peak).toBeGreaterThan(10e6);
  expect(peakHeld / peak).toBeLessThanOrEqual(1.3);
  decoder.dispose();
  await decoder.device.idle();
  trimMemory(testDevice);
  expect(memory(testDevice).pooled).toBeLessThanOrEqual(8e6);
});
