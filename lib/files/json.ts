// JSON files of people and other programs: readJson reads the text, check checks the fields; an error is one sentence.

import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { z } from 'zod';
import { faultOf, shown } from '../flow/fault.js';
import { placeOfError } from './json-scan.js';
import { refusePointer } from './lfs-pointer.js';
import { shortageIn } from './shortage.js';

export type JsonObject = Record<string, unknown>;

// The largest such file in use is a tokenizer of about 35 MB. Parsed JSON can take twenty times its text in memory.
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * The JSON object in a file.
 *
 * @throws Error that names the file if it is missing, too large, not UTF-8, not JSON (with line and column) or not an
 *   object.
 */
export function readJson(path: string, options: { maxBytes?: number } = {}): JsonObject {
  const value = parsed(path, options);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${path}: must be a JSON object, got ${shown(value)}`);
  }
  return value as JsonObject;
}

/** The same, or undefined where the file is missing. */
export function readJsonIfThere(path: string): JsonObject | undefined {
  return existsSync(path) ? readJson(path) : undefined;
}

/** The JSON list in a file; undefined where the file is missing. @throws Error that names the file, as readJson does. */
export function readJsonListIfThere(path: string): unknown[] | undefined {
  if (!existsSync(path)) return undefined;
  const value = parsed(path);
  if (!Array.isArray(value)) throw new Error(`${path}: must be a JSON list, got ${shown(value)}`);
  return value;
}

function parsed(path: string, { maxBytes = MAX_BYTES } = {}): unknown {
  const text = readText(path, { maxBytes });
  try {
    return JSON.parse(text);
  } catch (error) {
    const numbered = withoutInfinities(text);
    try {
      if (numbered !== text) return JSON.parse(numbered);
    } catch {
      // The place of the fault in the text as it is says more.
    }
    throw new Error(`${path}: not valid JSON at ${placeOfError(text) ?? (error as Error).message}`);
  }
}

/** Python writes numbers that JSON has not, such as `Infinity`: as transformers 5 writes them, `{"__float__":"Infinity"}`. */
function withoutInfinities(text: string): string {
  // Whole strings, also one without an end, so that none is looked into and no text is read twice.
  return text.replace(/"(?:[^"\\]+|\\[\s\S])*(?:"|\\?$)|-?\b(?:Infinity|NaN)\b/g, (found) =>
    found.startsWith('"') ? found : `{"__float__":"${found}"}`,
  );
}

/**
 * The text of a file.
 *
 * @throws Error that names the file if it is missing, no regular file, too large or not UTF-8.
 */
export function readText(path: string, { maxBytes = MAX_BYTES } = {}): string {
  let raw: Uint8Array;
  let handle: number | undefined;
  try {
    // Non-blocking: the opening of a FIFO waits for its writer otherwise.
    handle = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const file = fstatSync(handle);
    if (!file.isFile() && !file.isDirectory()) throw new Error(`${path}: is not a regular file`);
    if (file.size > maxBytes) throw new Error(`${path}: ${file.size} bytes is more than the ${maxBytes} allowed`);
    raw = readFileSync(handle);
  } catch (error) {
    throw fileError(path, error);
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
  refusePointer(path, raw);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(raw);
  } catch {
    throw new Error(`${path}: not UTF-8 text`);
  }
}

/**
 * `value` as `schema` returns it.
 *
 * @throws Error such as `config.json: field 'hidden_size' must be a positive integer, got "x"`, about the first wrong
 *   field; `file` is what the sentence begins with.
 */
export function check<Schema extends z.ZodType>(file: string, schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { at, words, unknownKeys } = faultOf(schema, value, result.error.issues[0]!);
  const subject = at === '' ? '' : `field '${at}' `;
  const wrong = unknownKeys.length > 0 ? `must not have the key ${unknownKeys.map(shown).join(', ')}` : words;
  throw new Error(`${file}: ${subject}${wrong}`);
}

/** The reason of a failed file operation in words, naming the file; other errors pass through. */
export function fileError(path: string, error: unknown): Error {
  const reasons: Record<string, string> = {
    ENOENT: 'no such file or folder',
    EISDIR: 'is a folder, not a file',
    ENOTDIR: 'part of the path is not a folder',
    EACCES: 'permission denied',
    EPERM: 'operation not permitted',
    EROFS: 'the file system is read-only',
  };
  const { code, errno, message } = error as NodeJS.ErrnoException;
  if (errno === undefined) return error as Error;
  return new Error(`${path}: ${reasons[code!] ?? shortageIn(error) ?? message}`, { cause: error });
}
