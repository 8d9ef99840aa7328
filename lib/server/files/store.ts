// Uploaded files and results: a record of each over the store's `file` items, whose blob `content` has the bytes.
//
// Ids are random and made here: no name from a request reaches the store.
import { z } from 'zod';
import { check } from '../../files/json.js';
import type { Item, Records, Store } from '../../store/store.js';

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

/** What is known of a file before it is stored; it expires `lifetime` milliseconds later, if at all. */
export type FileDetails = Omit<FileRecord, 'id' | 'createdAt' | 'expiresAt'> & { lifetime?: number };

/** Stores a file's content as it comes in. */
export type Save = (chunks: AsyncIterable<Uint8Array>) => Promise<void>;

/** The place of a file's content in the store. */
export const contentOf = (id: string): { item: Item; name: string } => ({
  item: { kind: 'file', id },
  name: 'content',
});

// Deleted files whose place in a list is remembered.
const mostGone = 10_000;

export class FileStore {
  readonly #records: Records;
  readonly #files = new Map<string, FileRecord>();
  /** Creation times of deleted files: a client may delete while it walks through the list. */
  readonly #gone = new Map<string, number>();
  #latest = 0;

  private constructor(private readonly store: Store) {
    this.#records = store.records('file');
  }

  /** `warn` gets what is wrong with a record that is left out. */
  static async open(store: Store, warn: (message: string) => void): Promise<FileStore> {
    const files = new FileStore(store);
    for (const { id, value, source } of await files.#records.list(warn)) {
      try {
        const file = { ...check(source, recordSchema, value), id };
        files.#files.set(id, file);
        files.#latest = Math.max(files.#latest, file.createdAt);
      } catch (error) {
        warn((error as Error).message);
      }
    }
    return files;
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

  /** Creation time of a file, deleted ones included. Undefined if none had this id. */
  madeAt(id: string): number | undefined {
    return this.#files.get(id)?.createdAt ?? this.#gone.get(id);
  }

  /** A file's content, readable to its end even if the file is deleted. Undefined if there is none. */
  async open(id: string): Promise<ReadableStream<Uint8Array> | undefined> {
    const { item, name } = contentOf(id);
    return (await this.store.blobs(item).read(name))?.stream;
  }

  /** `fill` saves the content and returns the rest of the record. A file of this id is replaced. */
  async add(id: string, fill: (save: Save) => Promise<FileDetails>): Promise<FileRecord> {
    // Left-out records are replaced too.
    if (!(await this.remove(id))) await this.#records.remove(id);
    const { value } = await this.#records.create(id, async (draft) => {
      const { lifetime, ...filled } = await fill((chunks) => draft.put(contentOf(id).name, chunks));
      this.#latest = Math.max(Date.now(), this.#latest + 1);
      const createdAt = this.#latest;
      return { id, createdAt, ...filled, ...(lifetime === undefined ? {} : { expiresAt: createdAt + lifetime }) };
    });
    const file = value as FileRecord;
    this.#files.set(id, file);
    return file;
  }

  /** Whether there was one. */
  async remove(id: string): Promise<boolean> {
    const file = this.#files.get(id);
    if (!file) return false;
    await this.#records.remove(id);
    this.#files.delete(id);
    this.#gone.set(id, file.createdAt);
    for (const oldest of [...this.#gone.keys()].slice(0, -mostGone)) this.#gone.delete(oldest);
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
