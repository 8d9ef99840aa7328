// Embeddings in the engine: what they are, and that they share the device with all others.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { noGrad } from '../../lib/core/autograd.js';
import { scope } from '../../lib/core/scope.js';
import { Engine, type EngineOptions } from '../../lib/engine/engine.js';
import { Adapter } from '../../lib/lora/adapter.js';
import { loadModel, type Model } from '../../lib/model.js';
import { packed } from '../../lib/models/decoder.js';
import { testDevice } from '../device.js';
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

/** The mean of the hidden states of one pass over the whole text, of length 1. */
async function whole(model: Model, text: readonly number[], adapter?: Adapter): Promise<number[]> {
  const hidden = scope(() => noGrad(() => model.decoder.hidden(packed([text], model.decoder.device), { adapter })));
  const data = await hidden.data();
  const width = hidden.dim(1);
  hidden.dispose();
  const sums = Array.from({ length: width }, (_, k) => text.reduce((sum, _, t) => sum + data[t * width + k]!, 0));
  return sums.map((x) => x / Math.hypot(...sums));
}

const long = Array.from({ length: 400 }, (_, i) => 10 + ((i * 13) % 900));
const farthest = (a: ArrayLike<number>, b: readonly number[]): number =>
  Math.max(...b.map((x, i) => Math.abs(x - a[i]!)));

describe.each([
  ['f32', 1e-5],
  ['bf16', 4e-3], // the cache holds keys and values in the weights' format
] as const)('an embedding in %s', (dtype, tolerance) => {
  it('is the mean of the final hidden states, of length 1, however long the text is', async () => {
    const model = start(dtype, { stepTokens: 64 });
    const texts = [prompt, prompt.slice(3, 20), [5], long, long.slice(0, 257)];
    const generation = tokens(model, engine);
    const got = await Promise.all(texts.map((text) => engine.embed(text)));
    for (const [i, text] of texts.entries()) {
      expect(got[i]).toHaveLength(model.decoder.config.hiddenSize);
      expect(farthest(got[i]!, await whole(model, text)), `text ${i}`).toBeLessThan(tolerance);
    }
    expect(await generation).toHaveLength(16);
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
  });
});

describe('embeddings', () => {
  it('are of their adapters', async () => {
    const model = start();
    using adapter = Adapter.create(model.decoder, { r: 4, alpha: 32 }, 1);
    for (const [n, { b }] of [...adapter.pairs.values()].entries()) b.write(normal(b.size, n, 0.05));
    const [plain, adapted] = await Promise.all([engine.embed(long), engine.embed(long, { adapter })]);
    expect(farthest(plain, await whole(model, long))).toBeLessThan(1e-5);
    expect(farthest(adapted, await whole(model, long, adapter))).toBeLessThan(1e-5);
    expect(farthest(adapted, [...plain])).toBeGreaterThan(1e-3);
  });

  it('take nothing over from the cache, and leave nothing there', async () => {
    const model = start();
    await tokens(model, engine, { prompt: long });
    const again = await engine.embed(long);
    expect(farthest(again, await whole(model, long))).toBeLessThan(1e-5);
    expect(engine.stats().prefixHits).toBe(0);
    const other = long.toReversed();
    await engine.embed(other);
    await tokens(model, engine, { prompt: other });
    expect(engine.stats().prefixHits).toBe(0);
  });

  it('come back right after a step that failed, and in a cache that is too small for all', async () => {
    const model = start('f32', { cacheBytes: 20 * 2 * 6 * 2 * 32 * 32 * 4, stepTokens: 64 });
    using poison = Adapter.create(model.decoder, { r: 2 }, 1);
    for (const { b } of poison.pairs.values()) b.write(new Float32Array(b.size).fill(Number.NaN));
    const texts = [long, long.slice(0, 300), long.slice(7, 200)];
    const got = texts.map((text) => engine.embed(text));
    const others = [tokens(model, engine, { maxNewTokens: 90 }), tokens(model, engine, { maxNewTokens: 90 })];
    await expect(tokens(model, engine, { adapter: poison })).rejects.toThrow('NaN');
    for (const [i, text] of texts.entries()) {
      expect(farthest(await got[i]!, await whole(model, text)), `text ${i}`).toBeLessThan(1e-5);
    }
    await Promise.all(others);
  });

  it.skipIf(testDevice !== 'cpu')('have the same bits alone and beside others, in steps of any size', async () => {
    const model = start();
    const alone = await engine.embed(long);
    await engine.dispose();
    for (const stepTokens of [9, 40, 100]) {
      start('f32', { stepTokens, maxBatch: 5 });
      const others = [50, 33, 7].map((length) => tokens(model, engine, { prompt: long.slice(0, length) }));
      expect(await engine.embed(long), `${stepTokens} tokens in a step`).toEqual(alone);
      await Promise.all(others);
      await engine.dispose();
    }
  });

  it('do not hold up a stream, and take turns with it', async () => {
    const model = start('f32', { stepTokens: 16, maxBatch: 2 });
    const stream = engine.submit(request(model, { maxNewTokens: 200 }));
    await stream.next();
    let embedded = false;
    const embedding = engine.embed(long, { client: 'embeds' }).then(() => {
      embedded = true;
    });
    let before = 0;
    for (; !embedded; before++) expect((await stream.next()).done).toBe(false);
    expect(before).toBeGreaterThan(10); // 400 tokens are 25 steps at least
    await embedding;
    await stream.return();
  });

  it('end at once when they are no longer wanted, wherever they are', async () => {
    const model = start('f32', { maxBatch: 1, stepTokens: 16 });
    const stop = new AbortController();
    const [running, waiting] = [0, 1].map(() => engine.embed(long, { signal: stop.signal }));
    await until(() => engine.stats().blocksUsed > 0);
    stop.abort(new Error('gone'));
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
    await expect(running).rejects.toThrow('gone');
    await expect(waiting).rejects.toThrow('gone');
    expect(await tokens(model, engine)).toHaveLength(16);
    await expect(engine.embed([])).rejects.toThrow('the prompt is empty');
    await expect(engine.embed([1], { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
  });
});
