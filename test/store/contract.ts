// What every store must do, run over each of them.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Blobs, Item, Store } from '../../lib/store/store.js';

const job: Item = { kind: 'job', id: 'ftjob-a' };
const other: Item = { kind: 'job', id: 'ftjob-b' };
const skipped = (reason: string): never => {
  throw new Error(reason);
};

async function* chunks(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

const textOf = async (blobs: Blobs, name: string): Promise<string | undefined> => {
  const found = await blobs.read(name);
  return found && new Response(found.stream).text();
};

/** `open` gives an empty store. */
export function storeContract(open: () => Promise<Store>): void {
  let store: Store;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());
  const create = (item: Item, value = {}) => store.records(item.kind).create(item.id, async () => value);

  describe('records', () => {
    it('are made, read, listed and removed', async () => {
      const records = store.records('job');
      expect(await records.list(skipped)).toEqual([]);
      expect(await records.get(job.id)).toBeUndefined();
      const made = await create(job, { name: 'Zürich', list: [1, null] });
      expect(made).toMatchObject({ id: job.id, value: { name: 'Zürich', list: [1, null] } });
      expect(await records.get(job.id)).toEqual(made);
      await create(other, { name: 'b' });
      await create({ kind: 'file', id: job.id }, { name: 'a file' });
      expect((await records.list(skipped)).map(({ id }) => id).sort()).toEqual([job.id, other.id]);
      expect(await records.remove(job.id)).toBe(true);
      expect(await records.remove(job.id)).toBe(false);
      expect((await records.list(skipped)).map(({ value }) => value)).toEqual([{ name: 'b' }]);
      expect((await store.records('file').get(job.id))?.value).toEqual({ name: 'a file' });
    });

    it('exist once', async () => {
      await create(job, { n: 1 });
      await expect(create(job, { n: 2 })).rejects.toThrow(/is there already/);
      expect((await store.records('job').get(job.id))?.value).toEqual({ n: 1 });
    });

    it('are replaced only by a writer that knows their version', async () => {
      const records = store.records('job');
      const { version } = await create(job, { n: 0 });
      const next = await records.replace(job.id, { n: 1 }, version);
      expect(next).toBeDefined();
      expect(await records.replace(job.id, { n: 2 }, version)).toBeUndefined();
      expect(await records.get(job.id)).toMatchObject({ value: { n: 1 }, version: next });
      expect(await records.replace(job.id, { n: 3 }, next!)).toBeDefined();
      expect((await records.get(job.id))?.value).toEqual({ n: 3 });
      await expect(records.replace(other.id, {}, version)).rejects.toThrow(other.id);
    });

    it('come into being with their events and blobs, or not at all', async () => {
      const records = store.records('job');
      const failing = records.create(job.id, async (draft) => {
        await draft.put('training.jsonl', chunks('x'));
        await draft.append({ id: 'e1' });
        expect(await records.get(job.id)).toBeUndefined();
        throw new Error('no space');
      });
      await expect(failing).rejects.toThrow('no space');
      expect(await records.list(skipped)).toEqual([]);
      await records.create(job.id, async (draft) => {
        await draft.append({ id: 'e2', n: 2 });
        await draft.append({ id: 'e3' });
        await draft.put('training.jsonl', chunks('y'));
        return {};
      });
      expect(await store.events(job).read()).toEqual([{ id: 'e2', n: 2 }, { id: 'e3' }]);
      expect(await textOf(store.blobs(job), 'training.jsonl')).toBe('y');
    });

    it('leave nothing to a later item of the same id', async () => {
      await store.records('job').create(job.id, async (draft) => {
        await draft.append({ id: 'e' });
        await draft.put('a', chunks('old'));
        return {};
      });
      expect(await store.events(job).read()).toHaveLength(1);
      await store.records('job').remove(job.id);
      await create(job);
      expect(await store.events(job).read()).toEqual([]);
      expect(await store.blobs(job).read('a')).toBeUndefined();
    });
  });

  describe('events', () => {
    it('are kept once by key, in order, and read from a place on', async () => {
      await create(job);
      const events = store.events(job);
      await Promise.all([1, 2, 1, 3, 2].map((n) => events.append({ id: `e${n}`, n })));
      await events.append({ id: 'e1', n: 'again' });
      await events.flush();
      const ids = async (from?: number) => (await store.events(job).read(from)).map(({ id }) => id);
      expect(await ids()).toEqual(['e1', 'e2', 'e3']);
      expect(await ids(2)).toEqual(['e3']);
      expect(await ids(3)).toEqual([]);
      expect((await events.read())[0]).toEqual({ id: 'e1', n: 1 });
    });

    it('need an item', async () => {
      await expect(store.events(job).append({ id: 'e' })).rejects.toThrow();
      expect(await store.records('job').get(job.id)).toBeUndefined();
    });
  });

  describe('blobs', () => {
    let blobs: Blobs;
    beforeEach(async () => {
      await create(job);
      await create(other);
      blobs = store.blobs(job);
    });
    const folderOf = async (files: Record<string, string>): Promise<string> => {
      const { path } = await store.scratch();
      const folder = join(path, 'made');
      mkdirSync(folder);
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
      return folder;
    };
    const files = (folder: string) =>
      Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));

    it('are files that come in as streams and are read as such, though they are removed meanwhile', async () => {
      expect(await blobs.storedAt('content')).toBeUndefined();
      await blobs.put('content', chunks('one ', 'two'));
      expect(await blobs.storedAt('content')).toBeTypeOf('number');
      expect(await textOf(blobs, 'content')).toBe('one two');
      await blobs.put('content', chunks('three'));
      const open = await blobs.read('content');
      expect(open!.size).toBe(5);
      await blobs.remove('content');
      expect(await new Response(open!.stream).text()).toBe('three');
      expect(await blobs.read('content')).toBeUndefined();
    });

    it('keep their old content where a stream fails', async () => {
      await blobs.put('content', chunks('old'));
      const failing = async function* () {
        yield* chunks('new');
        throw new Error('cut off');
      };
      await expect(blobs.put('content', failing())).rejects.toThrow('cut off');
      expect(await textOf(blobs, 'content')).toBe('old');
    });

    it('are folders that are published, listed, fetched and removed', async () => {
      await blobs.publish('run/step-000010', await folderOf({ a: '1', b: '2' }));
      await blobs.publish('run/step-000020', await folderOf({ a: '3' }));
      await blobs.publish('adapter', await folderOf({ a: '4' }));
      expect(await blobs.list('run')).toEqual(['step-000010', 'step-000020']);
      expect(await blobs.list('checkpoints')).toEqual([]);
      await using scratch = await store.scratch();
      const to = join(scratch.path, 'fetched');
      expect(await blobs.fetch('run/step-000010', to)).toBe(true);
      expect(files(to)).toEqual({ a: '1', b: '2' });
      await blobs.remove('run/step-000010');
      expect(await blobs.list('run')).toEqual(['step-000020']);
      expect(files(to)).toEqual({ a: '1', b: '2' });
      expect(await blobs.fetch('run/step-000010', join(scratch.path, 'none'))).toBe(false);
      expect(existsSync(join(scratch.path, 'none'))).toBe(false);
      await blobs.remove('run');
      await blobs.remove('run');
      expect(await blobs.list('run')).toEqual([]);
      expect(await blobs.storedAt('adapter')).toBeDefined();
    });

    it('are replaced whole when they are published again', async () => {
      await blobs.publish('adapter', await folderOf({ a: '1', b: '2' }));
      await blobs.publish('adapter', await folderOf({ a: '3' }));
      await using scratch = await store.scratch();
      await blobs.fetch('adapter', join(scratch.path, 'x'));
      expect(files(join(scratch.path, 'x'))).toEqual({ a: '3' });
    });

    it('are shared between items, whole or in part, and outlive one another', async () => {
      await blobs.put('content', chunks('data'));
      await blobs.publish('run/step-000010', await folderOf({ a: '1', b: '2', c: '3' }));
      const there = store.blobs(other);
      expect(await there.share('training.jsonl', { item: job, name: 'content' })).toBe(true);
      expect(await there.share('start', { item: job, name: 'run/step-000010' }, ['a', 'c'])).toBe(true);
      expect(await there.share('none', { item: job, name: 'none' })).toBe(false);
      expect(await there.share('none', { item: { kind: 'file', id: 'file-none' }, name: 'content' })).toBe(false);
      await store.records('job').remove(job.id);
      expect(await textOf(there, 'training.jsonl')).toBe('data');
      await using scratch = await store.scratch();
      await there.fetch('start', join(scratch.path, 'start'));
      expect(files(join(scratch.path, 'start'))).toEqual({ a: '1', c: '3' });
      expect(await there.storedAt('none')).toBeUndefined();
    });

    it('are not changed where one of two items with the same content replaces its own', async () => {
      await blobs.put('content', chunks('data'));
      const there = store.blobs(other);
      await there.share('content', { item: job, name: 'content' });
      await there.share('content', { item: job, name: 'content' });
      await there.put('content', chunks('new'));
      expect(await textOf(blobs, 'content')).toBe('data');
      expect(await textOf(there, 'content')).toBe('new');
    });
  });

  it('leases an item to one holder at a time', async () => {
    const first = await store.lease(job);
    expect(first).toBeDefined();
    expect(await store.lease(job)).toBeUndefined();
    expect(await store.lease(other)).toBeDefined();
    await first![Symbol.asyncDispose]();
    expect(await store.lease(job)).toBeDefined();
  });

  it('gives scratch folders that are empty and end', async () => {
    const [first, second] = [await store.scratch(), await store.scratch()];
    expect(readdirSync(first.path)).toEqual([]);
    expect(first.path).not.toBe(second.path);
    mkdirSync(join(first.path, 'folder'));
    await first[Symbol.asyncDispose]();
    expect(existsSync(first.path)).toBe(false);
    expect(existsSync(second.path)).toBe(true);
  });
}
