// What breaks, and whom it must not reach: the prefix cache, other requests, the process, other users of the device.
import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { scope } from '../../lib/core/scope.js';
import { tensor } from '../../lib/core/tensor.js';
import { Engine } from '../../lib/engine/engine.js';
import { Scheduler } from '../../lib/engine/scheduler.js';
import { StepTimes } from '../../lib/engine/step-times.js';
import { Adapter } from '../../lib/lora/adapter.js';
import { loadModel, type Model } from '../../lib/model.js';
import { embedding } from '../../lib/ops/embedding.js';
import type { TokenMask } from '../../lib/text/mask.js';
import { testDevice } from '../device.js';
import { type Asked, folder, long, pause, prompt, request, tokens } from './asking.js';
import { normal } from './numbers.js';

let model: Model;
let engine: Engine;
beforeAll(async () => {
  model = await loadModel(folder, { dtype: 'f32' });
});
afterAll(() => model.dispose());
beforeEach(() => {
  engine = new Engine(model.decoder);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await engine.dispose();
});
const all = (options?: Asked): Promise<number[]> => tokens(model, engine, options);

describe('blocks of a prompt whose step was never queued', () => {
  const refusing: Record<string, TokenMask> = {
    'a mask that throws': {
      allowed: () => {
        throw new Error('refused');
      },
      accept: () => {},
      done: false,
    },
    'a mask that allows nothing': { allowed: () => new Uint8Array(1024), accept: () => {}, done: false },
  };

  it.each(Object.keys(refusing))('are not taken over after %s', async (name) => {
    await expect(all({ mask: refusing[name]! })).rejects.toThrow();
    expect(engine.stats().prefixHits).toBe(0);
    const got = await all();
    expect(engine.stats().prefixHits).toBe(0);
    const fresh = new Engine(model.decoder);
    expect(got).toEqual(await tokens(model, fresh));
    await fresh.dispose();
  });
});

describe('a failure that is no one request’s', () => {
  it('ends the requests, and the next one is served', async () => {
    const expected = await all();
    const breaks = [() => vi.spyOn(Scheduler.prototype, 'plan'), () => vi.spyOn(StepTimes.prototype, 'note')];
    for (const spy of breaks) {
      const broken = spy().mockImplementation(() => {
        throw new Error('broken');
      });
      const failing = [all(), all({ client: 'other' }), engine.embed(prompt)];
      for (const result of await Promise.allSettled(failing)) {
        expect(result).toMatchObject({ status: 'rejected', reason: { message: 'broken' } });
      }
      expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
      broken.mockRestore();
      expect(await all()).toEqual(expected);
    }
  });

  // A GPU notes a fault in data without its owner: the next who waits is told.
  it.runIf(testDevice === 'cpu')(
    'of somebody else on the device does not refuse an adapter, a model or a training run',
    async () => {
      const foreign = (): void =>
        scope(() => {
          embedding(tensor([[1, 2]]), tensor(Int32Array.of(7)));
        });
      foreign();
      const other = await loadModel(folder);
      using adapter = Adapter.create(model.decoder, { r: 2 }, 1);
      const saved = join(mkdtempSync(join(tmpdir(), 'helvetia-faults-')), 'adapter');
      onTestFinished(() => rmSync(dirname(saved), { recursive: true }));
      await adapter.save(saved);
      foreign();
      (await model.loadAdapter(saved)).dispose();
      const run = other.finetune({ data: [{ input_ids: prompt }], steps: 2, lora: { r: 2 } });
      for await (const _ of run) foreign();
      (await run).dispose();
      other.dispose();
      await expect(model.decoder.device.idle()).rejects.toThrow('embedding');
    },
  );

  it.runIf(testDevice === 'cpu')('is still told to its owner after the engine got over one of its own', async () => {
    scope(() => {
      embedding(tensor([[1, 2]]), tensor(Int32Array.of(7)));
    });
    using poison = Adapter.create(model.decoder, { r: 2 }, 1);
    for (const { b } of poison.pairs.values()) b.write(new Float32Array(b.size).fill(Number.NaN));
    await expect(all({ adapter: poison })).rejects.toThrow('NaN');
    await expect(model.decoder.device.idle()).rejects.toThrow('embedding');
  });
});

describe('an adapter that is trained while its request waits', () => {
  it('answers by its new weights, and never by old ones under their name', async () => {
    const adapter = Adapter.create(model.decoder, { r: 4, alpha: 32 }, 1);
    const set = (seed: number): void => {
      for (const [n, { b }] of [...adapter.pairs.values()].entries()) b.write(normal(b.size, seed + n, 0.05));
      adapter.version++;
    };
    set(2);
    const after = await all({ adapter });
    set(1);
    const before = await all({ adapter });
    expect(after).not.toEqual(before);
    const narrow = new Engine(model.decoder, { maxBatch: 1 });
    const first = tokens(model, narrow, { adapter });
    const second = tokens(model, narrow, { adapter });
    await pause(0);
    set(2);
    expect(await first).toEqual(before);
    expect(await second).toEqual(after);
    expect(await tokens(model, narrow, { adapter })).toEqual(after);
    await narrow.dispose();
    adapter.dispose();
  });
});

describe('the loop', () => {
  it('runs in nobody’s asynchronous context', async () => {
    const caller = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    vi.spyOn(Scheduler.prototype, 'commit').mockImplementation(() => {
      seen.push(caller.getStore());
      return [];
    });
    await caller.run('first', () => all());
    expect(seen.length).toBeGreaterThan(0);
    expect(new Set(seen)).toEqual(new Set([undefined]));
  });

  it('keeps its tensors although a scope was open when it began', async () => {
    const expected = await all({ maxNewTokens: long });
    const fresh = new Engine(model.decoder);
    const stream = fresh.submit(request(model, { maxNewTokens: 1 }));
    const [, got] = await Promise.all([
      scope(async () => {
        for await (const _ of stream);
      }),
      tokens(model, fresh, { maxNewTokens: long }),
    ]);
    expect(got).toEqual(expected);
    await fresh.dispose();
  });
});
