// Preference training: rows, the loss and its slopes against a formula, and runs that learn, stop and go on exactly.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { scope } from '../../../lib/core/scope.js';
import { Adapter } from '../../../lib/lora/adapter.js';
import { type Decoder, packed } from '../../../lib/models/decoder.js';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { checkpointPath } from '../../../lib/train/checkpoint.js';
import { type Example, encodeRow } from '../../../lib/train/data/rows.js';
import { finetune } from '../../../lib/train/finetune.js';
import { dpo, preferenceLoss } from '../../../lib/train/methods/dpo.js';
import { encodePreference, type TokenPairRow } from '../../../lib/train/methods/dpo-rows.js';
import type { FinetuneOptions } from '../../../lib/train/options.js';
import { mix } from '../../../lib/train/random.js';
import type { TrainStep } from '../../../lib/train/step.js';
import { smallDecoder, vocabSize } from '../small.js';

let decoder: Decoder;
beforeAll(() => {
  decoder = smallDecoder();
});
afterAll(() => decoder.dispose());

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-dpo-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

// After the same prompt, counting up is preferred to counting down.
const pairs: TokenPairRow[] = Array.from({ length: 24 }, (_, i) => {
  const prompt = Array.from({ length: 2 + (mix(i, 1) % 4) }, (_, t) => (mix(i, 2) + t) % vocabSize);
  const answer = (direction: number, length: number) => {
    const ids = Array.from({ length }, (_, t) => (prompt.at(-1)! + direction * (t + 1) + 2 * vocabSize) % vocabSize);
    return { input_ids: [...prompt, ...ids], labels: [...prompt.map(() => -100), ...ids] };
  };
  return { chosen: answer(1, 3 + (mix(i, 3) % 5)), rejected: answer(-1, 3 + (mix(i, 4) % 5)) };
});
const encoding = { tokenizer: undefined, vocabSize, seqLength: 64 };
let examples: Example[];
beforeAll(async () => {
  const encoded = await Promise.all(pairs.map((row, i) => encodePreference(row, `row ${i}`, encoding)));
  examples = encoded.map(({ example }) => example);
});

const context = {
  tokenizer: undefined,
  adapter: undefined,
  reference: undefined,
  checkpointing: false,
  tokenAccuracy: false,
  signal: new AbortController().signal,
  turn: undefined,
};

const start = (options: Partial<FinetuneOptions> = {}) =>
  finetune(decoder, undefined, {
    method: 'dpo',
    data: pairs,
    batchSize: 6,
    lora: { r: 4 },
    learningRate: 5e-3,
    epochs: 4,
    ...options,
  });

async function stepsOf(run: AsyncIterable<TrainStep>): Promise<TrainStep[]> {
  const out: TrainStep[] = [];
  for await (const step of run) out.push(step);
  return out;
}

const numbers = async (adapter: Adapter): Promise<number[]> =>
  (await Promise.all(adapter.parameters().map((x) => x.data()))).flatMap((values) => [...values]);

/** The log-probability of an answer by the textbook: a softmax over each position's logits. */
async function logProbability(sequence: Int32Array, labels: Int32Array, adapter?: Adapter): Promise<number> {
  const logits = scope(() => decoder.logits(decoder.hidden(packed([[...sequence]], decoder.device), { adapter })));
  const values = await logits.data();
  logits.dispose();
  let sum = 0;
  for (let t = 1; t < sequence.length; t++) {
    if (labels[t]! < 0) continue;
    const row = Float64Array.from(values.slice((t - 1) * vocabSize, t * vocabSize));
    const largest = row.reduce((a, b) => Math.max(a, b));
    const total = row.reduce((a, b) => a + Math.exp(b - largest), 0);
    sum += row[labels[t]!]! - largest - Math.log(total);
  }
  return sum;
}

async function formula(adapter: Adapter, beta: number, reference?: Adapter): Promise<{ loss: number; margin: number }> {
  let [loss, margin] = [0, 0];
  for (const { ids, labels, mark } of examples) {
    const reward = async (from: number, to: number) => {
      const part = [ids.subarray(from, to), labels.subarray(from, to)] as const;
      return beta * ((await logProbability(...part, adapter)) - (await logProbability(...part, reference)));
    };
    const difference = (await reward(0, mark!)) - (await reward(mark!, ids.length));
    loss -= Math.log(1 / (1 + Math.exp(-difference))) / examples.length;
    margin += difference / examples.length;
  }
  return { loss, margin };
}

/** An adapter that already changes something. */
async function warmAdapter(): Promise<Adapter> {
  const adapter = Adapter.create(decoder, { r: 2, alpha: 4, targetModules: ['q_proj', 'down_proj'] }, 3);
  for (const [i, x] of adapter.parameters().entries()) {
    x.write(Float32Array.from({ length: x.size }, (_, n) => ((mix(i, n, 9) % 2000) / 1000 - 1) * 0.3));
  }
  return adapter;
}

describe('the loss', () => {
  it('is that of the formula, and so are its margins', async () => {
    using adapter = await warmAdapter();
    const run = start({
      lora: undefined,
      adapter,
      steps: 1,
      epochs: undefined,
      batchSize: 24,
      beta: 0.7,
      evalData: pairs,
    });
    const [step] = await stepsOf(run);
    using after = await run;
    // The adapter that it begins with is what it is measured against.
    expect(step).toMatchObject({ loss: Math.log(2), rewardMargin: 0, rewardAccuracy: 0 });
    const now = await formula(after, 0.7, adapter);
    expect(step!.evalLoss).toBeCloseTo(now.loss, 4);
    expect(step!.evalRewardMargin).toBeCloseTo(now.margin, 4);
    expect(now.loss).toBeLessThan(step!.loss);
  });

  it('has the gradient that differences of the formula give', async () => {
    using adapter = await warmAdapter();
    for (const x of adapter.parameters()) x.requiresGrad = true;
    const objective = dpo.objective({ ...context, decoder, adapter }, { beta: 0.7 });
    await (await objective.prepare(examples, 0)).learn(1 / examples.length);
    for (const x of adapter.parameters()) {
      const gradient = await x.grad!.data();
      const values = (await x.data()) as Float32Array;
      // Along the gradient itself, where the difference is largest beside its rounding.
      const norm = Math.hypot(...gradient);
      const lossAt = async (distance: number): Promise<number> => {
        x.write(values.map((value, n) => value + (distance * gradient[n]!) / norm));
        return (await formula(adapter, 0.7)).loss;
      };
      const slope = ((await lossAt(0.01)) - (await lossAt(-0.01))) / 0.02;
      x.write(values);
      expect(Math.abs(slope / norm - 1)).toBeLessThan(0.01);
      x.requiresGrad = false;
      x.grad!.dispose();
      x.grad = undefined;
    }
  });

  it('leaves no failure of the device unhandled', async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listener);
    let passesMade = 0;
    const losses: Decoder['losses'] = async () => {
      if (++passesMade === 2) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        throw new Error('out of memory');
      }
      return { losses: { data: () => Promise.reject(new Error('the reference failed')) } } as never;
    };
    const failing = { device: decoder.device, losses } as unknown as Decoder;
    try {
      const prepared = await dpo.objective({ ...context, decoder: failing }, { beta: 0.1 }).prepare(examples, 0);
      await expect(prepared.learn(1)).rejects.toThrow('out of memory');
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', listener);
    }
  });

  it('stays finite far from the reference', () => {
    const batch = [examples[0]!];
    const { length } = examples[0]!.ids;
    const zeros = new Float32Array(length);
    const far = new Float32Array(length).fill(1000, 0, examples[0]!.mark);
    const lost = preferenceLoss(batch, far, zeros, 1);
    expect(lost.totals.loss.sum).toBeCloseTo(-lost.totals.rewardMargin.sum, 6);
    expect(lost.slopes[0]).toBe(1);
    const won = preferenceLoss(batch, zeros, far, 1);
    expect(won.totals).toMatchObject({ loss: { sum: 0 }, rewardAccuracy: { sum: 1, count: 1 } });
    expect(Math.abs(won.slopes[0]!)).toBe(0);
  });
});

describe('runs', () => {
  it('begin at log 2 and raise the margin', async () => {
    const steps = await stepsOf(start({ evalData: pairs, epochs: 8 }));
    expect(steps[0]).toMatchObject({ loss: Math.log(2), rewardMargin: 0, rewardAccuracy: 0 });
    const last = steps.at(-1)!;
    expect(last.rewardMargin).toBeGreaterThan(0.5);
    expect(last.rewardAccuracy).toBeGreaterThan(0.9);
    expect(last.loss).toBeLessThan(0.5);
    expect(last.evalRewardMargin).toBeGreaterThan(steps.find((step) => step.evalLoss !== undefined)!.evalRewardMargin!);
    expect(last.evalRewardAccuracy).toBeGreaterThan(0.9);
    expect(last.evalTokenAccuracy).toBeUndefined();
  });

  it('are the same in one batch or many, with checkpointed gradients or without', async () => {
    const losses = async (options: Partial<FinetuneOptions>) => (await stepsOf(start(options))).map(({ loss }) => loss);
    const options = { shuffle: false, schedule: 'constant' } as const;
    const plain = await losses({ ...options, batchSize: 12 });
    const split = await losses({ ...options, batchSize: 3, gradientAccumulation: 4 });
    split.forEach((loss, i) => expect(Math.abs(loss / plain[i]! - 1)).toBeLessThan(1e-4));
    expect(await losses({ ...options, batchSize: 12, gradientCheckpointing: true })).toEqual(plain);
  });

  it('go on from where they were stopped, to the last bit', async () => {
    const options = { lora: { r: 4, dropout: 0.1 }, evalData: pairs.slice(0, 5), evalEvery: 3 };
    const whole = start(options);
    const expected = await stepsOf(whole);
    using adapter = await whole;
    const seen = new Map<number, TrainStep>();
    let stops = 0;
    for (;;) {
      const run = start({ ...options, checkpointDir: folder, resume: true });
      try {
        for await (const step of run) {
          seen.set(step.step, step);
          if (step.step % 5 === 0 && stops < 3) {
            stops++;
            break;
          }
        }
        using resumed = await run;
        expect(await numbers(resumed)).toEqual(await numbers(adapter));
        break;
      } catch (error) {
        expect(String(error)).toMatch(/abort/i);
      } finally {
        run.adapter?.dispose();
      }
    }
    expect(stops).toBe(3);
    const exact = ({ tokensPerSecond: _, ...step }: TrainStep) => step;
    expect([...seen.values()].map(exact)).toEqual(expected.map(exact));
  });

  it('lose no figures where they are stopped while they are measured', async () => {
    const options = { evalData: pairs, evalEvery: 4, checkpointDir: folder, checkpointEvery: 8, resume: true };
    const told: TrainStep[] = [];
    const kept: number[] = [];
    const onCheckpoint = ({ step }: { step: number }) => void kept.push(step);
    const controller = new AbortController();
    const { objective } = dpo;
    const stopping = vi.spyOn(dpo, 'objective').mockImplementation((...given) => {
      const real = objective(...given);
      const measure = () => {
        controller.abort();
        throw controller.signal.reason;
      };
      return { prepare: async (batch, seed) => ({ ...(await real.prepare(batch, seed)), measure }) };
    });
    const onStep = (step: TrainStep) => void told.push(step);
    await expect(start({ ...options, signal: controller.signal, onStep, onCheckpoint })).rejects.toThrow(/abort/i);
    stopping.mockRestore();
    expect(told.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(kept).toEqual([]); // the checkpoint of a stop is not one of the run's
    (await start({ ...options, onStep, onCheckpoint })).dispose();
    expect(told.map(({ step }) => step)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
    expect(told.filter(({ evalLoss }) => evalLoss !== undefined).map(({ step }) => step)).toEqual([4, 8, 12, 16]);
    expect(kept).toEqual([8, 16]);
  });

  it('call back with each checkpoint', async () => {
    const found: number[] = [];
    const onCheckpoint = ({ step, path }: { step: number; path: string }) => {
      expect(existsSync(join(path, 'adapter_model.safetensors'))).toBe(true);
      found.push(step);
    };
    let before = 0;
    const beforeCheckpoint = () => {
      expect(existsSync(checkpointPath(folder, [6, 12, 16][before++]!))).toBe(false);
    };
    await start({ checkpointDir: folder, checkpointEvery: 6, onCheckpoint, beforeCheckpoint });
    expect(found).toEqual([6, 12, 16]);
    expect(before).toBe(3);
    await expect(stepsOf(start({ checkpointDir: folder, resume: true, beta: 0.2 }))).rejects.toThrow(/beta 0\.1.*0\.2/);
  });

  it('measure token accuracy without preferences', async () => {
    const rows = pairs.map(({ chosen }) => chosen);
    const run = start({
      method: undefined,
      data: rows,
      evalData: rows,
      tokenAccuracy: true,
      epochs: 20,
      learningRate: 2e-2,
    });
    const steps = await stepsOf(run);
    using adapter = await run;
    let [hits, count] = [0, 0];
    for (const row of rows) {
      const { ids, labels } = (await encodeRow(row, 'row', encoding)).example;
      using logits = scope(() => decoder.logits(decoder.hidden(packed([[...ids]], decoder.device), { adapter })));
      const values = await logits.data();
      for (let t = 1; t < ids.length; t++) {
        if (labels[t]! < 0) continue;
        const scores = [...values.slice((t - 1) * vocabSize, t * vocabSize)];
        hits += scores.indexOf(Math.max(...scores)) === labels[t] ? 1 : 0;
        count++;
      }
    }
    expect(steps.at(-1)!.evalTokenAccuracy).toBeCloseTo(hits / count, 6);
    expect(steps.at(-1)!.tokenAccuracy).toBeGreaterThan(steps[0]!.tokenAccuracy!);
    expect(steps[0]!.rewardMargin).toBeUndefined();
  });

  it('wait for their turn', async () => {
    let turns = 0;
    const turn = async () => {
      turns++;
    };
    const options = { method: 'dpo', data: pairs.slice(0, 2), lora: { r: 2 } } as const;
    await finetune(decoder, undefined, options, undefined, turn);
    expect(turns).toBeGreaterThan(2 * 2 + 10);
  });
});

describe('rows', async () => {
  const tokenizer = (await Tokenizer.fromFolder(join(import.meta.dirname, '../../../models/helvetia-small')))!;
  const options = { tokenizer, vocabSize: tokenizer.vocabSize, seqLength: 200 };
  const user = { role: 'user', content: 'Is it late?' };
  const said = (content: string) => [{ role: 'assistant', content }];
  const openai = {
    input: { messages: [user] },
    preferred_output: said('Not at all.'),
    non_preferred_output: said('Yes'),
  };

  it("of OpenAI's and TRL's form are the same two chats", async () => {
    const one = (await encodePreference(openai, 'x', options)).example;
    const two = await encodePreference(
      { prompt: [user], chosen: said('Not at all.'), rejected: said('Yes') },
      'x',
      options,
    );
    expect(two.example).toEqual(one);
    const sides = [one.ids.subarray(0, one.mark), one.ids.subarray(one.mark)].map((ids) => tokenizer.decode([...ids]));
    expect(sides[0]).toMatch(/Is it late\?[\s\S]*Not at all\./);
    expect(sides[1]).toMatch(/Is it late\?[\s\S]*Yes/);
    const plain = (await encodePreference({ prompt: 'A', chosen: ' b', rejected: ' c' }, 'x', options)).example;
    expect(plain.labels[plain.mark!]).toBe(-100);
  });

  it('without a prompt have what both answers begin with for one', async () => {
    const expected = (await encodePreference(openai, 'x', options)).example;
    const row = { chosen: [user, ...said('Not at all.')], rejected: [user, ...said('Yes')] };
    expect((await encodePreference(row, 'x', options)).example).toEqual(expected);
    const words = { chosen: 'Is it late? Not now', rejected: 'Is it late? No' };
    const split = { prompt: 'Is it late?', chosen: ' Not now', rejected: ' No' };
    expect(await encodePreference(words, 'x', options)).toEqual(await encodePreference(split, 'x', options));
    // Two chats that have nothing in common are learned as they are.
    const apart = { chosen: [user, ...said('No')], rejected: [{ ...user, content: 'Why?' }, ...said('So')] };
    const { ids, mark } = (await encodePreference(apart, 'x', options)).example;
    expect(tokenizer.decode([...ids.subarray(mark)])).toMatch(/Why\?[\s\S]*So/);
  });

  it('with one answer twice teach nothing, and say so', async () => {
    const none = (labels: Int32Array): boolean => labels.every((label) => label < 0);
    for (const row of [
      { ...openai, non_preferred_output: openai.preferred_output },
      { chosen: [user, ...said('No')], rejected: [user, ...said('No')] },
      { chosen: { input_ids: [5, 6] }, rejected: { input_ids: [5, 6] } },
    ]) {
      const { example, warning } = await encodePreference(row, 'x', options);
      expect(none(example.labels)).toBe(true);
      expect(warning).toBe('both answers are the same');
    }
  });

  it('with nothing to learn on one side teach nothing', async () => {
    const { example, truncated } = await encodePreference(openai, 'x', { ...options, seqLength: 4 });
    expect(truncated).toBe(true);
    expect([...example.labels].every((label) => label < 0)).toBe(true);
  });

  it.each([
    [5, /^x:1: a row must be an object, got 5/],
    [
      { ...openai, input: { messages: [{ role: 'user' }, { role: 'x' }] } },
      /^x:1: 'input\.messages\[1\]\.role' must be one of/,
    ],
    [{ ...openai, preferred_output: [user] }, /^x:1: 'preferred_output' must have a message of the role 'assistant'/],
    [
      { ...openai, non_preferred_output: [{ role: 'assistant' }] },
      /^x:1: 'non_preferred_output\[0\]' must have 'content' or 'tool_calls'/,
    ],
    [{ ...openai, input: { messages: [user], tools: 5 } }, /^x:1: 'input\.tools' must be a list/],
    [{ messages: [user] }, /^x:1: a preference must have 'input', .* got 'messages'/],
    [{ ...openai, input: 'hi' }, /^x:1: 'input' must be an object/],
    [{ ...openai, input: {} }, /^x:1: 'input\.messages' must be a list/],
    [{ ...openai, preferred_output: 'Yes' }, /^x:1: 'preferred_output' must be a list of messages, got "Yes"/],
    [{ ...openai, non_preferred_output: undefined }, /^x:1: 'non_preferred_output' must be a list/],
    [{ ...openai, preferred_output: [{ content: 'x' }] }, /^x:1: 'preferred_output\[0\]\.role' must be a string/],
    [{ chosen: 'a', rejected: 'b' }, /^x:1: 'chosen' must be an object with 'input_ids', or a list of messages, where/],
    [{ chosen: 'a', prompt: 'b' }, /^x:1: a preference must have/],
  ])('that are wrong are refused: %j', async (row, message) => {
    await expect(encodePreference(row, 'x:1', options)).rejects.toThrow(message);
  });

  it('and options that do not fit', () => {
    expect(() => start({ beta: 0 })).toThrow(/'beta' must be a positive number/);
    expect(() => start({ method: 'ppo' as 'dpo' })).toThrow(/'method' must be one of "supervised", "dpo", got "ppo"/);
    expect(() => start({ method: undefined, beta: 0.1 })).toThrow(/'beta' needs method: 'dpo'/);
  });
});
