// Training and serving on one device: both get on, and serving's time per token stays within twice its idle figure.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TrainingTurns } from '../../lib/engine/training-turns.js';
import { loadModel, type Model } from '../../lib/model.js';

const folder = join(import.meta.dirname, '..', '..', 'models', 'helvetia-small');
const prompt = Array.from({ length: 20 }, (_, i) => 10 + i);

let model: Model;
beforeAll(async () => {
  model = await loadModel(folder);
});
afterAll(() => model.dispose());

/** Milliseconds per token of four sequences at once, the prompts left out. */
async function timePerToken(): Promise<number> {
  const tokens = 300;
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
const finetune = (steps: number) => model.finetune({ data: rows, steps, batchTokens: 480, lora: { r: 4 } });

it('serving stays within twice its idle time per token while a fine-tune gets on', { timeout: 240_000 }, async () => {
  await timePerToken();
  let ratio = Number.POSITIVE_INFINITY;
  // Other processes may take the processor away from either measurement.
  for (let attempt = 0; attempt < 4 && ratio > 2; attempt++) {
    const idle = await timePerToken();
    const run = finetune(10_000);
    let steps = 0;
    const watching = (async () => {
      for await (const _ of run) steps++;
    })().catch(() => {});
    while (steps < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const before = steps;
    const busy = await timePerToken();
    const during = steps - before;
    run.cancel();
    await watching;
    run.adapter?.dispose();
    expect(during).toBeGreaterThan(0);
    ratio = busy / idle;
  }
  expect(ratio).toBeLessThanOrEqual(2);
});

it('a fine-tune gives the same losses while something is served', { timeout: 240_000 }, async () => {
  const losses = async (): Promise<number[]> => {
    const run = finetune(3);
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

it('turns are shared as asked, and nobody waits for ever', async () => {
  let serving = true;
  const turns = new TrainingTurns(
    0.25,
    () => serving,
    () => new Promise((resolve) => setTimeout(resolve, 6)),
  );
  let taken = 0;
  const training = (async () => {
    for (let i = 0; i < 1000 && serving; i++) {
      await turns.turn();
      taken++;
    }
  })();
  const began = performance.now();
  let granted = 0;
  while (performance.now() - began < 600) {
    await new Promise((resolve) => setTimeout(resolve, 4)); // a step of serving
    if (!turns.due) continue;
    const start = performance.now();
    await turns.grant();
    granted += performance.now() - start;
  }
  const share = granted / (performance.now() - began);
  expect(share).toBeGreaterThan(0.1);
  expect(share).toBeLessThan(0.35);
  serving = false;
  turns.release();
  await training;
  expect(taken).toBeGreaterThan(5);

  serving = true;
  const stop = new AbortController();
  const left = expect(turns.turn(stop.signal)).rejects.toThrow('stopped');
  stop.abort(new Error('stopped'));
  await left;
  const refused = expect(turns.turn()).rejects.toThrow('gone');
  turns.refuse(new Error('gone'));
  await refused;
  expect(turns.due).toBe(false);
});
