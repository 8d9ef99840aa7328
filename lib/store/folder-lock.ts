// A lock on a folder that ends with the process that holds it: a socket in the folder on which that process listens.
// The socket of a killed process gives no answer, and is taken over.
//
// The socket is made under a name of its own and linked to the lock's, which fails if there is one already: of two
// processes that start together, one gets it.
import { randomUUID } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

export interface FolderLock {
  release(): Promise<void>;
}

// Systems refuse longer addresses of sockets, or cut them off. On Linux an open folder has a short path.
const mostAddress = 100;

/**
 * Takes the folder for this process, and for one caller in it.
 *
 * @throws Error if another holder has it.
 */
export async function lockFolder(folder: string, warn: (message: string) => void): Promise<FolderLock> {
  const opened = process.platform === 'linux' && folder.length > mostAddress - 30 ? await open(folder) : undefined;
  try {
    const short = opened ? `/proc/self/fd/${opened.fd}` : folder;
    const server = await locked(short, folder, warn);
    return {
      release: async () => {
        if (!server) return;
        await rm(join(folder, '.lock'), { force: true });
        await closed(server);
      },
    };
  } finally {
    await opened?.close();
  }
}

/** Undefined where there are no sockets. */
async function locked(short: string, folder: string, warn: (message: string) => void): Promise<Server | undefined> {
  const path = join(short, '.lock');
  const own = join(short, `.lock-${randomUUID().slice(0, 8)}`);
  let server: Server;
  try {
    if (process.platform === 'win32' || own.length > mostAddress) throw new Error('its path has no short name here');
    server = await listening(own);
  } catch (error) {
    warn(`${folder}: cannot be locked (${(error as Error).message}): see that no other server uses it`);
    return undefined;
  }
  try {
    while (!(await linked(own, path))) {
      if (await answers(path)) throw inUse(folder);
      // Renamed before it is removed: another process may have taken the lock over meanwhile.
      const stale = `${own}-stale`;
      await rename(path, stale).catch(() => {});
      if (await answers(stale)) {
        await linked(stale, path);
        throw inUse(folder);
      }
      await rm(stale, { force: true });
    }
  } catch (error) {
    await closed(server);
    throw error;
  } finally {
    await rm(`${own}-stale`, { force: true });
    await rm(own, { force: true });
  }
  return server;
}

const inUse = (folder: string): Error =>
  new Error(`${folder}: another server uses this data folder: end it, or choose another folder`);

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
