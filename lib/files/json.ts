// Reads JSON files that people or other programs wrote, and says in one sentence what is wrong with them: readJson for
// the text, check for the fields.

import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { JsonScanner } from './json-scan.js';

export type JsonObject = Record<string, unknown>;

// The largest such file in use is a tokenizer of about 35 MB. Parsed JSON can take twenty times its text in memory.
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * The JSON object in a file.
 *
 * @throws Error that names the file if it is missing, too large, not UTF-8, not JSON (with line and column) or not an
 *   object.
 */
export function readJson(path: string, { maxBytes = MAX_BYTES } = {}): JsonObject {
  const text = readText(path, { maxBytes });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: not valid JSON at ${placeOfError(text) ?? (error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${path}: must be a JSON object, got ${shown(value)}`);
  }
  return value as JsonObject;
}

/**
 * The text of a file.
 *
 * @throws Error that names the file if it is missing, too large or not UTF-8.
 */
export function readText(path: string, { maxBytes = MAX_BYTES } = {}): string {
  let raw: Uint8Array;
  try {
    const { size } = statSync(path);
    if (size > maxBytes) throw new Error(`${path}: ${size} bytes is more than the ${maxBytes} allowed`);
    raw = readFileSync(path);
  } catch (error) {
    throw fileError(path, error);
  }
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
  const issue = result.error.issues[0];
  if (issue === undefined) throw new Error(`${file}: ${result.error.message}`);
  const at = fieldName(issue.path);
  const subject = at === '' ? '' : `field '${at}' `;
  if (issue.code === 'unrecognized_keys') {
    throw new Error(`${file}: ${subject}must not have the key ${issue.keys.map((key) => shown(key)).join(', ')}`);
  }
  if (issue.code === 'custom') throw new Error(`${file}: ${subject}${issue.message}`);
  const found = issue.path.reduce<unknown>((inside, key) => (inside as JsonObject | undefined)?.[key as string], value);
  const wanted = expected(schema, issue.path) ?? issue.message;
  throw new Error(
    `${file}: ${subject}must be ${wanted}, ${found === undefined ? 'but is missing' : `got ${shown(found)}`}`,
  );
}

/** A value as an error message shows it: JSON, cut to a length that fits a line. */
export function shown(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

/** The reason of a failed file operation in words, naming the file; other errors pass through. */
export function fileError(path: string, error: unknown): Error {
  const reasons: Record<string, string> = {
    ENOENT: 'no such file or folder',
    EISDIR: 'is a folder, not a file',
    ENOTDIR: 'part of the path is not a folder',
    EACCES: 'permission denied',
    EPERM: 'operation not permitted',
    ENOSPC: 'no space left on the device',
    EROFS: 'the file system is read-only',
  };
  const { code, errno, message } = error as NodeJS.ErrnoException;
  if (errno === undefined) return error as Error;
  return new Error(`${path}: ${reasons[code!] ?? message}`, { cause: error });
}

function placeOfError(text: string): string | undefined {
  const scanner = new JsonScanner(text);
  try {
    scanner.skip();
    scanner.end();
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, key) => {
    if (typeof key === 'number') return `${name}[${key}]`;
    return name === '' ? String(key) : `${name}.${String(key)}`;
  }, '');
}

// What the schema wants at `path`, in words. JSON Schema serves as the schema's public, walkable form.
function expected(schema: z.ZodType, path: readonly PropertyKey[]): string | undefined {
  let at = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema | undefined;
  for (const key of path) at = step(at, key);
  return at && words(at);
}

interface JsonSchema {
  type?: string;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

function step(schema: JsonSchema | undefined, key: PropertyKey): JsonSchema | undefined {
  if (schema === undefined) return undefined;
  if (schema.anyOf) return schema.anyOf.map((option) => step(option, key)).find((found) => found !== undefined);
  if (typeof key === 'number') return schema.items;
  const rest = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  return schema.properties?.[String(key)] ?? rest;
}

function words(schema: JsonSchema): string | undefined {
  if (schema.anyOf) {
    const options = schema.anyOf.map(words);
    return options.includes(undefined) ? undefined : options.join(' or ');
  }
  if (schema.const !== undefined) return shown(schema.const);
  if (schema.enum) return `one of ${schema.enum.map(shown).join(', ')}`;
  switch (schema.type) {
    case 'integer':
      return range('an integer', 'a positive integer', schema);
    case 'number':
      return range('a number', 'a positive number', schema);
    case 'boolean':
      return 'true or false';
    case 'array': {
      const each = schema.items && words(schema.items);
      return each === undefined ? 'a list' : `a list, each ${each}`;
    }
    case 'string':
      return 'a string';
    case 'object':
      return 'an object';
    case 'null':
      return 'null';
  }
  return undefined;
}

function range(noun: string, positive: string, schema: JsonSchema): string {
  // Bounds at the edge of exact integers are zod's own and say nothing to a reader.
  const telling = (bound: number | undefined) =>
    Math.abs(bound ?? Infinity) < Number.MAX_SAFE_INTEGER ? bound : undefined;
  const { exclusiveMinimum: above, exclusiveMaximum: below } = schema;
  const least = telling(schema.minimum);
  const most = telling(schema.maximum);
  const onlyPositive = above === 0 || (least === 1 && schema.type === 'integer');
  const limits = [
    onlyPositive ? undefined : above === undefined ? undefined : `above ${above}`,
    onlyPositive || least === undefined ? undefined : `at least ${least}`,
    below === undefined ? undefined : `below ${below}`,
    most === undefined ? undefined : `at most ${most}`,
  ].filter((limit) => limit !== undefined);
  return [onlyPositive ? positive : noun, limits.join(' and ')].filter((part) => part !== '').join(' ');
}
