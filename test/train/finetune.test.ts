// Fine-tuning as a whole, on a small model: what a run gives, how it ends, and that it is the same every time.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { device } from '../../lib/core/device.js';
import type { Tensor } from '../../lib/core/tensor.js';
import { Adapter } from '../../lib/lora/adapter.js';
import { Decoder } from '../../lib/models/decoder.js';
import { cast } from '../../lib/ops/copy.js';
import { finetune, trainFull } from '../../lib/train/finetune.js';
import type { FinetuneOptions } from '../../lib/train/options.js';
import type { TrainStep } from '../../lib/train/step.js';
import { testDevice } from '../device.js';
import { ruleRows, smallDecoder } from './small.js';

let decoder: Decoder;
beforeAll(() => {
  decoder = smallDecoder();
});
afterAll(() => decoder.dispose());

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-finetune-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const rows = ruleRows(40);
const start = (options: Partial<FinetuneOptions> = {}) =>
  finetune(decoder, undefined, { data: rows, batchSize: 8, lora: { r: 4 }, learningRate: 1e-2, ...options });

async function stepsOf(run: AsyncIterable<TrainStep>): Promise<TrainStep[]> {
  const out: TrainStep[] = [];
  for await (const step of run) out.push(step);
  return out;
}

async function finished(
  options: Partial<FinetuneOptions> = {},
): Promise<{ losses: number[]; weights: number[]; steps: TrainStep[] }> {
  const run = start(options);
  const steps = await stepsOf(run);
  using adapter = await run;
  return { losses: steps.map(({ loss }) => loss), weights: await numbers(adapter.parameters()), steps };
}

const numbers = async (list: readonly Tensor[]): Promise<number[]> =>
  (await Promise.all(list.map((x) => x.data()))).flatMap((values) => [...values]);

describe('finetune', () => {
  it('learns, reports every step, and leaves the base as it was', async () => {
    const before = await numbers([...decoder.weights.values()]);
    const run = start({ epochs: 12 });
    const steps = await stepsOf(run);
    using adapter = await run;
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    for (const step of steps) {
      for (const value of [step.loss, step.gradNorm, step.tokensPerSecond, step.tokens])
        expect(value).toBeGreaterThan(0);
      expect(step.steps).toBe(60);
      expect(step.evalLoss).toBeUndefined();
    }
    expect(steps[4]!.epoch).toBe(1);
    expect(steps[5]!.epoch).toBeCloseTo(1.2);
    expect(steps[0]!.learningRate).toBe(1e-2);
    expect(steps.at(-1)!.learningRate).toBeCloseTo(1e-2 / 60);
    expect(steps.at(-1)!.loss).toBeLessThan(0.75 * steps[0]!.loss);
    expect(await numbers([...decoder.weights.values()])).toEqual(before);
    expect(adapter.parameters().every((x) => !x.requiresGrad && !x.grad)).toBe(true);
    await adapter.save(join(folder, 'adapter'));
    using loaded = await Adapter.load(join(folder, 'adapter'), decoder);
    expect(await numbers(loaded.parameters())).toEqual(await numbers(adapter.parameters()));
  });

  it('is the same to the last bit with the same seed, and another with another', async () => {
    const [a, b, c] = [await finished({ seed: 3 }), await finished({ seed: 3 }), await finished({ seed: 4 })];
    expect(a.losses).toEqual(b.losses);
    expect(a.weights).toEqual(b.weights);
    expect(a.losses).not.toEqual(c.losses);
  });

  it('takes one step of many micro-batches as it takes one of a large batch', async () => {
    const options = { steps: 6, shuffle: false, schedule: 'constant' } as const;
    const large = await finished({ ...options, batchSize: 8 });
    const split = await finished({ ...options, batchSize: 2, gradientAccumulation: 4 });
    const ones = await finished({
      ...options,
      batchSize: undefined,
      batchTokens: 24,
      seqLength: 24,
      gradientAccumulation: 100,
      steps: 1,
    });
    const whole = await finished({ ...options, batchSize: 40, steps: 1 });
    split.losses.forEach((loss, i) => {
      expect(Math.abs(loss / large.losses[i]! - 1)).toBeLessThan(1e-4);
      expect(Math.abs(split.steps[i]!.gradNorm / large.steps[i]!.gradNorm - 1)).toBeLessThan(1e-3);
    });
    expect(Math.abs(ones.losses[0]! / whole.losses[0]! - 1)).toBeLessThan(1e-5);
    expect(ones.steps[0]!.tokens).toBe(whole.steps[0]!.tokens);
  });

  it('checkpoints gradients without changing them', async () => {
    const lora = { r: 4, dropout: 0.2 };
    const [plain, saving] = [await finished({ lora }), await finished({ lora, gradientCheckpointing: true })];
    expect(saving.losses).toEqual(plain.losses);
    expect(saving.weights).toEqual(plain.weights);
    expect((await finished()).losses).not.toEqual(plain.losses);
  });

  it('scales large gradients down, and reports them as they were', async () => {
    const options = { steps: 1, shuffle: false } as const;
    const [free, clipped] = [
      await finished({ ...options, maxGradNorm: 0 }),
      await finished({ ...options, maxGradNorm: 1e-9 }),
    ];
    expect(clipped.steps[0]!.gradNorm).toBe(free.steps[0]!.gradNorm);
    expect(clipped.weights).not.toEqual(free.weights);
  });

  it('measures rows that it never learns from', async () => {
    const { steps } = await finished({ evalData: ruleRows(10), evalEvery: 4, epochs: 2 });
    expect(steps.filter(({ evalLoss }) => evalLoss !== undefined).map(({ step }) => step)).toEqual([4, 8, 10]);
    expect(steps.at(-1)!.evalLoss).toBeLessThan(steps[3]!.evalLoss!);
    expect((await finished({ evalData: ruleRows(10), epochs: 2 })).losses).toEqual(steps.map(({ loss }) => loss));
  });

  it('trains a given adapter on as a copy', async () => {
    using first = await start();
    const before = await numbers(first.parameters());
    const run = start({ adapter: first, lora: undefined });
    const [step] = await stepsOf(run);
    using second = await run;
    expect(step!.loss).toBeLessThan((await finished()).losses[0]!);
    expect(await numbers(first.parameters())).toEqual(before);
    expect(await numbers(second.parameters())).not.toEqual(before);
    expect(second.config).toEqual(first.config);
  });

  it('streams endless data', async () => {
    function* endless() {
      for (;;) yield* ruleRows(5);
    }
    const { steps } = await finished({
      data: endless(),
      shuffle: false,
      steps: 4,
      batchTokens: 64,
      seqLength: 64,
      batchSize: undefined,
    });
    expect(steps).toHaveLength(4);
  });

  it('warns of rows that were cut', async () => {
    const warnings: string[] = [];
    await finished({ seqLength: 10, steps: 1, onWarning: (warning) => warnings.push(warning) });
    expect(warnings).toEqual([
      expect.stringMatching(/^data: \d+ of 40 rows were cut to seqLength, 10 tokens \(row \d+, row \d+, row \d+, …\)$/),
    ]);
  });

  it('says at which step the loss was no number any more', async () => {
    const run = start({ learningRate: 1e30, maxGradNorm: 0, epochs: 3 });
    await expect(stepsOf(run)).rejects.toThrow(
      /^the (loss|gradient norm) is (NaN|Infinity) at step \d+: lower learningRate .* or set maxGradNorm: 1/,
    );
    await expect(run).rejects.toThrow(/at step/);
    run.adapter!.dispose();
  });

  it('rejects with the row that is wrong, and throws at the call for options', async () => {
    await expect(start({ data: [rows[0]!, { text: 'hi' }] })).rejects.toThrow(
      /^data row 1: this model has no tokenizer/,
    );
    await expect(start({ data: [] })).rejects.toThrow('data: there are no rows');
    expect(() => start({ epochs: -1 })).toThrow(RangeError);
    await expect(start({ lora: { targetModules: ['nothing'] } })).rejects.toThrow(/targetModules/);
  });
});

describe('a run that is stopped', () => {
  const options = { epochs: 4, schedule: 'cosine', warmupSteps: 3, seed: 9, lora: { r: 4, dropout: 0.1 } } as const;

  it('ends at the next step, keeps its adapter, and goes on where it was', async () => {
    const whole = await finished(options);
    const checkpointDir = join(folder, 'checkpoints');
    const controller = new AbortController();
    const run = start({ ...options, checkpointDir, checkpointEvery: 3, signal: controller.signal });
    const first: TrainStep[] = [];
    await expect(
      (async () => {
        for await (const step of run) {
          first.push(step);
          if (step.step === 7) controller.abort();
        }
      })(),
    ).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    await expect(run).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(run.adapter!.parameters()).not.toHaveLength(0);
    run.adapter!.dispose();
    expect(first.length).toBeGreaterThanOrEqual(7);

    const saved = readdirSync(checkpointDir).sort();
    expect(saved.at(-1)).toBe(`step-${String(first.length).padStart(6, '0')}`);
    const rest = await finished({ ...options, checkpointDir, resume: true });
    expect(rest.steps[0]!.step).toBe(first.length + 1);
    expect([...first.map(({ loss }) => loss), ...rest.losses]).toEqual(whole.losses);
    expect(rest.weights).toEqual(whole.weights);

    const again = await finished({ ...options, checkpointDir, resume: true });
    expect(again.losses).toEqual([]);
    expect(again.weights).toEqual(whole.weights);
    using adapter = await Adapter.load(join(checkpointDir, 'step-000020'), decoder);
    expect(await numbers(adapter.parameters())).toEqual(whole.weights);
  });

  it('hands over every checkpoint, that of a stop too, and goes on from one that is brought back', async () => {
    const whole = await finished(options);
    const [checkpointDir, elsewhere] = [join(folder, 'checkpoints'), join(folder, 'elsewhere')];
    mkdirSync(elsewhere);
    const controller = new AbortController();
    const moved: number[] = [];
    const afterCheckpoint = ({ step, path }: { step: number; path: string }): void => {
      moved.push(step);
      renameSync(path, join(elsewhere, basename(path)));
    };
    const onStep = ({ step }: TrainStep): void => {
      if (step === 7) controller.abort();
    };
    const { signal } = controller;
    const run = start({ ...options, checkpointDir, checkpointEvery: 3, signal, afterCheckpoint, onStep });
    await expect(run).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    run.adapter!.dispose();
    expect(moved).toEqual([3, 6, 7]);
    expect(readdirSync(checkpointDir)).toEqual([]);
    renameSync(join(elsewhere, 'step-000007'), join(checkpointDir, 'step-000007'));
    const rest = await finished({ ...options, checkpointDir, resume: true });
    expect(rest.losses).toEqual(whole.losses.slice(7));
    expect(rest.weights).toEqual(whole.weights);
  });

  it('refuses checkpoints of another run, and to begin where there are some', async () => {
    const checkpointDir = join(folder, 'checkpoints');
    await finished({ steps: 2, checkpointDir });
    const state = JSON.parse(readFileSync(join(checkpointDir, 'step-000002', 'state.json'), 'utf8')) as {
      base: string;
    };
    expect(state.base).toMatch(/^llama 2x32 [0-9a-f]{12}$/);
    await expect(finished({ steps: 2, checkpointDir })).rejects.toThrow(
      /step-000002: is there already; resume: true goes on/,
    );
    await expect(finished({ steps: 4, checkpointDir, resume: true, learningRate: 1 })).rejects.toThrow(
      /made with learningRate 0\.01, this run has 1/,
    );
    await expect(finished({ steps: 4, checkpointDir, resume: true, data: ruleRows(39) })).rejects.toThrow(
      /made with other data/,
    );
    await expect(finished({ steps: 4, checkpointDir, resume: true, lora: { r: 5 } })).rejects.toThrow(/made with lora/);
    using other = new Disposable(smallDecoder({ seed: 2 }));
    const foreign = finetune(other.decoder, undefined, {
      data: rows,
      batchSize: 8,
      lora: { r: 4 },
      learningRate: 1e-2,
      steps: 4,
      checkpointDir,
      resume: true,
    });
    await expect(foreign).rejects.toThrow(/is of another base model/);
    const warnings: string[] = [];
    const { steps } = await finished({
      steps: 4,
      checkpointDir,
      resume: true,
      onWarning: (warning) => warnings.push(warning),
    });
    expect(steps.map(({ step }) => step)).toEqual([3, 4]);
    expect(warnings.join()).toMatch(/had 2 steps in all and now has 4/);
  });

  it('is cancelled by leaving its loop', async () => {
    const checkpointDir = join(folder, 'checkpoints');
    const run = start({ epochs: 100, checkpointDir });
    for await (const step of run) if (step.step === 2) break;
    await expect(run).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(existsSync(checkpointDir)).toBe(true);
  });

  it('does nothing where the signal was given before', async () => {
    await expect(start({ signal: AbortSignal.abort(new Error('not today')) })).rejects.toThrow('not today');
  });
});

class Disposable {
  constructor(readonly decoder: Decoder) {}
  [Symbol.dispose](): void {
    this.decoder.dispose();
  }
}

describe('trainFull', () => {
  it('trains a copy of all weights', async () => {
    const before = await numbers([...decoder.weights.values()]);
    const run = trainFull(decoder, undefined, {
      data: rows,
      batchSize: 8,
      epochs: 8,
      learningRate: 3e-3,
      weightDecay: 0.01,
    });
    const steps = await stepsOf(run);
    using trained = new Disposable(await run);
    expect(steps.at(-1)!.loss).toBeLessThan(0.7 * steps[0]!.loss);
    expect(await numbers([...decoder.weights.values()])).toEqual(before);
    expect([...trained.decoder.weights.keys()]).toEqual([...decoder.weights.keys()]);
    const after = await numbers([...trained.decoder.weights.values()]);
    expect(after.filter((value, i) => value !== before[i]).length).toBeGreaterThan(0.99 * after.length);
  });

  it('resumes to the last bit', async () => {
    const options = { data: rows, batchSize: 8, epochs: 2, learningRate: 3e-3 };
    const whole = trainFull(decoder, undefined, options);
    const losses = (await stepsOf(whole)).map(({ loss }) => loss);
    (await whole).dispose();
    const checkpoints = { checkpointDir: join(folder, 'full'), checkpointEvery: 2 };
    const first = trainFull(decoder, undefined, { ...options, ...checkpoints });
    for await (const step of first) if (step.step === 5) break;
    await first.then(undefined, () => {});
    const second = trainFull(decoder, undefined, { ...options, ...checkpoints, resume: true });
    const rest = await stepsOf(second);
    (await second).dispose();
    expect(rest.length).toBeGreaterThan(0);
    expect(rest.map(({ loss }) => loss)).toEqual(losses.slice(rest[0]!.step - 1));
  });

  it('takes f32 weights only', () => {
    const weights = new Map([...decoder.weights].map(([name, weight]) => [name, cast(weight, 'bf16')]));
    using half = new Disposable(new Decoder(decoder.config, weights, device(testDevice), 'bf16'));
    expect(() => trainFull(half.decoder, undefined, { data: rows })).toThrow(
      /trainFull: all weights must be f32, but 'model\.embed_tokens\.weight' is bf16/,
    );
  });
});
