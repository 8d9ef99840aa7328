// The recorded results and models beside the repository, where they are.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '..', '..', 'shared', 'data');

/** A path under ../shared/data. */
export const shared = (...parts: string[]): string => join(folder, ...parts);

/** Whether it is there. Where it is not, says which tests are skipped. */
export function hasShared(...parts: string[]): boolean {
  const there = existsSync(shared(...parts));
  if (!there) console.warn(`skipped: ${join('../shared/data', ...parts)} is not there`);
  return there;
}

export const sharedJson = <T>(...parts: string[]): T => JSON.parse(readFileSync(shared(...parts), 'utf8')) as T;

/** The place of the largest number, the first of equals. */
export function argmax(row: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}
