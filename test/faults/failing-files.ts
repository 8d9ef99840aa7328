// Fault injection: node:fs and node:fs/promises whose n-th operation fails, as SQLite's tests have it. A test file replaces
// the modules by
//
//   vi.mock('node:fs/promises', async (original) => (await import('./failing-files.js')).failingPromises(await original()));
//   vi.mock('node:fs', async (original) => (await import('./failing-files.js')).failingFiles(await original()));
//
// and runs what is tested once for each n. Operations of paths outside of `below` are not counted.
import type * as plain from 'node:fs';
import type * as promises from 'node:fs/promises';

export interface Fault {
  /** Operations below this folder count. */
  below: string;
  /** The operation that fails, from 1 on; 0: none does. */
  at: number;
  code: string;
  /** Whether all after it fail, too, until `at` is 0 again. */
  lasting: boolean;
}

const fault: Fault = { below: '', at: 0, code: 'EIO', lasting: false };
let count = 0;
let fired = '';

/** Counts from 1 on, and fails as it says. */
export function arm(given: Partial<Fault> & Pick<Fault, 'below'>): void {
  Object.assign(fault, { at: 0, lasting: false }, given);
  count = 0;
  fired = '';
}

/** Ends the fault: the operations so far, and the first that failed, or an empty string. */
export function disarm(): { count: number; fired: string } {
  fault.below = '';
  return { count, fired };
}

const codes = ['ENOSPC', 'EMFILE', 'EIO'];

/**
 * Runs `each` for the n-th operation, from the first on, until one run has fewer; for each `every`-th of them, unless
 * HELVETIA_FAULTS=all is set. @returns the number of operations.
 */
export async function forEachOperation(
  { every = 1, ...given }: Pick<Fault, 'below'> & Partial<Fault> & { every?: number },
  each: (n: number, failing: <T>(work: () => Promise<T>) => Promise<Outcome<Awaited<T>>>) => Promise<void>,
): Promise<number> {
  const step = process.env.HELVETIA_FAULTS === 'all' ? 1 : every;
  for (let n = 1; ; n += step) {
    let hit = false;
    await each(n, async (work) => {
      arm({ code: codes[n % codes.length]!, ...given, at: n });
      let outcome: { value?: Awaited<ReturnType<typeof work>>; error?: Error };
      try {
        outcome = { value: await work() };
      } catch (error) {
        outcome = { error: error as Error };
      }
      const { fired } = disarm();
      hit ||= fired !== '';
      return { ...outcome, fired };
    });
    if (!hit) return n - 1;
  }
}

/** `fired`: the operation that failed; empty where there were fewer. */
export interface Outcome<T> {
  value?: T;
  error?: Error;
  fired: string;
}

const isCounted = (path: unknown): boolean => fault.below !== '' && String(path).startsWith(fault.below);

/** @throws the system's error, where this operation is to fail. */
function tick(syscall: string, path: unknown): void {
  if (!isCounted(path)) return;
  count++;
  if (fault.at === 0 || (fault.lasting ? count < fault.at : count !== fault.at)) return;
  fired ||= `${syscall} ${path}`;
  throw Object.assign(new Error(`${fault.code}: injected, ${syscall} '${path}'`), {
    code: fault.code,
    errno: -1,
    syscall,
  });
}

type Call = (...given: unknown[]) => unknown;

const asyncCalls = [
  'appendFile',
  'chmod',
  'copyFile',
  'cp',
  'link',
  'mkdir',
  'readFile',
  'readdir',
  'realpath',
] as const;
const moreCalls = ['rename', 'rm', 'stat', 'symlink', 'truncate', 'writeFile'] as const;
const handleCalls = ['appendFile', 'chmod', 'close', 'datasync', 'readFile', 'stat', 'sync', 'write', 'writeFile'];

export function failingPromises(real: typeof promises): typeof promises {
  const failing: Record<string, unknown> = { ...real };
  for (const name of [...asyncCalls, ...moreCalls]) {
    const call = real[name] as Call;
    failing[name] = async (path: unknown, ...more: unknown[]) => {
      tick(name, path);
      return call(path, ...more);
    };
  }
  failing.open = async (path: string, ...more: unknown[]) => {
    tick('open', path);
    const handle = await (real.open as unknown as (...given: unknown[]) => Promise<promises.FileHandle>)(path, ...more);
    return failingHandle(handle, path);
  };
  return { ...failing, default: failing } as unknown as typeof promises;
}

function failingHandle(handle: promises.FileHandle, path: string): promises.FileHandle {
  return new Proxy(handle, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== 'function') return value;
      if (!handleCalls.includes(String(name))) return value.bind(target);
      return async (...given: unknown[]) => {
        // A file that cannot be closed in order is closed all the same.
        if (name === 'close') await target.close();
        tick(String(name), path);
        // Nothing here loses power, and forcing thousands of files to disk takes minutes.
        return ['close', 'sync', 'datasync'].includes(String(name)) ? undefined : (value as Call).apply(target, given);
      };
    },
  });
}

export function failingFiles(real: typeof plain): typeof plain {
  const failing: Record<string, unknown> = { ...real };
  for (const name of ['openSync', 'statSync'] as const) {
    const call = real[name] as Call;
    failing[name] = (path: unknown, ...more: unknown[]) => {
      tick(name, path);
      return call(path, ...more);
    };
  }
  return { ...failing, default: failing } as unknown as typeof plain;
}
