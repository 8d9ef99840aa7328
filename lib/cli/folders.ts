// Guards the folders that commands write: saving replaces a folder whole, so it must be one of ours or empty.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { UsageError } from './terminal.js';

export interface Kind {
  /** Such as `an adapter`. */
  name: string;
  /** A file that tells such a folder from others. */
  mark: string;
}

export const adapterFolder: Kind = { name: 'an adapter', mark: 'adapter_config.json' };

/** Whether `inner` is `outer` or lies in it. */
export function isInside(inner: string, outer: string): boolean {
  const path = relative(resolve(outer), resolve(inner));
  return path === '' || (!/^\.\.([/\\]|$)/.test(path) && !/^([A-Za-z]:|[/\\])/.test(path));
}

/**
 * Checks that a folder may be replaced: absent, empty, of the right kind, or forced.
 *
 * @throws UsageError if the folder must be kept; Error if the path is a file.
 */
export function checkTarget(folder: string, kind: Kind | undefined, force: boolean): void {
  if (isInside(process.cwd(), folder)) {
    throw new UsageError(`--out ${folder}: is the current folder or holds it, and writing would replace it whole`);
  }
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw new UsageError(`--out ${folder}: is a file, not a folder`);
  if (force || readdirSync(folder).length === 0) return;
  if (kind === undefined) throw new UsageError(`--out ${folder}: is not empty; --force replaces it`);
  if (existsSync(join(folder, kind.mark))) return;
  throw new UsageError(
    `--out ${folder}: is not empty and not ${kind.name} folder (it has no ${kind.mark}); --force replaces it`,
  );
}
