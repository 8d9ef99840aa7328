// A store in a folder of this machine, for one server at a time:
//
//   .lock                 a socket of the process that has the store
//   .scratch/             local folders of work under way
//   jobs/ID/job.json      the record of an item, here of kind `job`
//   jobs/ID/events.jsonl  its events
//   jobs/ID/NAME          its blobs: files and folders
//
// Files and folders get their names by a rename (see files/atomic.ts), and are renamed to hidden names before they are
// removed: a visible name stands for something complete, and opening the store removes hidden ones. Publishing a folder
// moves its files, sharing and fetching link them, so that no large file is copied.
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { folderMode, makeFolder, settleFolder, writeAtomic, writeFolderAtomic } from '../files/atomic.js';
import { fileError, readJson } from '../files/json.js';
import { shortageIn } from '../files/shortage.js';
import { FolderBlobs, isMissing, removeWhole } from './folder-blobs.js';
import { EventFiles, lineOf } from './folder-events.js';
import { type FolderLock, lockFolder } from './folder-lock.js';
import type { Blobs, Draft, Events, Item, Json, Records, Scratch, Store, StoredEvent, StoredRecord } from './store.js';

/** The folder of each kind's items. */
const folders: Readonly<Record<Item['kind'], string>> = {
  file: 'files',
  job: 'jobs',
  response: 'responses',
  batch: 'batches',
};
const kinds = Object.keys(folders) as Item['kind'][];
const idPattern = /^[\w-]+$/;
const eventsFile = 'events.jsonl';

export class FolderStore implements Store {
  readonly #events = new EventFiles();
  readonly #leased = new Set<string>();

  private constructor(
    private readonly folder: string,
    private readonly lock: FolderLock,
  ) {}

  /**
   * Takes the folder for this process, makes it if it is missing, and removes what a killed process left half made.
   *
   * @throws Error if another server uses the folder.
   */
  static async open(path: string, warn: (message: string) => void): Promise<FolderStore> {
    const folder = resolve(path);
    await makeFolder(folder);
    const lock = await lockFolder(folder, warn);
    try {
      const store = new FolderStore(folder, lock);
      await rm(store.#scratchRoot, { recursive: true, force: true });
      for (const kind of kinds) await sweep(store.kindFolder(kind), warn);
      return store;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  records(kind: Item['kind']): Records {
    return new FolderRecords(this, kind);
  }

  events(item: Item): Events {
    const path = join(this.folderOf(item), eventsFile);
    return {
      append: async (event) => {
        await this.check();
        await this.#events.use(path, (log) => log.append(event));
      },
      read: (from) => this.#events.use(path, async (log) => log.read(from)),
      flush: async () => {
        await this.check();
        await this.#events.use(path, (log) => log.flush());
      },
    };
  }

  blobs(item: Item): Blobs {
    return new FolderBlobs(this.folderOf(item), this);
  }

  async lease(item: Item): Promise<AsyncDisposable | undefined> {
    const name = this.folderOf(item);
    if (this.#leased.has(name)) return undefined;
    this.#leased.add(name);
    return { [Symbol.asyncDispose]: async () => void this.#leased.delete(name) };
  }

  async scratch(): Promise<Scratch> {
    await this.check();
    // On the file system of the items: publishing is a rename.
    const path = join(this.#scratchRoot, randomUUID());
    await mkdir(path, { recursive: true, mode: folderMode });
    const removed = (): Promise<void> => rm(path, { recursive: true, force: true }).catch(() => {});
    return { path, [Symbol.asyncDispose]: removed };
  }

  async close(): Promise<void> {
    await this.lock.release();
  }

  /** @internal @throws Error once another process has taken the folder. */
  check(): Promise<void> {
    return this.lock.check();
  }

  /** @internal */
  kindFolder(kind: Item['kind']): string {
    return join(this.folder, folders[kind]);
  }

  /** @internal */
  folderOf({ kind, id }: Item): string {
    // Ids become names of folders: none may lead elsewhere.
    if (!idPattern.test(id)) throw new Error(`'${id.slice(0, 100)}': is no id: letters, digits, _ and - only`);
    return join(this.kindFolder(kind), id);
  }

  /** @internal */
  forgetEvents(item: Item): void {
    this.#events.forget(join(this.folderOf(item), eventsFile));
  }

  get #scratchRoot(): string {
    return join(this.folder, '.scratch');
  }
}

class FolderRecords implements Records {
  constructor(
    private readonly store: FolderStore,
    private readonly kind: Item['kind'],
  ) {}

  async list(skipped: (reason: string) => void): Promise<StoredRecord[]> {
    const found: StoredRecord[] = [];
    for (const id of await readdir(this.store.kindFolder(this.kind))) {
      if (!idPattern.test(id)) continue;
      try {
        const record = await this.get(id);
        if (record) found.push(record);
        else skipped(`${this.#path(id)}: no such file or folder`);
      } catch (error) {
        // What would be left out for a moment's shortage is there again at the next start.
        if (shortageIn(error) !== undefined) throw error;
        skipped((error as Error).message);
      }
    }
    return found;
  }

  async get(id: string): Promise<StoredRecord | undefined> {
    const source = this.#path(id);
    const version = await versionOf(source);
    return version === undefined ? undefined : { id, value: readJson(source), version, source };
  }

  async create(id: string, fill: (draft: Draft) => Promise<Json>): Promise<StoredRecord> {
    const folder = this.#folder(id);
    await this.store.check();
    if (existsSync(folder)) throw new Error(`${folder}: is there already`);
    let value: Json = {};
    await writeFolderAtomic(folder, async (inside) => {
      const blobs = new FolderBlobs(inside, this.store);
      const events: StoredEvent[] = [];
      value = await fill({
        put: (name, chunks) => blobs.put(name, chunks),
        publish: (name, path) => blobs.publish(name, path),
        share: (name, from, files) => blobs.share(name, from, files),
        append: async (event) => void events.push(event),
      });
      if (events.length > 0) await writeAtomic(join(inside, eventsFile), events.map(lineOf).join(''));
      await writeAtomic(join(inside, this.#file), textOf(value));
      await this.store.check(); // filling may have taken long
    });
    const source = this.#path(id);
    return { id, value, version: await writtenVersion(source), source };
  }

  async replace(id: string, value: Json, version: string): Promise<string | undefined> {
    const path = this.#path(id);
    await this.store.check();
    const current = await versionOf(path);
    if (current === undefined) throw new Error(`${path}: no such file or folder`);
    if (current !== version) return undefined;
    await writeAtomic(path, textOf(value));
    return writtenVersion(path);
  }

  async remove(id: string): Promise<boolean> {
    await this.store.check();
    this.store.forgetEvents({ kind: this.kind, id });
    return removeWhole(this.#folder(id));
  }

  get #file(): string {
    return `${this.kind}.json`;
  }

  #folder(id: string): string {
    return this.store.folderOf({ kind: this.kind, id });
  }

  #path(id: string): string {
    return join(this.#folder(id), this.#file);
  }
}

const textOf = (value: Json): string => `${JSON.stringify(value, null, 2)}\n`;

/** Each replacement is another file: its inode and time are the version. Undefined where there is none. */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { ino, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${mtimeNs}`;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fileError(path, error);
  }
}

/** The version of a record that stands; one that cannot be known is none, and the next change reads the record first. */
const writtenVersion = async (path: string): Promise<string> => (await versionOf(path).catch(() => undefined)) ?? '';

/** Removes the hidden names in a kind's folder and its items, after ending replacements of folders cut short. */
async function sweep(folder: string, warn: (message: string) => void): Promise<void> {
  await makeFolder(folder);
  await chmod(folder, folderMode); // earlier versions left that to the umask
  await removeHidden(folder);
  for (const item of await readdir(folder, { withFileTypes: true })) {
    if (!item.isDirectory()) continue;
    try {
      const inside = join(folder, item.name);
      await removeHidden(inside);
      // Blobs lie at most one folder deeper, such as `run/step-000120`.
      for (const entry of await readdir(inside, { withFileTypes: true })) {
        if (entry.isDirectory()) await removeHidden(join(inside, entry.name));
      }
    } catch (error) {
      if (shortageIn(error) !== undefined) throw error;
      warn((error as Error).message);
    }
  }
}

async function removeHidden(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith('.')) continue;
    const replaced = /^\.(.+)\.(?:new|old)$/.exec(name)?.[1];
    if (replaced !== undefined) await settleFolder(join(folder, replaced));
    await rm(join(folder, name), { recursive: true, force: true });
  }
}
