// What a parameter's text stands for, where a dialect writes values without their types: the schema tells.

import { jsonOf } from './python-call.js';

/** Types that a value may have, by JSON Schema's names; all of them where the schema does not say. */
export type ValueTypes = ReadonlySet<string>;

const all: ValueTypes = new Set(['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']);
const deepest = 8;

/** The types of parameter `key` of a function with these parameters. */
export function typesOfParameter(parameters: unknown, key: string): ValueTypes {
  const properties = objectAt(parameters, 'properties');
  return properties && Object.hasOwn(properties, key) ? typesOf(properties[key], parameters) : all;
}

/** The types of a schema whose references are those of `root`. */
export function typesOf(schema: unknown, root: unknown, depth = 0): ValueTypes {
  if (typeof schema !== 'object' || schema === null || depth > deepest) return all;
  const { type, anyOf, oneOf, allOf, $ref } = schema as Record<string, unknown>;
  if ('const' in schema) return new Set([typeOf((schema as { const: unknown }).const)]);
  if ('enum' in schema && Array.isArray(schema.enum)) return new Set(schema.enum.map(typeOf));
  if (typeof type === 'string') return new Set([type]);
  if (Array.isArray(type)) return new Set(type.filter((one) => typeof one === 'string'));
  const several = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : undefined;
  if (several) return new Set(several.flatMap((one) => [...typesOf(one, root, depth + 1)]));
  if (Array.isArray(allOf) && allOf.length > 0) return typesOf(allOf[0], root, depth + 1);
  if (typeof $ref === 'string') return typesOf(referred($ref, root), root, depth + 1);
  if ('properties' in schema) return new Set(['object']);
  return all;
}

/** The value that a text stands for, as JSON: of its type where one fits, else a string. */
export function valueFrom(text: string, types: ValueTypes): string {
  if (isText(types)) return JSON.stringify(text);
  // Some templates write values as Python does, so models do as well.
  const written = isJson(text) ? text.trim() : jsonOf(text);
  if (written === undefined) return JSON.stringify(text);
  const type = typeOf(JSON.parse(written));
  if (type !== 'string' && (types.has(type) || (type === 'integer' && types.has('number')))) return written;
  return types.has('string') ? JSON.stringify(text) : written;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether a text is the value itself, whatever it looks like. */
export const isText = (types: ValueTypes): boolean => types.size === 1 && types.has('string');

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/** Where a reference within the document leads. */
function referred(reference: string, root: unknown): unknown {
  if (!reference.startsWith('#/')) return undefined;
  return reference
    .slice(2)
    .split('/')
    .reduce<unknown>((at, key) => objectOf(at)?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], root);
}

const objectOf = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;

const objectAt = (value: unknown, key: string): Record<string, unknown> | undefined => objectOf(objectOf(value)?.[key]);
