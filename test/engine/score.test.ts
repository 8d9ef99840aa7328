// Log probabilities of texts in the engine: those of one pass over the whole text, computed beside all others.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type EngineOptions } from '../../lib/engine/engine.js';
import type { Logprobs } from '../../lib/engine/logits.js';
import { QueueFull } from '../../lib/flow/quota.js';
import { Adapter } from '../../lib/lora/adapter.js';
import { loadModel, type Model } from '../../lib/model.js';
import { until } from '../until.js';
import { folder, prompt, request, tokens } from './asking.js';
import { normal } from './numbers.js';

const models = new Map<string, Model>();
let engine: Engine;
beforeAll(async () => {
  for (const dtype of ['f32', 'bf16'] as const) models.set(dtype, await loadModel(folder, { dtype }));
});
afterAll(() => {
  for (const model of models.values()) model.dispose();
});
afterEach(() => engine.dispose());

function start(dtype = 'f32', options: EngineOptions = {}): Model {
  const model = models.get(dtype)!;
  engine = new Engine(model.decoder, options);
  return model;
}

const long = Array.from({ length: 400 }, (_, i) => 10 + ((i * 13) % 900));

/** The log probabilities of all tokens in the place of each but the first, from one pass over the whole text. */
async function whole(model: Model, text: readonly number[], adapter?: Adapter): Promise<Float64Array[]> {
  using logits = model.forward(text, adapter ? { adapter } : {});
  const data = await logits.data();
  const vocab = logits.dim(1);
  return text.slice(1).map((_, row) => {
    const x = Float64Array.from(data.subarray(row * vocab, (row + 1) * vocab), Number);
    const most = x.reduce((a, b) => Math.max(a, b));
    const sum = Math.log(x.reduce((total, value) => total + Math.exp(value - most), 0)) + most;
    return x.map((value) => value - sum);
  });
}

function expectScores(got: Logprobs[], text: readonly number[], expected: Float64Array[], tolerance: number): void {
  expect(got).toHaveLength(text.length - 1);
  for (const [i, { logprob, top }] of got.entries()) {
    expect(Math.abs(logprob - expected[i]![text[i + 1]!]!), `token ${i + 1}`).toBeLessThan(tolerance);
    for (const other of top) expect(Math.abs(other.logprob - expected[i]![other.token]!)).toBeLessThan(tolerance);
    if (top.length > 0) expect(top[0]!.logprob).toBeGreaterThanOrEqual(logprob);
  }
}

describe.each([
  ['f32', 1e-4],
  ['bf16', 0.1], // the cache holds keys and values in the weights' format
] as const)('scores in %s', (dtype, tolerance) => {
  it('are those of one pass over the text, however long it is', async () => {
    const model = start(dtype, { stepTokens: 64 });
    const texts = [prompt, prompt.slice(3, 20), [5, 6], long, long.slice(0, 258)];
    const generation = tokens(model, engine);
    const got = await Promise.all(texts.map((text, i) => engine.score(text, { top: i })));
    for (const [i, text] of texts.entries()) {
      expectScores(got[i]!, text, await whole(model, text), tolerance);
      for (const { top } of got[i]!) expect(top).toHaveLength(i);
    }
    expect(await engine.score([5])).toEqual([]);
    expect(await generation).toHaveLength(16);
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
  });
});

describe('scores', () => {
  it('are of their adapters, and NaN is refused to whoever asked alone', async () => {
    const model = start();
    using adapter = Adapter.create(model.decoder, { r: 4, alpha: 32 }, 1);
    for (const [n, { b }] of [...adapter.pairs.values()].entries()) b.write(normal(b.size, n, 0.05));
    using poison = Adapter.create(model.decoder, { r: 2 }, 1);
    for (const { b } of poison.pairs.values()) b.write(new Float32Array(b.size).fill(Number.NaN));
    const poisoned = engine.score(prompt, { adapter: poison });
    const [plain, adapted] = await Promise.all([
      engine.score(long),
      engine.score(long, { adapter }),
      expect(poisoned).rejects.toThrow('the logits hold NaN'),
    ]);
    expectScores(plain, long, await whole(model, long), 1e-4);
    expectScores(adapted, long, await whole(model, long, adapter), 1e-4);
  });

  it('take nothing over from the cache, and leave their text there for its continuation', async () => {
    const model = start();
    const first = await engine.score(long, { top: 1 });
    const continued = await tokens(model, engine, { prompt: long });
    const { prefixHits } = engine.stats();
    expect(prefixHits).toBeGreaterThan(long.length - 40);
    expect(await engine.score(long, { top: 1 })).toEqual(first);
    expect(engine.stats().prefixHits).toBe(prefixHits);
    await engine.dispose();
    start();
    expect(await tokens(model, engine, { prompt: long })).toEqual(continued);
  });

  it('come back right in a cache that is too small for all', async () => {
    const model = start('f32', { cacheBytes: 20 * 2 * 6 * 2 * 32 * 32 * 4, stepTokens: 64 });
    const texts = [long, long.slice(0, 300), long.slice(7, 200)];
    const got = texts.map((text) => engine.score(text));
    const others = [tokens(model, engine, { maxNewTokens: 90 }), tokens(model, engine, { maxNewTokens: 90 })];
    for (const [i, text] of texts.entries()) expectScores(await got[i]!, text, await whole(model, text), 1e-4);
    await Promise.all(others);
  });

  it('do not hold up a stream, and take turns with it', async () => {
    const model = start('f32', { stepTokens: 16, maxBatch: 2 });
    const stream = engine.submit(request(model, { maxNewTokens: 200 }));
    await stream.next();
    let scored = false;
    const scoring = engine.score(long, { client: 'scores', top: 5 }).then(() => {
      scored = true;
    });
    let before = 0;
    for (; !scored; before++) expect((await stream.next()).done).toBe(false);
    expect(before).toBeGreaterThan(10); // 400 tokens are 25 steps at least
    await scoring;
    await stream.return();
  });

  it('end at once when they are no longer wanted, and count in the queue', async () => {
    const model = start('f32', { maxBatch: 1, maxQueued: 1, stepTokens: 16 });
    const stop = new AbortController();
    const [running, waiting] = [0, 1].map(() => engine.score(long, { signal: stop.signal }));
    await expect(engine.score(long)).rejects.toThrow(QueueFull);
    await until(() => engine.stats().blocksUsed > 0);
    stop.abort(new Error('gone'));
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
    await expect(running).rejects.toThrow('gone');
    await expect(waiting).rejects.toThrow('gone');
    expect(await tokens(model, engine)).toHaveLength(16);
    await expect(engine.score([])).rejects.toThrow('the prompt is empty');
  });
});
