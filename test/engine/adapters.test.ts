// The folder of adapters: names that are found late, kept by their last use, and never lead out of the folder.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Adapter } from '../../lib/lora/adapter.js';
import { AdapterFolder, copyAdapter } from '../../lib/lora/folder.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { TokenMask } from '../../lib/text/mask.js';
import { modelPath } from '../repository-model.js';

const place = mkdtempSync(join(tmpdir(), 'helvetia-adapters-'));
const root = join(place, 'root');
let model: Model;

beforeAll(async () => {
  model = await loadModel(modelPath);
  mkdirSync(root);
  using adapter = Adapter.create(model.decoder, { r: 2 }, 1);
  await adapter.save(join(root, 'one'));
  for (const name of ['two', 'three']) cpSync(join(root, 'one'), join(root, name), { recursive: true });
  cpSync(join(root, 'one'), join(place, 'outside'), { recursive: true });
  mkdirSync(join(root, 'empty'));
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(() => {
  model.dispose();
  rmSync(place, { recursive: true });
});

/** Counts what is loaded from disk. */
function counting(): { loads: string[]; loadAdapter(path: string): Promise<Adapter> } {
  const loads: string[] = [];
  return {
    loads,
    loadAdapter: (path) => {
      loads.push(path);
      return model.loadAdapter(path);
    },
  };
}

describe('AdapterFolder', () => {
  it('loads a name when it is first asked for, once, and gives up the one asked for longest ago', async () => {
    const from = counting();
    const folder = new AdapterFolder(from, { root, max: 2 });
    await folder.refresh();
    expect(folder.list().map(({ name }) => name)).toEqual(['one', 'three', 'two']);
    expect(from.loads).toEqual([]);
    const [a, b] = await Promise.all([folder.resolve('one'), folder.resolve('one')]);
    expect(a).toBe(b);
    expect(a!.name).toBe('one');
    await folder.resolve('two');
    await folder.resolve('one');
    await folder.resolve('three');
    await folder.resolve('one');
    expect(from.loads).toHaveLength(3);
    await folder.resolve('two');
    expect(from.loads.at(-1)).toBe(join(root, 'two'));
  });

  it.skipIf(process.platform === 'win32')('knows no folder whose config is no config', async () => {
    const names = ['fifo', 'device', 'huge', 'config-outside', 'weights-outside'];
    const [fifo, device, huge, config, weights] = names.map((name) => join(root, name)) as [string, ...string[]];
    for (const name of names) cpSync(join(root, 'one'), join(root, name), { recursive: true });
    for (const name of names.slice(0, 4)) rmSync(join(root, name, 'adapter_config.json'));
    rmSync(join(weights!, 'adapter_model.safetensors'));
    execFileSync('mkfifo', [join(fifo, 'adapter_config.json')]);
    symlinkSync('/dev/zero', join(device!, 'adapter_config.json'));
    writeFileSync(join(huge!, 'adapter_config.json'), `{"peft_type": "LORA", "x": "${'x'.repeat(1 << 20)}"}`);
    symlinkSync(join(place, 'outside', 'adapter_config.json'), join(config!, 'adapter_config.json'));
    symlinkSync(join(place, 'outside', 'adapter_model.safetensors'), join(weights!, 'adapter_model.safetensors'));
    const folder = new AdapterFolder(model, { root, max: 4 });
    await folder.refresh();
    expect(folder.list().map(({ name }) => name)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(names.join('|'))]),
    );
    for (const name of names) {
      expect(await folder.resolve(name)).toBeUndefined();
      rmSync(join(root, name), { recursive: true });
    }
    mkdirSync(join(place, 'piped'));
    execFileSync('mkfifo', [join(place, 'piped', 'adapter_config.json')]);
    await expect(copyAdapter(join(place, 'piped'), join(place, 'copy'))).rejects.toThrow('is not a regular file');
  });

  it('knows no name that leads out of the folder', async () => {
    symlinkSync(join(place, 'outside'), join(root, 'linked'));
    const folder = new AdapterFolder(model, { root, max: 4 });
    for (const name of [
      '../outside',
      '..',
      '.',
      '',
      '/etc',
      'one/../one',
      'linked',
      'empty',
      'none',
      'one\0',
      join(place, 'outside'),
    ]) {
      expect(await folder.resolve(name), name).toBeUndefined();
    }
    await folder.refresh();
    expect(folder.list().map(({ name }) => name)).toEqual(['one', 'three', 'two']);
  });

  it('takes other folders by names of their own, which come back after they were given up', async () => {
    const from = counting();
    const folder = new AdapterFolder(from, { root: undefined, max: 1 });
    await folder.load('ft:small:me::abc', join(place, 'outside'));
    await folder.load('second', join(root, 'one'));
    expect((await folder.resolve('ft:small:me::abc'))!.name).toBe('ft:small:me::abc');
    expect(from.loads).toHaveLength(3);
    await expect(folder.load('second', join(root, 'two'))).rejects.toThrow("adapter 'second': is already loaded from");
    await folder.load('second', join(root, 'two'), { replace: true });
    expect(folder.list().map(({ name }) => name)).toEqual(['ft:small:me::abc', 'second']);
    expect(await folder.unload('second')).toBe(true);
    expect(await folder.unload('second')).toBe(false);
    expect(await folder.resolve('second')).toBeUndefined();
    await expect(folder.load('../x', join(root, 'one'))).rejects.toThrow("adapter '../x': is not a name");
  });

  it('notices after a second that a folder was written anew, or is gone', async () => {
    let passed = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => passed);
    const folder = new AdapterFolder(model, { root, max: 4 });
    using adapter = Adapter.create(model.decoder, { r: 3 }, 2);
    await adapter.save(join(root, 'changing'));
    const before = await folder.resolve('changing');
    expect(await folder.resolve('changing')).toBe(before);
    using larger = Adapter.create(model.decoder, { r: 4 }, 3);
    await larger.save(join(root, 'changing'));
    passed += 999;
    expect(await folder.resolve('changing')).toBe(before);
    passed += 1;
    expect((await folder.resolve('changing'))!.config.r).toBe(4);
    rmSync(join(root, 'changing'), { recursive: true });
    passed += 1000;
    expect(await folder.resolve('changing')).toBeUndefined();
    expect(clock).toHaveBeenCalled();
  });

  it('withholds a name until it is given again', async () => {
    const folder = new AdapterFolder(model, { root, max: 4 });
    expect(await folder.withhold('one')).toBe(true);
    expect(await folder.withhold('nobody')).toBe(false);
    expect(await folder.resolve('one')).toBeUndefined();
    await folder.refresh();
    expect(folder.list().map(({ name }) => name)).toEqual(['three', 'two']);
    await folder.load('one', join(root, 'one'));
    expect(await folder.resolve('one')).toBeDefined();
    expect(folder.list().map(({ name }) => name)).toEqual(['one', 'three', 'two']);
  });

  it('tells what is wrong with an adapter, and tries again the next time', async () => {
    const folder = new AdapterFolder(model, { root, max: 4 });
    const broken = join(root, 'broken');
    cpSync(join(root, 'one'), broken, { recursive: true });
    writeFileSync(join(broken, 'adapter_model.safetensors'), 'nothing');
    await expect(folder.resolve('broken')).rejects.toThrow('adapter_model.safetensors');
    await expect(folder.load('named', broken)).rejects.toThrow('adapter_model.safetensors');
    expect(folder.list().map(({ name }) => name)).not.toContain('named');
    cpSync(join(root, 'one', 'adapter_model.safetensors'), join(broken, 'adapter_model.safetensors'));
    expect(await folder.resolve('broken')).toBeDefined();
    await expect(folder.resolve('one', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  });

  it('frees what it gave up with the last who uses it, and what nobody uses at once', async () => {
    const folder = new AdapterFolder(model, { root, max: 1 });
    const one = (await folder.resolve('one'))!;
    // It does not end before the adapter was given up, however long that takes.
    let done = false;
    const mask: TokenMask = {
      allowed: () => new Uint8Array(model.decoder.config.vocabSize).fill(1),
      accept: () => {},
      get done() {
        return done;
      },
    };
    const answer = model.generateTokens([5, 6, 7], { adapter: one, maxNewTokens: 480, ignoreEos: true, mask });
    one.release();
    const two = (await folder.resolve('two'))!;
    expect(one.parameters().some(({ disposed }) => disposed)).toBe(false);
    done = true;
    expect((await answer).finishReason).toBe('stop');
    expect(one.parameters().every(({ disposed }) => disposed)).toBe(true);
    two.release();
    expect(two.parameters().some(({ disposed }) => disposed)).toBe(false);
    await folder.unload('two');
    (await folder.resolve('three'))!.release();
    expect(two.parameters().every(({ disposed }) => disposed)).toBe(true);
    const [a, b] = await Promise.all([folder.resolve('one'), folder.resolve('two')]); // each gives the other up
    expect([a!, b!].flatMap((adapter) => adapter.parameters()).some(({ disposed }) => disposed)).toBe(false);
    for (const adapter of [a!, b!]) adapter.release();
    const controller = new AbortController();
    const loading = folder.resolve('three', controller.signal);
    controller.abort(new Error('nobody waits'));
    await expect(loading).rejects.toThrow('nobody waits');
  });
});
