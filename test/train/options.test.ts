// The options of training: defaults, mistakes, suggestions.
import { describe, expect, it } from 'vitest';
import { type FinetuneOptions, trainSettings } from '../../lib/train/options.js';

const data = [{ input_ids: [1, 2] }];
const settings = (options: Record<string, unknown> = {}, caller: 'finetune' | 'trainFull' = 'finetune') =>
  trainSettings(caller, { data, ...options } as FinetuneOptions, { contextLength: 512, hiddenSize: 2000 });
const fails = (options: Record<string, unknown>, message: RegExp, kind: typeof Error = TypeError) => {
  expect(() => settings(options)).toThrow(message);
  expect(() => settings(options)).toThrow(kind);
};

describe('trainSettings', () => {
  it('completes what is not given', () => {
    expect(settings()).toMatchObject({
      steps: undefined,
      seqLength: 512,
      learningRate: 2.5e-4,
      schedule: 'linear',
      warmup: {},
      weightDecay: 0,
      betas: [0.9, 0.999],
      maxGradNorm: 1,
      seed: 0,
      shuffle: true,
      resume: false,
    });
    expect(settings({ steps: 5 })).toMatchObject({ steps: 5, epochs: undefined });
    expect(settings({ batchTokens: 100 })).toMatchObject({ seqLength: 100, batch: { batchTokens: 100 } });
    expect(settings({ batchSize: 4 })).toMatchObject({ batch: { batchSize: 4 } });
    expect(settings({ maxGradNorm: 0, learningRate: undefined })).toMatchObject({
      maxGradNorm: 0,
      learningRate: 2.5e-4,
    });
    expect(settings({}, 'trainFull')).toMatchObject({ learningRate: 2.5e-5 });
  });

  it('suggests the right name for a wrong one', () => {
    fails({ learning_rate: 1 }, /^finetune: option 'learning_rate' is not known: did you mean 'learningRate'\?$/);
    fails({ lr: 1 }, /did you mean 'learningRate'\?/);
    fails({ num_train_epochs: 1 }, /did you mean 'epochs'\?/);
    fails({ epoch: 1 }, /did you mean 'epochs'\?/);
    fails({ batchsize: 1 }, /did you mean 'batchSize'\?/);
    fails({ r: 8 }, /did you mean 'lora'\?/);
    fails({ zebra: 1 }, /option 'zebra' is not known; known: data, epochs, /);
    expect(() => settings({ lora: { r: 2 } }, 'trainFull')).toThrow(/^trainFull: option 'lora' is not known/);
  });

  it('names the option that is wrong', () => {
    fails({ learningRate: -1 }, /option 'learningRate' must be a positive number, got -1/, RangeError);
    fails({ learningRate: Number.NaN }, /option 'learningRate' must be a positive number, got NaN/, RangeError);
    fails({ epochs: 0 }, /'epochs' must be a positive integer, got 0/, RangeError);
    fails({ epochs: '2' }, /'epochs' must be a positive integer, got "2"/);
    fails(
      { schedule: 'quadratic' },
      /'schedule' must be one of "constant", "linear", "cosine", got "quadratic"$/,
      RangeError,
    );
    fails({ betas: [0.9] }, /'betas' must be two numbers/);
    fails({ betas: [0.9, 1] }, /'betas\[1\]' must be a number at least 0 and below 1, got 1/, RangeError);
    fails({ shuffle: 1 }, /'shuffle' must be true or false/);
    fails({ signal: {} }, /'signal' must be an AbortSignal/);
    fails({ data: 5 }, /'data' must be the path of a JSONL file/);
    fails({ data: undefined }, /'data' must be .* but is missing/);
    fails({ adapter: {} }, /'adapter' must be an Adapter/);
    fails({ lora: { r: 0 } }, /r/, Error);
    fails({ lora: { rank: 4 } }, /rank/, Error);
    fails({ data: '/nowhere/rows.jsonl' }, /finetune: data: \/nowhere\/rows\.jsonl: no such file/, Error);
    fails({ evalData: '/nowhere/rows.jsonl' }, /evalData: .*no such file/, Error);
  });

  it('refuses what contradicts', () => {
    fails({ epochs: 1, steps: 1 }, /'epochs' or 'steps', not both/);
    fails({ batchSize: 1, batchTokens: 1 }, /'batchTokens' or 'batchSize', not both/);
    fails({ resume: true }, /'resume' needs a 'checkpointDir'/);
    fails({ seqLength: 1024 }, /seqLength 1024 is more than the model's context of 512 tokens/, RangeError);
    fails({ seqLength: 512, batchTokens: 256 }, /rows of seqLength 512 don't fit batchTokens 256/, RangeError);
  });
});
