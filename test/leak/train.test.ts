// A thousand steps, on the emulator a hundred, leave the device's bytes where they began.
import { expect, it } from 'vitest';
import { device, memory } from '../../lib/core/device.js';
import { finetune } from '../../lib/train/finetune.js';
import { isEmulated, testDevice } from '../device.js';
import { ruleRows, smallDecoder } from '../train/small.js';

it('many training steps leave no bytes behind', async () => {
  const steps = isEmulated ? 100 : 1000;
  const decoder = smallDecoder({ hidden: 16, layers: 2 });
  await device(testDevice).idle();
  const before = memory().used;
  const run = finetune(decoder, undefined, {
    data: ruleRows(32),
    evalData: ruleRows(4),
    evalEvery: steps / 10,
    steps,
    batchSize: 2,
    gradientAccumulation: 2,
    lora: { r: 2, dropout: 0.1 },
  });
  const used: number[] = [];
  for await (const { step } of run) if (step % (steps / 10) === steps / 20) used.push(memory().used);
  const adapter = await run;
  expect(used).toHaveLength(10);
  // Each figure is taken with perhaps one step under way, which holds some of its tensors.
  expect(Math.max(...used.slice(1)) - used[0]!).toBeLessThan(1e6);
  adapter.dispose();
  await device(testDevice).idle();
  expect(memory().used).toBeLessThanOrEqual(before);
  decoder.dispose();
});
