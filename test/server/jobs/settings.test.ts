// What a job's hyperparameters become, without a server.
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../lib/model.js';
import type { Hyperparameters } from '../../../lib/server/jobs/hyperparameters.js';
import type { JobRecord } from '../../../lib/server/jobs/record.js';
import { settled, trainingOptions } from '../../../lib/server/jobs/settings.js';

const serving = (maxLoraRank: number) =>
  ({
    decoder: { config: { hiddenSize: 2000, contextLength: 512 } },
    engine: { settings: { maxLoraRank } },
  }) as unknown as Model;
const model = serving(256);
const job = (hyperparameters: Hyperparameters, more: Partial<JobRecord> = {}) =>
  ({ method: 'supervised', hyperparameters, seed: 1, ...more }) as unknown as JobRecord;
const facts = { rows: 40, longestRow: 300 };

describe('settled', () => {
  it('has a rank that the server can serve, where none is given', () => {
    expect(settled(serving(4), job({}), facts, true)).toMatchObject({ lora_r: 4, lora_alpha: 32 });
    expect(settled(serving(4), job({ lora_r: 2 }), facts, true)).toMatchObject({ lora_r: 2 });
  });

  it('has a number for each auto, and the rate that the multiplier gives', () => {
    const numbers = { n_epochs: 5, batch_size: 1, lora_r: 16, lora_alpha: 32 };
    const plain = { ...numbers, learning_rate_multiplier: 1, learning_rate: 2.5e-4 };
    expect(settled(model, job({}), facts, true)).toEqual(plain);
    const auto = { n_epochs: 'auto', batch_size: 'auto', learning_rate_multiplier: 'auto' } as const;
    expect(settled(model, job(auto), facts, true)).toEqual(plain);
    expect(settled(model, job({ n_epochs: 3, learning_rate_multiplier: 0.1 }), facts, true)).toEqual({
      ...numbers,
      n_epochs: 3,
      learning_rate_multiplier: 0.1,
      learning_rate: 2.5e-5,
    });
    expect(settled(model, job({ learning_rate: 1e-3, lora_r: 4 }), facts, true)).toMatchObject({
      learning_rate: 1e-3,
      lora_r: 4,
      lora_alpha: 32,
    });
  });

  it('leaves rank and alpha to the adapter that the training goes on from', () => {
    expect(settled(model, job({}), facts, false)).not.toHaveProperty('lora_r');
  });

  it('settles preferences by their own rate, with their own hyperparameters', () => {
    const dpo = job({ beta: 'auto' }, { method: 'dpo' });
    expect(settled(model, dpo, facts, true)).toMatchObject({ beta: 0.1, n_epochs: 5, learning_rate: 1.3e-5 });
  });
});

describe('trainingOptions', () => {
  it('takes what was settled', () => {
    const hyperparameters = settled(model, job({ batch_size: 32 }), facts, true);
    expect(trainingOptions(model, job(hyperparameters, { longestRow: 300 }))).toMatchObject({
      epochs: 5,
      batchSize: 8,
      gradientAccumulation: 4,
      gradientCheckpointing: true,
      learningRate: 2.5e-4,
      lora: { r: 16, alpha: 32 },
    });
  });

  it('keeps the multiplier of a record that has no rate', () => {
    const earlier = job({ n_epochs: 3, batch_size: 4, learning_rate_multiplier: 2 }, { longestRow: 10 });
    expect(trainingOptions(model, earlier)).toMatchObject({ learningRate: 5e-4 });
  });
});
