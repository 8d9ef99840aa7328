// A lock on a folder that ends with the process that holds it: a socket in the folder on which that process listens.
// The socket of a killed process gives no answer, and is taken over.
//
// The socket is made under a name of its own and linked to the lock's, which fails if there is one already: of two
// processes that start together, one gets it.
//
// The lock's file may be removed while it is held. Its holder puts it back, unless another process was quicker: then the
// folder is that one's, and the first holder must write nothing more, which `check` says before each write.
import { randomUUID } from 'node:crypto';
import { chmod, link, open, rename, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { fileMode } from '../files/atomic.js';
import { fileError } from '../files/json.js';
import { shortageIn } from '../files/shortage.js';

export interface FolderLock {
  /** Puts a lock that was removed back. @throws Error once another process has taken the folder. */
  check(): Promise<void>;
  release(): Promise<void>;
}

// Systems refuse longer addresses of sockets, or cut them off. On Linux an open folder has a short path.
const mostAddress = 100;
// A removed lock is put back within this time.
const watchMilliseconds = 1000;

/**
 * Takes the folder for this process, and for one caller in it.
 *
 * @throws Error if another holder has it.
 */
export async function lockFolder(folder: string, warn: (message: string) => void): Promise<FolderLock> {
  const first = await atShortPath(folder, (short) => locked(short, folder, warn));
  if (!first) return { check: async () => {}, release: async () => {} };
  const lock = new SocketLock(folder, first, warn);
  await lock.check().catch(async (error: unknown) => {
    await lock.release();
    throw error;
  });
  return lock;
}

class SocketLock implements FolderLock {
  readonly #timer: NodeJS.Timeout;
  #inode: bigint | undefined;
  #lost = false;
  #released = false;
  #checking: Promise<void> = Promise.resolve();

  constructor(
    private readonly folder: string,
    private server: Server,
    private readonly warn: (message: string) => void,
  ) {
    this.#timer = setInterval(() => this.check().catch(() => {}), watchMilliseconds).unref();
  }

  check(): Promise<void> {
    const turn = this.#checking.then(() => this.#check());
    this.#checking = turn.catch(() => {});
    return turn;
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#checking;
    this.#released = true;
    // A file that cannot be removed is taken over by the next process: nothing answers on it.
    if (!this.#lost) await rm(this.#path, { force: true }).catch(() => {});
    await closed(this.server);
  }

  get #path(): string {
    return join(this.folder, '.lock');
  }

  async #check(): Promise<void> {
    if (this.#released) return;
    if (!this.#lost) {
      const inode = await inodeOf(this.#path);
      this.#inode ??= inode;
      if (inode !== undefined && inode === this.#inode) return;
      this.#lost = inode !== undefined || !(await this.#retake());
      if (!this.#lost) return;
      this.warn(this.#taken);
    }
    throw new Error(this.#taken);
  }

  /** False where another process has the folder by now. */
  async #retake(): Promise<boolean> {
    const server = await atShortPath(this.folder, (short) => locked(short, this.folder)).catch((error) => {
      if (error instanceof InUse) return undefined;
      throw error;
    });
    if (!server) return false;
    await closed(this.server);
    this.server = server;
    this.#inode = await inodeOf(this.#path);
    this.warn(`${this.#path}: was removed while this server uses the folder, and is put back`);
    return true;
  }

  get #taken(): string {
    return `${this.folder}: another server has taken this data folder, because its .lock was removed: this one writes nothing there any more, and must be restarted`;
  }
}

async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(path, error);
  }
}

async function atShortPath<T>(folder: string, work: (short: string) => Promise<T>): Promise<T> {
  const opened = process.platform === 'linux' && folder.length > mostAddress - 30 ? await open(folder) : undefined;
  try {
    return await work(opened ? `/proc/self/fd/${opened.fd}` : folder);
  } finally {
    await opened?.close();
  }
}

/** With `warn`, undefined where there are no sockets. @throws InUse if another holder has the folder. */
async function locked(short: string, folder: string, warn?: (message: string) => void): Promise<Server | undefined> {
  const path = join(short, '.lock');
  const own = join(short, `.lock-${randomUUID().slice(0, 8)}`);
  let server: Server;
  try {
    if (process.platform === 'win32' || own.length > mostAddress) throw new Error('its path has no short name here');
    server = await listening(own);
  } catch (error) {
    if (!warn || shortageIn(error) !== undefined) throw fileError(folder, error);
    warn(`${folder}: cannot be locked (${(error as Error).message}): see that no other server uses it`);
    return undefined;
  }
  try {
    await chmod(own, fileMode);
    while (!(await linked(own, path))) {
      if (await answers(path)) throw new InUse(folder);
      // Renamed before it is removed: another process may have taken the lock over meanwhile.
      const stale = `${own}-stale`;
      await rename(path, stale).catch(() => {});
      if (await answers(stale)) {
        await linked(stale, path);
        throw new InUse(folder);
      }
      await rm(stale, { force: true });
    }
  } catch (error) {
    await closed(server);
    throw fileError(folder, error);
  } finally {
    // What cannot be removed has no meaning.
    for (const name of [`${own}-stale`, own]) await rm(name, { force: true }).catch(() => {});
  }
  return server;
}

class InUse extends Error {
  constructor(folder: string) {
    super(`${folder}: another server uses this data folder: end it, or choose another folder`);
  }
}

function listening(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(path, () => resolve(server.unref()));
  });
}

const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
