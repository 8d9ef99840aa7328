// Ids of answers, requests, files and jobs.
import { randomBytes } from 'node:crypto';

const letters = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';

/** A name that cannot be guessed: a prefix and 24 letters and digits. */
export function newId(prefix: string): string {
  // The few letters that a byte's remainder prefers cost less than one of its 140 bits.
  return prefix + Array.from(randomBytes(24), (byte) => letters[byte % letters.length]).join('');
}
