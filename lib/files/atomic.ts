// Files and folders that are written whole or not at all: the content goes to a temporary sibling, is forced to disk,
// and is renamed into place. All of them are for their owner alone, whatever the umask says.
//
// A file is replaced by one rename. A folder can't be (no system call that Node offers swaps two folders), so its
// replacement takes two renames with complete folders beside it, `.NAME.old` and `.NAME.new`. Between the two there is no
// folder in place: settleFolder completes the second rename, and readers of such a folder call it first. Writers remove
// what lies beside a folder that is in place. Two processes must not replace the same folder at the same time; within one
// process they wait for each other.

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileError } from './json.js';

/** Permissions of what is written: models learn from what users wrote, and may repeat it. */
export const fileMode = 0o600;
export const folderMode = 0o700;

export type Write = (chunk: Uint8Array | string) => Promise<void>;

/**
 * Writes a file so that it holds its old content or the new one, whatever happens on the way.
 *
 * `content` may be a function that is handed `write` and calls it as often as it likes, so that a large file need not
 * lie in memory.
 */
export async function writeAtomic(
  path: string,
  content: Uint8Array | string | ((write: Write) => Promise<void>),
): Promise<void> {
  const temporary = sibling(path, `${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, 'wx', fileMode);
    try {
      const write: Write = (chunk) => file.writeFile(chunk);
      if (typeof content === 'function') await content(write);
      else await write(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await renameDurably(temporary, path);
  } catch (error) {
    await discard(temporary);
    throw fileError(path, error);
  }
}

/** Makes a folder with all above it that are missing, and forces each to disk: a file in it is only as safe as they are. */
export async function makeFolder(path: string): Promise<void> {
  const folder = resolve(path);
  const first = await mkdir(folder, { recursive: true, mode: folderMode });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await sync(dirname(made));
}

const underWay = new Map<string, Promise<void>>();

/**
 * Writes a whole folder: `fill` is handed an empty temporary folder, which then takes the place of whatever folder was
 * at `path`. Parent folders are made as needed.
 */
export async function writeFolderAtomic(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const key = resolve(path);
  const previous = underWay.get(key) ?? Promise.resolve();
  const turn = previous.catch(() => {}).then(() => replaceFolder(key, fill));
  underWay.set(key, turn);
  try {
    await turn;
  } finally {
    if (underWay.get(key) === turn) underWay.delete(key);
  }
}

/**
 * Puts the new folder in the place of `path`, or else the old one, where a replacement was cut short between its renames.
 * Does nothing where a folder is in place.
 */
export async function settleFolder(path: string): Promise<void> {
  // A replacement of our own that is still under way isn't a crash.
  await underWay.get(resolve(path))?.catch(() => {});
  await settle(resolve(path));
}

async function settle(path: string): Promise<void> {
  if (existsSync(path)) return;
  const complete = ['new', 'old'].map((ending) => sibling(path, ending)).find((folder) => existsSync(folder));
  if (complete === undefined) return;
  await renameDurably(complete, path).catch((error: unknown) => {
    if (!existsSync(path)) throw error; // else another process was quicker
  });
}

/** The same, and removes what a replacement left beside it. For writers of the folder. */
async function settleAndClear(path: string): Promise<void> {
  await settle(path);
  for (const ending of ['new', 'old']) await rm(sibling(path, ending), { recursive: true, force: true });
}

async function replaceFolder(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const temporary = sibling(path, `${randomUUID()}.tmp`);
  try {
    await makeFolder(dirname(path));
    await settleAndClear(path);
    if (existsSync(path) && !(await stat(path)).isDirectory()) throw new Error(`${path}: is a file, not a folder`);
    await mkdir(temporary, { mode: folderMode });
    await fill(temporary);
    await syncTree(temporary);
    if (existsSync(path)) {
      const newer = sibling(path, 'new');
      const older = sibling(path, 'old');
      await rename(temporary, newer);
      await rename(path, older);
      await renameDurably(newer, path).catch((error: unknown) => {
        if (existsSync(newer) || !existsSync(path)) throw error; // else a reader has done it
      });
      await discard(older);
    } else {
      await renameDurably(temporary, path).catch(async (error: unknown) => {
        // A folder whose making failed must not be found later.
        await rename(path, temporary).catch(() => {});
        throw error;
      });
    }
  } catch (error) {
    await discard(temporary);
    await settleAndClear(path).catch(() => {});
    throw fileError(path, error);
  }
}

/** Renames, and forces the new name to disk. */
async function renameDurably(from: string, to: string): Promise<void> {
  // Opened before: once the name stands, nothing may fail for want of a descriptor.
  const folder = await openForSync(dirname(to));
  try {
    await rename(from, to);
    await folder?.sync();
  } finally {
    await folder?.close().catch(() => {});
  }
}

/** Removes what has no name of its own. What is left over takes room, and does no harm. */
const discard = (path: string): Promise<void> => rm(path, { recursive: true, force: true }).catch(() => {});

// In the same folder, because a rename is atomic only within one file system.
function sibling(path: string, ending: string): string {
  return join(dirname(path), `.${basename(path)}.${ending}`);
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await sync(path, fileMode);
  }
  await sync(folder, folderMode);
}

/** Forces a file or folder to disk; with `mode`, copies lose the permissions of their originals. */
async function sync(path: string, mode?: number): Promise<void> {
  const handle = await openForSync(path);
  if (!handle) return;
  try {
    if (mode !== undefined) await restrict(handle, mode);
    await handle.sync();
  } finally {
    await handle.close().catch(() => {});
  }
}

async function restrict(handle: FileHandle, wanted: number): Promise<void> {
  const { mode, nlink } = await handle.stat();
  // A file with a second name is shared, and keeps the permissions that it was given there.
  const shared = nlink > 1 && wanted === fileMode;
  if ((mode & 0o077) !== 0 && !shared) await handle.chmod(wanted);
}

/** Undefined on Windows, which can neither open a folder nor flush a file that is open for reading only. */
async function openForSync(path: string): Promise<FileHandle | undefined> {
  return process.platform === 'win32' ? undefined : open(path, 'r');
}
