// Loading and disposing of models, adapters and generations leaves the device's bytes where they were: never more
// than before, and less only where the collector freed something older meanwhile.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { device, memory } from '../../lib/core/device.js';
import { Adapter } from '../../lib/lora/adapter.js';
import { loadModel } from '../../lib/model.js';
import { isEmulated, testDevice } from '../device.js';
import { modelPath as folder } from '../repository-model.js';

const used = async (): Promise<number> => {
  await device(testDevice)
    .idle()
    .catch(() => {}); // failures are expected here
  return memory().used;
};

it('many loads and disposals leave nothing, the mapped files included', async () => {
  const before = await used();
  for (let i = 0; i < (isEmulated ? 21 : 200); i++) {
    // bf16 is mapped in place, f32 is a copy.
    const model = await loadModel(folder, { dtype: i % 2 ? 'f32' : 'bf16' });
    if (i % 20 === 0) await model.generate([1, 2, 3], { maxNewTokens: 4, ignoreEos: true });
    model.dispose();
  }
  expect(await used()).toBeLessThanOrEqual(before);
});

it('generations, stopped ones too, leave nothing', async () => {
  using model = await loadModel(folder);
  await model.generate([1, 2, 3], { maxNewTokens: 8, ignoreEos: true });
  const before = await used();
  for (let i = 0; i < (isEmulated ? 2 : 30); i++) {
    await model.generate([1, 2, 3], {
      maxNewTokens: 8,
      ignoreEos: true,
      temperature: 1,
      repetitionPenalty: i % 2 ? 1.2 : 1,
    });
    for await (const _ of model.generate([1, 2, 3], { maxNewTokens: 200, ignoreEos: true })) break;
    const stopped = model.generate([1, 2, 3], { maxNewTokens: 400, ignoreEos: true, signal: AbortSignal.timeout(5) });
    await stopped.catch(() => {});
    model.forward([1, 2, 3]).dispose();
  }
  // A generation that was left early ends a little later.
  for (let i = 0; i < 50 && (await used()) > before; i++) await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await used()).toBeLessThanOrEqual(before);
});

it('batches with adapters, refused and failing ones too, leave nothing', async () => {
  using model = await loadModel(folder);
  // As many as a round takes: the buffers grow with the slots that are taken at once.
  model.configureEngine({ adapterSlots: 4 });
  const before = await used();
  const round = async (i: number): Promise<void> => {
    const adapters = [4, 8, 16].map((r) => Adapter.create(model.decoder, { r }, i));
    for (const { b } of adapters[2]!.pairs.values()) b.write(new Float32Array(b.size).fill(i % 2 ? Number.NaN : 0.01));
    const runs = Array.from({ length: 9 }, (_, n) => {
      const signal = n === 4 ? { signal: AbortSignal.timeout(3) } : {};
      return model.generate([n + 1, 2, 3], {
        maxNewTokens: isEmulated ? 2 + (n % 3) : 4 + 3 * n,
        ignoreEos: true,
        adapter: adapters[n % 3]!,
        ...signal,
      });
    });
    await Promise.allSettled([...runs, model.engine.embed([1, 2, 3], { adapter: adapters[0] })]);
    for (const adapter of adapters) adapter.dispose();
  };
  await round(0);
  const filled = await used();
  for (let i = 1; i < (isEmulated ? 2 : 12); i++) await round(i);
  await round(0);
  // Which step was the last, and so how large its inputs are, which are kept, varies; what leaks never comes back.
  for (let i = 0; i < 30 && (await used()) > filled; i++) await round(0);
  expect(await used()).toBeLessThanOrEqual(filled);
  expect(model.engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
  await model.engine.dispose();
  expect(await used()).toBeLessThanOrEqual(before);
});

it('adapters and merged models leave nothing', async () => {
  const place = mkdtempSync(join(tmpdir(), 'helvetia-leak-'));
  using model = await loadModel(folder);
  const before = await used();
  for (let i = 0; i < (isEmulated ? 3 : 20); i++) {
    const adapter = Adapter.create(model.decoder, { r: 4 }, i);
    await adapter.save(join(place, 'adapter'));
    const again = await model.loadAdapter(join(place, 'adapter'));
    const merged = model.mergeAdapter(again);
    merged.forward([1, 2, 3]).dispose();
    merged.dispose();
    model.forward([1, 2, 3], { adapter: again }).dispose();
    adapter.dispose();
    again.dispose();
  }
  expect(await used()).toBeLessThanOrEqual(before);
  rmSync(place, { recursive: true });
});
