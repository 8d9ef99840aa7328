// Uploaded files and results on the disk, each a folder that is there whole or not at all:
//
//   files/file-…/file.json     what is known of it
//   files/file-…/content       its bytes
//
// Ids are random and made here; no name from a request is ever part of a path.
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder, writeAtomic, writeFolderAtomic } from '../../files/atomic.js';
import { check, readJson } from '../../files/json.js';

const recordSchema = z.object({
  id: z.string(),
  bytes: z.number(),
  /** Milliseconds: keeps files of one second in order. */
  createdAt: z.number(),
  /** Milliseconds. */
  expiresAt: z.number().optional(),
  filename: z.string(),
  purpose: z.string(),
});

export { newId } from '../ids.js';

export type FileRecord = z.infer<typeof recordSchema>;

// Deleted files whose place in a list is remembered.
const mostGone = 10_000;

export class FileStore {
  readonly #files = new Map<string, FileRecord>();
  /** When files were made that are deleted by now: somebody may be walking through the list and deleting. */
  readonly #gone = new Map<string, number>();
  #latest = 0;

  private constructor(readonly folder: string) {}

  /** Reads what is there, and removes what was left half written. */
  static async open(folder: string, warn: (message: string) => void): Promise<FileStore> {
    const store = new FileStore(folder);
    await makeFolder(folder);
    for (const name of await readdir(folder)) {
      if (name.startsWith('.')) await rm(join(folder, name), { recursive: true, force: true });
      else if (name.startsWith('file-')) {
        try {
          const path = join(folder, name, 'file.json');
          const file = { ...check(path, recordSchema, readJson(path)), id: name };
          store.#files.set(name, file);
          store.#latest = Math.max(store.#latest, file.createdAt);
        } catch (error) {
          warn((error as Error).message);
        }
      }
    }
    return store;
  }

  /** Oldest first. */
  async list(): Promise<FileRecord[]> {
    await this.sweep();
    return [...this.#files.values()].sort((a, b) => a.createdAt - b.createdAt);
  }

  async get(id: string): Promise<FileRecord | undefined> {
    await this.sweep();
    return this.#files.get(id);
  }

  /** When a file was made, also if it was deleted since. Undefined if none had this id. */
  madeAt(id: string): number | undefined {
    return this.#files.get(id)?.createdAt ?? this.#gone.get(id);
  }

  /** Its content, which stays readable if the file is deleted. Undefined if there is none. */
  async open(id: string): Promise<FileHandle | undefined> {
    try {
      return await open(this.path(id));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  path(id: string): string {
    return join(this.folder, id, 'content');
  }

  /** `fill` writes the content and says what is to be known of it. A file with this id is replaced. */
  async add(id: string, fill: (content: string) => Promise<Omit<FileRecord, 'id' | 'createdAt'>>): Promise<FileRecord> {
    let record: FileRecord | undefined;
    await writeFolderAtomic(join(this.folder, id), async (inside) => {
      const filled = await fill(join(inside, 'content'));
      this.#latest = Math.max(Date.now(), this.#latest + 1);
      record = { id, createdAt: this.#latest, ...filled };
      await writeAtomic(join(inside, 'file.json'), `${JSON.stringify(record, null, 2)}\n`);
    });
    this.#files.set(id, record!);
    return record!;
  }

  async remove(id: string): Promise<boolean> {
    const file = this.#files.get(id);
    if (!file) return false;
    // Renamed first: half a file must never look like a whole one.
    const doomed = join(this.folder, `.${id}.gone`);
    try {
      await rename(join(this.folder, id), doomed);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    this.#files.delete(id);
    this.#gone.set(id, file.createdAt);
    for (const oldest of [...this.#gone.keys()].slice(0, -mostGone)) this.#gone.delete(oldest);
    await rm(doomed, { recursive: true, force: true });
    return true;
  }

  /** Removes what has expired. */
  async sweep(): Promise<void> {
    const now = Date.now();
    for (const { id, expiresAt } of this.#files.values()) {
      if (expiresAt !== undefined && expiresAt <= now) await this.remove(id);
    }
  }
}
