// Uploaded files and results on the disk, each a folder that is there whole or not at all:
//
//   files/file-…/file.json     what is known of it
//   files/file-…/content       its bytes
//
// Ids are random and made here; no name from a request is ever part of a path.
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeAtomic, writeFolderAtomic } from '../files/atomic.js';
import { check, readJson } from '../files/json.js';

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

export { newId } from './ids.js';

export type FileRecord = z.infer<typeof recordSchema>;

export class FileStore {
  readonly #files = new Map<string, FileRecord>();

  private constructor(readonly folder: string) {}

  /** Reads what is there, and removes what was left half written. */
  static async open(folder: string, warn: (message: string) => void): Promise<FileStore> {
    const store = new FileStore(folder);
    await mkdir(folder, { recursive: true });
    const found: FileRecord[] = [];
    for (const name of await readdir(folder)) {
      if (name.startsWith('.')) await rm(join(folder, name), { recursive: true, force: true });
      else if (name.startsWith('file-')) {
        try {
          const path = join(folder, name, 'file.json');
          found.push({ ...check(path, recordSchema, readJson(path)), id: name });
        } catch (error) {
          warn((error as Error).message);
        }
      }
    }
    for (const file of found.sort((a, b) => a.createdAt - b.createdAt)) store.#files.set(file.id, file);
    return store;
  }

  /** Oldest first. */
  async list(): Promise<FileRecord[]> {
    await this.#expire();
    return [...this.#files.values()];
  }

  async get(id: string): Promise<FileRecord | undefined> {
    await this.#expire();
    return this.#files.get(id);
  }

  path(id: string): string {
    return join(this.folder, id, 'content');
  }

  /** `fill` writes the content and says what is to be known of it. A file with this id is replaced. */
  async add(id: string, fill: (content: string) => Promise<Omit<FileRecord, 'id' | 'createdAt'>>): Promise<FileRecord> {
    let record: FileRecord | undefined;
    await writeFolderAtomic(join(this.folder, id), async (inside) => {
      const filled = await fill(join(inside, 'content'));
      const createdAt = Math.max(Date.now(), ([...this.#files.values()].at(-1)?.createdAt ?? 0) + 1);
      record = { id, createdAt, ...filled };
      await writeAtomic(join(inside, 'file.json'), `${JSON.stringify(record, null, 2)}\n`);
    });
    this.#files.set(id, record!);
    return record!;
  }

  async remove(id: string): Promise<boolean> {
    if (!this.#files.delete(id)) return false;
    // Renamed first: half a file must never look like a whole one.
    const doomed = join(this.folder, `.${id}.gone`);
    await rename(join(this.folder, id), doomed);
    await rm(doomed, { recursive: true, force: true });
    return true;
  }

  async #expire(): Promise<void> {
    const now = Date.now();
    for (const { id, expiresAt } of this.#files.values()) {
      if (expiresAt !== undefined && expiresAt <= now) await this.remove(id);
    }
  }
}
