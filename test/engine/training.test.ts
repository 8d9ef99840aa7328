// Training and serving on one device: both get on, and serving's time per token stays within twice its idle figure. How turns are shared is training-turns.test.ts's.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { loadModel, type Model } from '../../lib/model.js';

const folder = join(import.meta.dirname, '..', '..', 'models', 'helvetia-small');
const prompt = Array.from({ length: 20 }, (_, i) => 10 + i);

let model: Model;
beforeAll(async () => {
  model = await loadModel(folder);
});
afterAll(() => model.dispose());

/** Milliseconds per token of four sequences at once, the prompts left out. */
async function timePerToken(tokens: number): Promise<number> {
  let began = 0;
  const one = async (k: number): Promise<void> => {
    for await (const _ of model.generate([...prompt, k], { maxNewTokens: tokens, ignoreEos: true }))
      began ||= performance.now();
  };
  await Promise.all([1, 2, 3, 4].map(one));
  return (performance.now() - began) / tokens;
}

const rows = Array.from({ length: 40 }, (_, i) => ({
  input_ids: Array.from({ length: 120 }, (_, n) => 10 + ((i * 7 + n * 3) % 900)),
}));

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A fine-tune of `of` that runs until it is stopped; `steps` are those it has done. */
function endless(of: Model) {
  const run = of.finetune({ data: rows, steps: 1_000_000, batchTokens: 480, lora: { r: 4 } });
  let failure: Error | undefined;
  const training = {
    steps: 0,
    async reach(step: number): Promise<void> {
      while (training.steps < step) {
        if (failure) throw failure;
        await pause(1);
      }
    },
    async stop(): Promise<void> {
      run.cancel();
      await watching;
      run.adapter?.dispose();
    },
  };
  const watching = (async () => {
    for await (const _ of run) training.steps++;
  })().catch((error) => {
    failure = error;
  });
  return training;
}

/** Lets no training of `model` begin its next stretch while it is shut; `shut` resolves when one waits before it. */
function gate() {
  const { engine } = model;
  const turn = engine.trainingTurn.bind(engine);
  let closed = false;
  const waiting: (() => void)[] = [];
  const spy = vi.spyOn(engine, 'trainingTurn').mockImplementation((signal) => {
    if (!closed) return turn(signal);
    return new Promise<void>((resolve) => waiting.push(resolve)).then(() => turn(signal));
  });
  const open = (): void => {
    closed = false;
    for (const pass of waiting.splice(0)) pass();
  };
  return {
    async shut(): Promise<void> {
      closed = true;
      while (waiting.length === 0) await pause(1);
      await model.decoder.device.idle();
    },
    open,
    remove(): void {
      open();
      spy.mockRestore();
    },
  };
}

it('serving stays within twice its idle time per token while a fine-tune gets on', async () => {
  const training = endless(model);
  const before = gate();
  await training.reach(2);
  const ratios: number[] = [];
  let during = 0;
  // What else the machine does is in both measurements of a round, which lie side by side, and in most rounds alike.
  while (ratios.length < 9 || during === 0) {
    await before.shut();
    const idle = await timePerToken(100);
    before.open();
    const already = training.steps;
    const busy = await timePerToken(100);
    during += training.steps - already;
    ratios.push(busy / idle);
  }
  before.remove();
  await training.stop();
  expect(ratios.sort((a, b) => a - b)[ratios.length >> 1]).toBeLessThanOrEqual(2);
});

it('a fine-tune gives the same losses while something is served', async () => {
  const losses = async (): Promise<number[]> => {
    const run = model.finetune({ data: rows, steps: 3, batchTokens: 480, lora: { r: 4 } });
    const out: number[] = [];
    for await (const { loss } of run) out.push(loss);
    (await run).dispose();
    return out;
  };
  const alone = await losses();
  const stop = new AbortController();
  const served = model.generate(prompt, { maxNewTokens: 480, ignoreEos: true, signal: stop.signal });
  expect(await losses()).toEqual(alone);
  stop.abort();
  await served.catch(() => {});
});

it('training of one model yields to serving of another on the same device', async () => {
  const other = await loadModel(folder);
  const training = endless(other);
  await training.reach(3);
  // Processor time, which is the same on a busy machine, where steps take longer: so many steps for so much of it.
  const free = { steps: 0, cpu: 0 };
  const beside = { steps: 0, cpu: 0 };
  const measure = async (into: typeof free, during: () => Promise<unknown>): Promise<void> => {
    const [steps, cpu] = [training.steps, process.cpuUsage()];
    await during();
    const { user, system } = process.cpuUsage(cpu);
    into.cpu += user + system;
    into.steps += training.steps - steps;
  };
  for (let round = 0; round < 3; round++) {
    await measure(free, () => training.reach(training.steps + 5));
    await measure(beside, async () => {
      for (const enough = training.steps + 1; training.steps < enough; ) await timePerToken(50);
    });
  }
  await training.stop();
  other.dispose();
  expect(beside.steps / beside.cpu / (free.steps / free.cpu)).toBeLessThan(0.6);
});
