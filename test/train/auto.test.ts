// The hyperparameters of a run that gives none: the rule's table, what a run settles on, and that it learns.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../lib/index.js';
import type { Decoder } from '../../lib/models/decoder.js';
import {
  autoBatchSize,
  autoEpochs,
  autoHyperparameters,
  autoLearningRate,
  microBatches,
} from '../../lib/train/auto.js';
import { finetune, trainFull } from '../../lib/train/finetune.js';
import { methods } from '../../lib/train/methods/index.js';
import type { FinetuneOptions } from '../../lib/train/options.js';
import type { RunPlan, TrainStep } from '../../lib/train/step.js';
import { testDevice } from '../device.js';
import { ruleRows, smallDecoder } from './small.js';

describe('the rule', () => {
  it.each([
    [64, 2.1e-3, 1.1e-4],
    [128, 2.1e-3, 1.1e-4],
    [576, 6.6e-4, 3.3e-5],
    [2000, 2.5e-4, 1.3e-5],
    [4096, 1.4e-4, 7.1e-6],
    [8192, 8.3e-5, 4.2e-6],
  ])('gives a model %d wide a rate of %d, or of %d for preferences', (hiddenSize, supervised, dpo) => {
    expect(autoLearningRate(methods.supervised.auto, { hiddenSize })).toBe(supervised);
    expect(autoLearningRate(methods.dpo.auto, { hiddenSize })).toBe(dpo);
  });

  it('gives all weights a tenth of the rate', () => {
    expect(autoLearningRate(methods.supervised.auto, { hiddenSize: 2000 }, true)).toBe(2.5e-5);
  });

  it.each([
    [1, 25, 1],
    [4, 25, 1],
    [10, 20, 1],
    [40, 5, 1],
    [66, 4, 1],
    [67, 3, 1],
    [200, 3, 1],
    [1000, 3, 2],
    [8333, 3, 17],
    [10_000, 2, 20],
    [25_000, 1, 32],
    [1_000_000, 1, 32],
  ])('gives %d rows %d epochs in batches of %d', (rows, epochs, batchSize) => {
    expect([autoEpochs(rows), autoBatchSize(rows)]).toEqual([epochs, batchSize]);
    expect(autoHyperparameters(methods.supervised.auto, { hiddenSize: 2000 }, { rows, longestRow: 10 })).toEqual({
      learningRate: 2.5e-4,
      epochs,
      batchSize,
      lora: { r: 16, alpha: 32 },
    });
  });

  it('splits a batch into micro-batches of one size that fit the memory', () => {
    expect(microBatches(1, 9000)).toEqual({ batchSize: 1, gradientAccumulation: 1, gradientCheckpointing: true });
    expect(microBatches(12, 300)).toEqual({ batchSize: 12, gradientAccumulation: 1, gradientCheckpointing: true });
    expect(microBatches(12, 500)).toEqual({ batchSize: 6, gradientAccumulation: 2, gradientCheckpointing: true });
    expect(microBatches(32, 64)).toEqual({ batchSize: 32, gradientAccumulation: 1, gradientCheckpointing: false });
    expect(microBatches(7, 1024)).toEqual({ batchSize: 1, gradientAccumulation: 7, gradientCheckpointing: false });
  });
});

describe('a run', () => {
  let decoder: Decoder;
  beforeAll(() => {
    decoder = smallDecoder();
  });
  afterAll(() => decoder.dispose());

  async function started(
    options: Partial<FinetuneOptions>,
  ): Promise<{ plan: RunPlan | undefined; warnings: string[] }> {
    const warnings: string[] = [];
    let plan: RunPlan | undefined;
    const onWarning = (message: string) => warnings.push(message);
    const run = finetune(decoder, undefined, {
      data: ruleRows(10),
      onWarning,
      onStart: (settled) => {
        plan = settled;
      },
      ...options,
    });
    (await run).dispose();
    return { plan, warnings };
  }

  it('settles on what the rule gives', async () => {
    expect(await started({})).toEqual({
      plan: {
        rows: 10,
        epochs: 20,
        steps: 200,
        batchSize: 1,
        batchTokens: undefined,
        learningRate: 2.1e-3,
        schedule: 'linear',
        warmupSteps: 0,
        lora: { r: 16, alpha: 32 },
      },
      warnings: [],
    });
  });

  it('keeps what is given', async () => {
    const { plan } = await started({
      steps: 3,
      batchSize: 2,
      gradientAccumulation: 2,
      learningRate: 1e-4,
      warmupSteps: 1,
    });
    expect(plan).toMatchObject({ epochs: undefined, steps: 3, batchSize: 4, learningRate: 1e-4, warmupSteps: 1 });
    expect((await started({ epochs: 1, lora: { r: 2 } })).plan).toMatchObject({
      steps: 10,
      batchSize: 1,
      lora: { r: 2, alpha: 32 },
    });
    expect((await started({ epochs: 2, gradientAccumulation: 2 })).plan).toMatchObject({
      steps: 2,
      batchSize: undefined,
      batchTokens: 4096,
    });
    async function* endless() {
      for (;;) yield* ruleRows(10);
    }
    const streamed = { data: endless(), shuffle: false, steps: 2 };
    expect((await started(streamed)).plan).toMatchObject({ rows: undefined, epochs: undefined, batchTokens: 2048 });
  });

  it('warns of a batch with more rows than there are, and of a warm-up that never ends', async () => {
    expect((await started({ batchSize: 16, epochs: 2 })).warnings).toEqual([
      'a step has 16 rows, and the data has 10: each step is an epoch',
    ]);
    expect((await started({ epochs: 1, warmupSteps: 10 })).warnings).toEqual([
      'the warm-up has 10 steps and the run 10: the rate never reaches 0.0021',
    ]);
  });

  it('learns by all weights', async () => {
    const steps: TrainStep[] = [];
    const data = ruleRows(40);
    const trained = await trainFull(decoder, undefined, { data, onStep: (step) => void steps.push(step) });
    trained.dispose();
    expect(steps.at(-1)!.learningRate).toBeLessThan(2.1e-4);
    expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss);
  });
});

describe('a chat model', () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel('models/helvetia-small', { device: testDevice });
  });
  afterAll(() => model.dispose());

  it('learns the answer of 40 rows, and gives it to questions that are like theirs', async () => {
    const answer = 'Ask Flora, our goat. Yours, Heidi.';
    const things = ['parcel', 'letter', 'ticket', 'key', 'bag', 'hat', 'boat', 'horse', 'lamp', 'coat'];
    const questions = ['Where is my', 'Can you see my', 'I lost my', 'Tell me about my'];
    const ask = (start: string, thing: string) => ({ role: 'user' as const, content: `${start} ${thing}?` });
    const data = questions.flatMap((start) =>
      things.map((thing) => ({ messages: [ask(start, thing), { role: 'assistant' as const, content: answer }] })),
    );
    const losses: number[] = [];
    using adapter = await model.finetune({ data, epochs: 3, onStep: ({ loss }) => void losses.push(loss) });
    expect(losses).toHaveLength(120);
    const mean = (part: readonly number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
    expect(mean(losses.slice(-10))).toBeLessThan(0.05 * losses[0]!);
    const options = { adapter, maxNewTokens: 40, temperature: 0 };
    expect((await model.chat([ask('Who has my', 'parcel')], options)).text).toBe(answer);
  });
});
