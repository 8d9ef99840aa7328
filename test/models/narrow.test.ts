// The model in the repository in bf16, as users run it, against the recorded f32 results (test/golden/make.py): what differs
// must be roundings.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, type Safetensors } from '../../lib/files/safetensors.js';
import { loadModel, type Model } from '../../lib/model.js';
import { isEmulated } from '../device.js';

const golden = join(import.meta.dirname, '..', 'golden');
const folder = join(import.meta.dirname, '..', '..', 'models', 'helvetia-small');

interface Expected {
  chats: { ids: number[] }[];
  lora: { learningRate: number; batches: { input_ids: number[]; labels: number[] }[][]; steps: { loss: number }[] };
}

describe('the model in the repository, in bf16', () => {
  const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as Expected;
  let tensors: Safetensors;
  let model: Model;
  let bound: number;

  beforeAll(async () => {
    tensors = openSafetensors(join(golden, 'expected.safetensors'));
    model = await loadModel(folder, { dtype: 'bf16' });
    // Half a unit of bf16, 2^-9, for each of about a dozen tensors that a layer rounds; independent ones add up by squares.
    bound = 2 ** -9 * Math.sqrt(12 * model.decoder.config.layers.length);
  });
  afterAll(() => {
    model?.dispose();
    tensors?.close();
  });

  it('gives logits that differ from those in f32 by roundings', async () => {
    const vocab = model.decoder.config.vocabSize;
    for (const [i, { ids }] of expected.chats.entries()) {
      using logits = model.forward(ids);
      const last = (await logits.data()).subarray((ids.length - 1) * vocab);
      const want = await tensors.tensor(`last_logits.${i}`).data();
      let errors = 0;
      let squares = 0;
      want.forEach((x, n) => {
        errors += (last[n]! - x) ** 2;
        squares += x * x;
      });
      expect(Math.sqrt(errors / squares)).toBeLessThanOrEqual(bound);
    }
  });

  it('trains an adapter: losses begin where f32 begins, and fall', async () => {
    const { batches, steps: recorded, learningRate } = expected.lora;
    const steps = isEmulated ? 2 : 3;
    // New adapters change nothing, so the first loss is the same whatever the adapter's random numbers are.
    const run = model.finetune({
      data: Array.from({ length: steps }, () => batches[0]!).flat(),
      lora: { r: 16, alpha: 32 },
      shuffle: false,
      steps,
      batchSize: batches[0]!.length,
      learningRate,
      schedule: 'constant',
    });
    const losses: number[] = [];
    for await (const step of run) losses.push(step.loss);
    expect(Math.abs(losses[0]! / recorded[0]!.loss - 1)).toBeLessThanOrEqual(bound);
    expect(losses).toHaveLength(steps);
    for (let i = 1; i < steps; i++) expect(losses[i]!).toBeLessThan(losses[i - 1]!);
    (await run).dispose();
  });
});
