// The blobs of one item of a folder store: files and folders in the item's folder.
import { randomUUID } from 'node:crypto';
import { copyFile, type FileHandle, link, mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { Readable } from 'node:stream';
import { folderMode, writeAtomic, writeFolderAtomic } from '../files/atomic.js';
import { fileError } from '../files/json.js';
import type { Blobs, Item } from './store.js';

export class FolderBlobs implements Blobs {
  /** `folder` is the item's; `folderOf` gives another item's; `check` rejects where nothing may be written. */
  constructor(
    private readonly folder: string,
    private readonly store: { folderOf(item: Item): string; check(): Promise<void> },
  ) {}

  async put(name: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.store.check();
    await writeAtomic(this.#path(name), async (write) => {
      for await (const chunk of chunks) await write(chunk);
    });
  }

  async publish(name: string, folder: string): Promise<void> {
    await this.store.check();
    await writeFolderAtomic(this.#path(name), async (inside) => {
      for (const file of await readdir(folder)) await move(join(folder, file), join(inside, file));
    });
  }

  async share(name: string, from: { item: Item; name: string }, files?: readonly string[]): Promise<boolean> {
    await this.store.check();
    const source = join(this.store.folderOf(from.item), checked(from.name));
    const to = this.#path(name);
    return ifThere(source, async (isFolder) => {
      if (!isFolder) return linkFile(source, to);
      const names = files ?? (await readdir(source));
      await writeFolderAtomic(to, async (inside) => {
        for (const file of names) await linkFile(join(source, file), join(inside, file));
      });
    });
  }

  async read(name: string): Promise<{ size: number; stream: ReadableStream<Uint8Array> } | undefined> {
    const path = this.#path(name);
    let file: FileHandle | undefined;
    try {
      file = await open(path);
      const { size } = await file.stat();
      return { size, stream: Readable.toWeb(file.createReadStream()) as ReadableStream<Uint8Array> };
    } catch (error) {
      await file?.close();
      if (isMissing(error)) return undefined;
      throw fileError(path, error);
    }
  }

  fetch(name: string, path: string): Promise<boolean> {
    const source = this.#path(name);
    return ifThere(source, async (isFolder) => {
      await mkdir(isFolder ? path : dirname(path), { recursive: true, mode: folderMode });
      if (!isFolder) return linkFile(source, path);
      for (const file of await readdir(source)) await linkFile(join(source, file), join(path, file));
    });
  }

  async storedAt(name: string): Promise<number | undefined> {
    const path = this.#path(name);
    try {
      return (await stat(path)).mtimeMs;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw fileError(path, error);
    }
  }

  async list(name: string): Promise<string[]> {
    const path = this.#path(name);
    try {
      return (await readdir(path)).filter((file) => !file.startsWith('.')).sort();
    } catch (error) {
      if (isMissing(error)) return [];
      throw fileError(path, error);
    }
  }

  async remove(name: string): Promise<void> {
    await this.store.check();
    await removeWhole(this.#path(name), dirname(this.folder));
  }

  #path(name: string): string {
    return join(this.folder, checked(name));
  }
}

export const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** Removes a file or folder under a hidden name in `hidden`, where opening the store removes it too. Whether there was one. */
export async function removeWhole(path: string, hidden = dirname(path)): Promise<boolean> {
  const doomed = join(hidden, `.${relative(hidden, path).split(sep).join('.')}.gone`);
  await rm(doomed, { recursive: true, force: true });
  try {
    await rename(path, doomed);
  } catch (error) {
    if (isMissing(error)) return false;
    throw fileError(path, error);
  }
  // It is gone from here on: what cannot be removed now, opening the store removes.
  await rm(doomed, { recursive: true, force: true }).catch(() => {});
  return true;
}

function checked(name: string): string {
  if (!/^\w[\w.-]*(\/\w[\w.-]*)*$/.test(name)) throw new Error(`'${name.slice(0, 100)}': is no name of a blob`);
  return name;
}

/** Runs `work` if `path` exists; false if it does not, or vanishes meanwhile. */
async function ifThere(path: string, work: (isFolder: boolean) => Promise<void>): Promise<boolean> {
  try {
    await work((await stat(path)).isDirectory());
    return true;
  } catch (error) {
    const gone = isMissing(error) || isMissing((error as Error).cause ?? {});
    if (gone && !(await stat(path).catch(() => undefined))) return false;
    throw fileError(path, error);
  }
}

/** The same bytes under a second name; a copy where the file system has no links. A symbolic link's target is taken. */
async function linkFile(from: string, to: string): Promise<void> {
  const real = await realpath(from);
  const temporary = join(dirname(to), `.${basename(to)}.${randomUUID()}.tmp`);
  try {
    await link(real, temporary).catch(() => copyFile(real, temporary));
    await rename(temporary, to);
  } finally {
    // A rename onto the same file leaves both names.
    await rm(temporary, { force: true }).catch(() => {});
  }
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    // An operator may have put the items on a file system of their own.
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await copyFile(from, to);
    await rm(from);
  }
}
