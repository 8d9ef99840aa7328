// Each file operation of a checkpoint, an adapter and a merged model fails once: what has a name is whole, and the next
// try succeeds.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { tensor } from '../../lib/core/tensor.js';
import { loadModel } from '../../lib/index.js';
import { Adapter } from '../../lib/lora/adapter.js';
import { listCheckpoints, type RunState, resumeCheckpoint, saveCheckpoint } from '../../lib/train/checkpoint.js';
import { modelPath } from '../server/running.js';
import { smallDecoder } from '../train/small.js';
import { forEachOperation } from './failing-files.js';

vi.mock('node:fs/promises', async (original) => (await import('./failing-files.js')).failingPromises(await original()));
vi.mock('node:fs', async (original) => (await import('./failing-files.js')).failingFiles(await original()));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-faults-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const visible = (path: string): string[] => readdirSync(path).filter((name) => !name.startsWith('.'));

/** A clear error: one sentence that names a file. */
function expectClear(error: Error | undefined, fired: string): void {
  expect(error?.message, fired).toMatch(
    /^\S+: (no space left on the device|the process has too many open files|EIO: .*)$/,
  );
}

describe('the n-th operation fails', () => {
  const run = { base: 'llama', data: 'd', options: {} };
  const state = (step: number): RunState => ({ step, steps: 9, position: { epoch: 0, row: step }, ...run });
  const tensors = (value: number) => {
    const make = () => tensor(Float32Array.of(value, -value), { shape: [2] });
    return {
      weightsFile: 'model.safetensors',
      weights: new Map([['w', make()]]),
      optimizer: new Map([['moment.w', make()]]),
      texts: { 'adapter_config.json': '{}' },
    };
  };

  it('of a checkpoint: the newest that has a name is whole', async () => {
    const save = (step: number) => saveCheckpoint(folder, state(step), tensors(step), 1);
    const operations = await forEachOperation({ below: folder }, async (n, failing) => {
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
      await save(1);
      const { error, fired } = await failing(() => save(2));
      if (error) expectClear(error, fired);
      const into = tensors(0);
      const found = await resumeCheckpoint(folder, run, into, (warning) => expect.fail(warning));
      expect([1, 2], fired).toContain(found?.step);
      if (!error) expect(found?.step).toBe(2);
      expect([...(await into.weights.get('w')!.data())]).toEqual([found!.step, -found!.step]);
      await save(3);
      expect(
        (await listCheckpoints(folder)).map(({ step }) => step),
        `${n} ${fired}`,
      ).toEqual([3]);
    });
    expect(operations).toBeGreaterThan(30);
  });

  it('of saving an adapter: the folder holds the old one or the new one', async () => {
    const base = smallDecoder();
    using old = Adapter.create(base, { r: 1 }, 1);
    using next = Adapter.create(base, { r: 2 }, 2);
    const path = join(folder, 'out', 'adapter');
    for (const begun of [true, false]) {
      const operations = await forEachOperation({ below: folder }, async (n, failing) => {
        rmSync(join(folder, 'out'), { recursive: true, force: true });
        if (begun) await old.save(path);
        const { error, fired } = await failing(() => next.save(path));
        if (error) expectClear(error, fired);
        const there = await Adapter.load(path, base).catch((missing: Error) => missing);
        if (there instanceof Error) {
          expect([begun, !error, there.message], fired).toEqual([false, false, expect.stringMatching(/no such file/)]);
        } else {
          expect(begun ? [1, 2] : [2], fired).toContain(there.config.r);
          if (!error) expect(there.config.r).toBe(2);
          there.dispose();
        }
        await next.save(path);
        using loaded = await Adapter.load(path, base);
        expect(loaded.config.r, `${n} ${fired}`).toBe(2);
        expect(visible(join(folder, 'out'))).toEqual(['adapter']);
      });
      expect(operations).toBeGreaterThan(15);
    }
    base.dispose();
  });

  it('of saving a merged model: there is none, or a whole one', async () => {
    using model = await loadModel(modelPath, { device: 'cpu' });
    const path = join(folder, 'merged');
    await model.save(path);
    const whole = (at: string): [string, number][] =>
      visible(at)
        .sort()
        .map((name) => [name, statSync(join(at, name)).size]);
    const expected = whole(path);
    const operations = await forEachOperation({ below: folder }, async (n, failing) => {
      rmSync(path, { recursive: true, force: true });
      const { error, fired } = await failing(() => model.save(path));
      if (error) expectClear(error, fired);
      else expect(fired === '' || visible(folder).length === 1, fired).toBe(true);
      if (visible(folder).length > 0) expect(whole(path), `${n} ${fired}`).toEqual(expected);
      await model.save(path);
      expect(whole(path)).toEqual(expected);
    });
    expect(operations).toBeGreaterThan(15);
    // Copies do not keep the permissions of their originals.
    for (const name of process.platform === 'win32' ? [] : ['.', ...visible(path)])
      expect(statSync(join(path, name)).mode & 0o077, name).toBe(0);
    expect(JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'))).toMatchObject({ model_type: 'llama' });
  });
});
