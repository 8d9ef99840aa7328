// A fault of a value by a zod schema, in the words of an error message: its place, the expected form, the found value.
// JSON Schema serves as the schema's public, walkable form; `describe` gives the words where the form says too little.

import { inspect } from 'node:util';
import { z } from 'zod';

export interface Fault {
  readonly code: z.core.$ZodIssue['code'];
  /** The place as `a.b[2]`; empty for the value itself. */
  readonly at: string;
  readonly found: unknown;
  /** Whether the value has the right type, and only its range is wrong. */
  readonly ofRange: boolean;
  /** As a sentence goes on behind the name of the place: `must be a positive integer, got 0`. */
  readonly words: string;
  /** Keys that the object there may not have. */
  readonly unknownKeys: readonly string[];
  /** Keys that the object there may have. */
  readonly knownKeys: readonly string[];
}

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** The fault that `issue` of `schema` found in `value`. */
export function faultOf(schema: z.ZodType, value: unknown, issue: Issue): Fault {
  const { path, message } = deepest(issue);
  const form = formAt(schema, path);
  const found = path.reduce(inside, value);
  const { code } = issue;
  const wanted = code === 'custom' ? form?.description : (form && formWords(form)) || message;
  const got = found === undefined ? 'but is missing' : `got ${shown(found)}`;
  return {
    code,
    at: pathText(path),
    found,
    ofRange: form !== undefined && ['number', 'string'].includes(typeof found) && typesOf(form).has(typeof found),
    words: wanted === undefined ? message : `must be ${wanted}, ${got}`,
    unknownKeys: code === 'unrecognized_keys' ? issue.keys : [],
    knownKeys: Object.keys(form?.properties ?? {}),
  };
}

/** A value as an error message shows it: JSON where that is short and possible, cut to a length that fits a line. */
export function shown(value: unknown): string {
  const text = textOf(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'string') return JSON.stringify(value);
    return typeof value === 'function' ? inspect(value, { depth: -1 }) : String(value);
  }
  const isPlain = Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value));
  if (!isPlain) return inspect(value, { depth: -1 });
  try {
    return JSON.stringify(value);
  } catch {
    return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY });
  }
}

export function pathText(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}

/** Of a value that fits none of several forms, the complaint that went furthest into it. */
export function deepest(issue: Issue): { path: PropertyKey[]; message: string } {
  if (issue.code !== 'invalid_union') return issue;
  let best = { path: issue.path, message: issue.message };
  for (const [first] of issue.errors) {
    if (!first) continue;
    const inner = deepest(first);
    const path = [...issue.path, ...inner.path];
    if (inner.path.length > 0 && path.length > best.path.length) best = { path, message: inner.message };
  }
  return best;
}

function inside(value: unknown, key: PropertyKey): unknown {
  return value instanceof Map ? value.get(key) : (value as Record<PropertyKey, unknown> | undefined | null)?.[key];
}

interface Form {
  type?: string;
  description?: string;
  properties?: Record<string, Form>;
  additionalProperties?: Form | boolean;
  items?: Form | boolean;
  prefixItems?: Form[];
  anyOf?: Form[];
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

function formAt(schema: z.ZodType, path: Path): Form | undefined {
  const whole = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Form;
  return path.reduce(step, whole as Form | undefined);
}

function step(form: Form | undefined, key: PropertyKey): Form | undefined {
  if (form === undefined) return undefined;
  if (form.anyOf) return form.anyOf.map((option) => step(option, key)).find((found) => found !== undefined);
  if (typeof key === 'number')
    return form.prefixItems?.[key] ?? (typeof form.items === 'object' ? form.items : undefined);
  const rest = typeof form.additionalProperties === 'object' ? form.additionalProperties : undefined;
  return form.properties?.[String(key)] ?? rest;
}

/** What `typeof` gives for values of a form. */
function typesOf({ anyOf, type }: Form): Set<string> {
  if (anyOf) return new Set(anyOf.flatMap((option) => [...typesOf(option)]));
  return new Set(type === 'integer' ? ['number'] : type === undefined ? [] : [type]);
}

function formWords(form: Form): string | undefined {
  if (form.description !== undefined) return form.description;
  if (form.anyOf) {
    const options = form.anyOf.map(formWords);
    return options.includes(undefined) ? undefined : options.join(' or ');
  }
  if (form.const !== undefined) return shown(form.const);
  if (form.enum) return `one of ${form.enum.map(shown).join(', ')}`;
  switch (form.type) {
    case 'integer':
      return range('an integer', 'a positive integer', form);
    case 'number':
      return range('a number', 'a positive number', form);
    case 'boolean':
      return 'true or false';
    case 'array': {
      const each = typeof form.items === 'object' ? formWords(form.items) : undefined;
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

function range(noun: string, positive: string, form: Form): string {
  // Bounds at the edge of exact integers are zod's own and say nothing to a reader.
  const telling = (bound: number | undefined) =>
    Math.abs(bound ?? Infinity) < Number.MAX_SAFE_INTEGER ? bound : undefined;
  const { exclusiveMinimum: above, exclusiveMaximum: below } = form;
  const least = telling(form.minimum);
  const most = telling(form.maximum);
  const onlyPositive = above === 0 || (least === 1 && form.type === 'integer');
  const limits = [
    onlyPositive || above === undefined ? undefined : `above ${above}`,
    onlyPositive || least === undefined ? undefined : `at least ${least}`,
    below === undefined ? undefined : `below ${below}`,
    most === undefined ? undefined : `at most ${most}`,
  ].filter((limit) => limit !== undefined);
  return [onlyPositive ? positive : noun, limits.join(' and ')].filter((part) => part !== '').join(' ');
}
