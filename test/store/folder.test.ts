// The store in a folder: the contract, and what a process that died or a disk that failed leaves behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FolderStore } from '../../lib/store/folder.js';
import { lockFolder } from '../../lib/store/folder-lock.js';
import type { Item } from '../../lib/store/store.js';
import { processed } from '../processor-time.js';
import { until } from '../until.js';
import { storeContract } from './contract.js';

const job: Item = { kind: 'job', id: 'ftjob-a' };

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'helvetia-store-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

const warnings: string[] = [];
const open = (path: string): Promise<FolderStore> => FolderStore.open(path, (warning) => void warnings.push(warning));

describe('a store in a folder', () => storeContract(() => open(folder())));

describe('the folder of a store', () => {
  it('has one place for each thing, readable by anybody', async () => {
    const path = folder();
    const store = await open(path);
    await store.records('job').create('ftjob-a', async (draft) => {
      await draft.append({ id: 'e', n: 1 });
      await draft.put('training.jsonl', (async function* () {})());
      return { status: 'queued' };
    });
    expect(readdirSync(join(path, 'jobs', 'ftjob-a')).sort()).toEqual(['events.jsonl', 'job.json', 'training.jsonl']);
    expect(readFileSync(join(path, 'jobs', 'ftjob-a', 'job.json'), 'utf8')).toBe('{\n  "status": "queued"\n}\n');
    expect(readFileSync(join(path, 'jobs', 'ftjob-a', 'events.jsonl'), 'utf8')).toBe('{"id":"e","n":1}\n');
    await store.close();
  });

  it.skipIf(process.platform === 'win32')('is for its owner alone, whatever the umask says', async () => {
    const before = process.umask(0);
    onTestFinished(() => void process.umask(before));
    const path = join(folder(), 'deep', 'data');
    const store = await open(path);
    const scratch = await store.scratch();
    mkdirSync(join(scratch.path, 'made'), { mode: 0o700 });
    writeFileSync(join(scratch.path, 'made', 'weights'), 'weights');
    await store.records('file').create('file-a', async (draft) => {
      await draft.put('content', (async function* () {})());
      return {};
    });
    await store.records('job').create('ftjob-a', async () => ({}));
    await store.events(job).append({ id: 'a' }); // its file is made by this
    await store.blobs(job).share('training.jsonl', { item: { kind: 'file', id: 'file-a' }, name: 'content' });
    await store.blobs(job).publish('run/step-000001', join(scratch.path, 'made'));
    await store.blobs(job).fetch('run/step-000001', join(scratch.path, 'fetched', 'run'));
    const entries = readdirSync(path, { recursive: true, encoding: 'utf8' });
    expect(entries.length).toBeGreaterThan(15);
    for (const name of ['.', ...entries]) {
      const found = statSync(join(path, name));
      expect([name, (found.mode & 0o777).toString(8)]).toEqual([name, found.isDirectory() ? '700' : '600']);
    }
    await store.close();
  });

  it('is cleared of what a killed process left half made, and of nothing else', async () => {
    const path = folder();
    const inside = (...parts: string[]): string => {
      const made = join(path, ...parts);
      mkdirSync(dirname(made), { recursive: true });
      writeFileSync(made, '{}');
      return made;
    };
    const gone = [
      inside('files', '.file-a.123.tmp', 'content'),
      inside('jobs', '.ftjob-a.run.gone', 'x'),
      inside('jobs', 'ftjob-a', '.job.json.123.tmp'),
      inside('jobs', 'ftjob-a', 'run', '.step-000010.1.tmp', 'state.json'),
      inside('.scratch', 'x', 'model.safetensors'),
    ];
    const kept = [
      inside('jobs', 'ftjob-a', 'job.json'),
      inside('jobs', 'ftjob-a', 'run', 'step-000010', 'state.json'),
      inside('adapters', 'm', '.hidden', 'adapter_config.json'),
    ];
    // A replacement that was cut short between its two renames.
    inside('jobs', 'ftjob-a', '.adapter.new', 'new');
    inside('jobs', 'ftjob-a', '.adapter.old', 'old');
    const store = await open(path);
    for (const file of gone) expect(existsSync(file), file).toBe(false);
    for (const file of kept) expect(existsSync(file), file).toBe(true);
    expect(readdirSync(join(path, 'jobs', 'ftjob-a', 'adapter'))).toEqual(['new']);
    expect(readdirSync(join(path, 'jobs', 'ftjob-a')).sort()).toEqual(['adapter', 'job.json', 'run']);
    await store.close();
  });

  it('keeps records that can be read where others cannot', async () => {
    const path = folder();
    const store = await open(path);
    await store.records('file').create('file-a', async () => ({ n: 1 }));
    mkdirSync(join(path, 'files', 'file-empty'));
    mkdirSync(join(path, 'files', 'file-broken'));
    writeFileSync(join(path, 'files', 'file-broken', 'file.json'), '{"id":');
    const skipped: string[] = [];
    expect((await store.records('file').list((reason) => void skipped.push(reason))).map(({ id }) => id)).toEqual([
      'file-a',
    ]);
    expect(skipped.sort()).toEqual([
      expect.stringMatching(/file-broken.file\.json: not valid JSON/),
      expect.stringMatching(/file-empty.file\.json: no such file/),
    ]);
    await store.close();
  });

  it('is not left by a name', async () => {
    const store = await open(folder());
    await store.records('job').create('ftjob-a', async () => ({}));
    for (const id of ['..', '.', 'a/b', '', 'a b', '../files']) {
      await expect(store.records('job').get(id)).rejects.toThrow(/is no id/);
      expect(() => store.blobs({ kind: 'job', id })).toThrow(/is no id/);
    }
    for (const name of ['../x', '/etc/passwd', '.hidden', 'run/../../x', 'run/', ''])
      await expect(store.blobs(job).storedAt(name)).rejects.toThrow(/is no name/);
    await store.close();
  });

  it('has published and shared blobs without a copy', async () => {
    const path = folder();
    const store = await open(path);
    for (const id of ['ftjob-a', 'ftjob-b']) await store.records('job').create(id, async () => ({}));
    const scratch = await store.scratch();
    mkdirSync(join(scratch.path, 'step'));
    writeFileSync(join(scratch.path, 'step', 'weights'), 'weights');
    const { ino } = statSync(join(scratch.path, 'step', 'weights'));
    const blobs = store.blobs(job);
    await blobs.publish('run/step-000010', join(scratch.path, 'step'));
    await store.blobs({ kind: 'job', id: 'ftjob-b' }).share('start', { item: job, name: 'run/step-000010' });
    await blobs.fetch('run/step-000010', join(scratch.path, 'again'));
    const places = [
      join(path, 'jobs', 'ftjob-a', 'run', 'step-000010'),
      join(path, 'jobs', 'ftjob-b', 'start'),
      join(scratch.path, 'again'),
    ];
    for (const place of places) expect(statSync(join(place, 'weights')).ino).toBe(ino);
    await store.close();
  });

  it('has files of its own where an operator put links', async () => {
    const path = folder();
    const store = await open(path);
    await store.records('job').create('ftjob-a', async () => ({}));
    const at = (name: string): string => join(path, 'jobs', 'ftjob-a', name);
    writeFileSync(join(path, 'real'), 'weights');
    symlinkSync(join(path, 'real'), at('content'));
    await store.blobs(job).share('shared', { item: job, name: 'content' });
    expect(lstatSync(at('shared')).isSymbolicLink()).toBe(false);
    expect(readFileSync(at('shared'), 'utf8')).toBe('weights');
    await store.close();
  });
});

describe('a disk that fails', () => {
  it('leaves no event in memory that is not on the disk, and does not end the log', async () => {
    const path = folder();
    const store = await open(path);
    await store.records('job').create('ftjob-a', async () => ({}));
    const events = store.events(job);
    const ids = async (): Promise<string[]> => (await events.read()).map(({ id }) => id);
    await events.append({ id: 'a' });
    const home = join(path, 'jobs', 'ftjob-a');
    renameSync(home, `${home}-away`);
    await expect(events.append({ id: 'b' })).rejects.toThrow(/ENOENT/);
    expect(await ids()).toEqual(['a']);
    renameSync(`${home}-away`, home);
    appendFileSync(join(home, 'events.jsonl'), '{"half": '); // as a full disk leaves it
    await Promise.all([events.append({ id: 'b' }), events.append({ id: 'b' }), events.append({ id: 'c' })]);
    expect(await ids()).toEqual(['a', 'b', 'c']);
    await store.close();
    const next = await open(path);
    expect((await next.events(job).read()).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    await next.close();
  });

  it('leaves a line that a killed process wrote half out of the log', async () => {
    const path = folder();
    const store = await open(path);
    await store.records('job').create('ftjob-a', async () => ({}));
    writeFileSync(join(path, 'jobs', 'ftjob-a', 'events.jsonl'), '{"id":"a"}\nnonsense\n{"id":"a","n":2}\n{"id":"b');
    await store.events(job).append({ id: 'c' });
    expect(await store.events(job).read()).toEqual([{ id: 'a' }, { id: 'c' }]);
    await store.close();
  });
});

describe('logs', () => {
  it('of many events are read in short stretches, and forgotten once others are in use', async () => {
    const path = folder();
    const store = await open(path);
    const items = Array.from({ length: 12 }, (_, n): Item => ({ kind: 'job', id: `ftjob-${n}` }));
    for (const { id } of items) {
      await store.records('job').create(id, async (draft) => {
        await draft.append({ id: 'first' });
        return {};
      });
    }
    const [first] = items as [Item];
    const text = Array.from({ length: 50_000 }, (_, n) => `${JSON.stringify({ id: `step:${n}`, n })}\n`).join('');
    writeFileSync(join(path, 'jobs', first.id, 'events.jsonl'), text);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const before = processed();
    const events = await store.events(first).read();
    const took = processed() - before;
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(took / 40);
    expect(events).toHaveLength(50_000);
    expect(events.at(-1)).toEqual({ id: 'step:49999', n: 49_999 });
    expect((await store.events(first).read(49_999))[0]).toBe(events.at(-1));
    for (const item of items.slice(1)) expect(await store.events(item).read()).toEqual([{ id: 'first' }]);
    expect((await store.events(first).read())[0]).not.toBe(events[0]);
    await store.close();
  });
});

describe('the lock', () => {
  it('keeps a second process out until the first ends', async () => {
    const path = folder();
    const store = await open(path);
    await expect(open(path)).rejects.toThrow(/another server uses this data folder/);
    await store.close();
    await (await open(path)).close();
  });

  it('is free again when its process is killed', async () => {
    const path = folder();
    const socket = join(path, '.lock');
    const listen = `require('net').createServer().listen(${JSON.stringify(socket)}, () => console.log('taken'))`;
    const other = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(other.stdout, 'data');
    await expect(lockFolder(path, () => {})).rejects.toThrow(/another server/);
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(existsSync(socket)).toBe(true);
    const takers = await Promise.allSettled(Array.from({ length: 5 }, () => lockFolder(path, () => {})));
    const taken = takers.flatMap((taker) => (taker.status === 'fulfilled' ? [taker.value] : []));
    expect(taken).toHaveLength(1);
    await taken[0]!.release();
    await (await lockFolder(path, () => {})).release();
  });

  it('is put back where it was removed, by a holder that goes on', async () => {
    const path = folder();
    const store = await open(path);
    await store.records('job').create('ftjob-a', async () => ({}));
    rmSync(join(path, '.lock'));
    await store.events(job).append({ id: 'a' });
    await expect(lockFolder(path, () => {})).rejects.toThrow(/another server/);
    rmSync(join(path, '.lock'));
    await until(() => existsSync(join(path, '.lock'))); // without any write
    await expect(lockFolder(path, () => {})).rejects.toThrow(/another server/);
    await store.close();
    expect(existsSync(join(path, '.lock'))).toBe(false);
  });

  it('that was removed and is taken by a second process lets the first write nothing more', async () => {
    const path = folder();
    vi.useFakeTimers({ toFake: ['setInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const first = await open(path);
    const { version } = await first.records('job').create('ftjob-a', async (draft) => {
      await draft.append({ id: 'a' });
      return { n: 1 };
    });
    rmSync(join(path, '.lock'));
    const second = await open(path);
    const records = first.records('job');
    const content = (async function* () {})();
    const scratch = join(path, 'published');
    mkdirSync(scratch);
    const blobs = first.blobs(job);
    for (const write of [
      () => records.create('ftjob-b', async () => ({})),
      () => records.replace('ftjob-a', { n: 2 }, version),
      () => records.remove('ftjob-a'),
      () => first.events(job).append({ id: 'b' }),
      () => first.events(job).flush(),
      () => blobs.put('x', content),
      () => blobs.publish('x', scratch),
      () => blobs.share('x', { item: job, name: 'events.jsonl' }),
      () => blobs.remove('events.jsonl'),
      () => first.scratch(),
    ])
      await expect(write()).rejects.toThrow(/another server has taken this data folder/);
    expect((await second.records('job').get('ftjob-a'))?.value).toEqual({ n: 1 });
    await second.events(job).append({ id: 'c' });
    await first.close(); // the lock is the second's
    await expect(lockFolder(path, () => {})).rejects.toThrow(/another server uses/);
    expect((await second.events(job).read()).map(({ id }) => id)).toEqual(['a', 'c']);
    await second.close();
  });

  it('may lie at a long path', async () => {
    const path = join(folder(), 'a-long-name'.repeat(12));
    mkdirSync(path);
    const warned: string[] = [];
    const lock = await lockFolder(path, (warning) => void warned.push(warning));
    if (process.platform === 'linux') {
      expect(warned).toEqual([]);
      await expect(lockFolder(path, () => {})).rejects.toThrow(`${path}: another server`);
    }
    await lock.release();
    await (await lockFolder(path, () => {})).release();
  });
});
