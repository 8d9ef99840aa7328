// A schema as a list of alternatives without $ref, allOf, anyOf and oneOf, which are merged into each alternative.
//
// Only one level is expanded; the schemas of properties and items stay as they are. A schema's alternatives are found
// once, and the same object stands for the same alternative wherever it is met, so that its grammar is built once.
// Reading costs are bounded: a chain of references that comes back to itself adds nothing, and what is beyond the
// limits is not enforced.

import { Unfit } from './automaton.js';

export type Schema = Readonly<Record<string, unknown>>;

const mostAlternatives = 2000;
/** Limits: keywords and properties compared in merging, and schemas expanded. */
const mostMerges = 10_000;
const mostVisits = 10_000;
const mostOpen = 32;

/** Keywords that say nothing of what fits. */
export const annotations: ReadonlySet<string> = new Set(
  (
    'title description default examples example $schema $id $comment $anchor $defs definitions deprecated readOnly ' +
    'writeOnly contentMediaType contentEncoding strict discriminator'
  ).split(' '),
);
const opened = new Set('$ref allOf anyOf oneOf nullable patternProperties'.split(' '));

export function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class SchemaReader {
  private readonly known = new Map<object, Schema[]>();
  private merges = 0;
  private visits = 0;
  /** How often a schema was expanded inside itself. */
  private circles = 0;

  constructor(
    private readonly root: unknown,
    private readonly warn: (warning: string) => void,
  ) {}

  /** Nothing fits a schema without alternatives. */
  alternatives(schema: unknown, open: readonly unknown[] = []): Schema[] {
    if (schema === false) return [];
    if (!isObject(schema)) {
      if (schema !== true) this.warn('a schema that is neither an object nor a boolean is ignored');
      return [anything];
    }
    const known = this.known.get(schema);
    if (known) return known;
    this.visits += 1;
    if (open.includes(schema)) {
      this.circles += 1;
      return [];
    }
    if (this.visits > mostVisits || open.length > mostOpen) {
      this.warn('the schema has too many references and combinations: some are not enforced');
      return [anything];
    }
    const before = this.circles;
    const found = this.find(schema, [...open, schema]);
    // A schema expanded inside itself has fewer alternatives than on its own, so these are not kept.
    if (open.length === 0 || this.circles === before) this.known.set(schema, found);
    return found;
  }

  private find(schema: Schema, inside: readonly unknown[]): Schema[] {
    const { $ref, allOf, nullable, patternProperties } = schema;
    const names = Object.keys(schema);
    if (!names.some((name) => opened.has(name))) return [schema];
    const said = names.filter((name) => !opened.has(name) && !annotations.has(name));
    const own: Record<string, unknown> = Object.fromEntries(said.map((name) => [name, schema[name]]));
    if (patternProperties !== undefined) {
      // Properties of any name may then be there, with values that only the patterns describe.
      this.warn('"patternProperties" is not enforced');
      own.additionalProperties = true;
    }
    let found: Schema[] = [Object.keys(own).length > 0 ? own : anything];
    if ($ref !== undefined) found = this.both(found, this.alternatives(this.target($ref), inside));
    for (const member of list(allOf)) found = this.both(found, this.alternatives(member, inside));
    for (const name of ['anyOf', 'oneOf']) {
      if (!Array.isArray(schema[name])) continue;
      const choices = [...new Set(list(schema[name]).flatMap((member) => this.alternatives(member, inside)))];
      if (name === 'oneOf' && !areApart(choices)) this.warn('"oneOf" is taken as "anyOf"');
      found = this.both(found, choices);
    }
    if (nullable === true) {
      this.warn('"nullable" is taken as "or null"');
      found = [...found, nil];
    }
    return found;
  }

  /** What a reference within the document names; anything at all for others. */
  target(reference: unknown): unknown {
    const pointer = typeof reference === 'string' && /^#(\/.*)?$/s.exec(reference);
    let found: unknown = pointer ? this.root : undefined;
    if (pointer) {
      for (const part of (pointer[1] ?? '').split('/').slice(1)) {
        const name = decoded(part).replaceAll('~1', '/').replaceAll('~0', '~');
        const inside = isObject(found) || Array.isArray(found);
        found = inside && Object.hasOwn(found as object, name) ? (found as Record<string, unknown>)[name] : undefined;
      }
    }
    if (found !== undefined) return found;
    this.warn('a "$ref" that names nothing within the schema is ignored');
    return true;
  }

  private both(left: readonly Schema[], right: readonly Schema[]): Schema[] {
    if (left.length === 1 && left[0] === anything) return right.slice();
    const isMany = left.length * right.length > mostAlternatives;
    const cost = isMany ? mostMerges : left.length * weight(right) + right.length * weight(left);
    if (isMany || this.merges + cost > mostMerges) {
      this.warn('the schema has too many combined alternatives: some are not enforced');
      return left.slice();
    }
    this.merges += cost;
    const both = left.flatMap((a) => right.map((b) => merged(a, b, this.warn)));
    return [...new Set(both.filter((schema) => schema !== undefined))];
  }
}

const anything: Schema = {};
const nil: Schema = { type: 'null' };

/** What merging each of them costs. */
function weight(schemas: readonly Schema[]): number {
  let sum = schemas.length;
  for (const schema of schemas) {
    for (const part of [schema, schema.properties, schema.required, schema.enum, schema.prefixItems]) {
      if (typeof part === 'object' && part !== null) sum += Object.keys(part).length;
    }
  }
  return sum;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Whether no value can fit two of them: other constants, other types, or other constants of a required property. */
function areApart(schemas: readonly Schema[]): boolean {
  if (differ(schemas.map(valuesOf))) return true;
  const kinds = schemas.flatMap((schema) => typesOf(schema).map((type) => (type === 'integer' ? 'number' : type)));
  if (new Set(kinds).size === kinds.length && schemas.every(({ type }) => type !== undefined)) return true;
  const [first] = schemas;
  const properties = Object.entries(isObject(first?.properties) ? first.properties : {});
  const constants = properties.filter(([, property]) => isObject(property) && valuesOf(property) !== undefined);
  return constants.slice(0, 8).some(([name]) =>
    differ(
      schemas.map((schema) => {
        const property = isObject(schema.properties) ? schema.properties[name] : undefined;
        return isObject(property) && list(schema.required).includes(name) ? valuesOf(property) : undefined;
      }),
    ),
  );
}

function differ(values: readonly (readonly unknown[] | undefined)[]): boolean {
  if (values.includes(undefined)) return false;
  const texts = values.flatMap((some) => some!.map((value) => written(value)));
  return new Set(texts).size === texts.length;
}

const everyType = ['object', 'array', 'string', 'number', 'boolean', 'null'];

export function typesOf({ type }: Schema): readonly string[] {
  const types = typeof type === 'string' ? [type] : Array.isArray(type) ? type.map(String) : everyType;
  return types.includes('number') ? types.filter((name) => name !== 'integer') : types;
}

/** @throws Unfit for a value nested deeper than JSON.stringify goes. */
export function written(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) throw new Unfit('a constant is nested too deep');
    throw error;
  }
}

/** The values of `const` or `enum`. */
export function valuesOf(schema: Schema): readonly unknown[] | undefined {
  if (Object.hasOwn(schema, 'const')) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}

/** What fits both, or undefined where nothing can. */
function merged(a: Schema, b: Schema, warn: (warning: string) => void): Schema | undefined {
  if (Object.keys(a).length === 0 || a === b) return b;
  if (Object.keys(b).length === 0) return a;
  const result: Record<string, unknown> = { ...a };
  for (const [name, right] of Object.entries(b)) {
    const left = a[name];
    if (left === undefined || left === right) result[name] = right;
    else if (name === 'required') result[name] = [...new Set([...list(left), ...list(right)])];
    else if (name.startsWith('min') || name === 'exclusiveMinimum') result[name] = extreme(Math.max, left, right);
    else if (name.startsWith('max') || name === 'exclusiveMaximum') result[name] = extreme(Math.min, left, right);
    else if (name === 'additionalProperties' || name === 'items') result[name] = { allOf: [left, right] };
    else if (name === 'pattern' || name === 'format') warn(`a second "${name}" is not enforced`);
  }
  if (a.type !== undefined && b.type !== undefined) {
    const [left, right] = [typesOf(a), typesOf(b)];
    const types = left.filter((type) => right.includes(type) || (type === 'integer' && right.includes('number')));
    if (right.includes('integer') && left.includes('number')) types.push('integer');
    if (types.length === 0) return undefined;
    result.type = types;
  }
  const [left, right] = [valuesOf(a), valuesOf(b)];
  if (left && right) {
    const texts = new Set(right.map((value) => written(value)));
    delete result.const;
    result.enum = left.filter((value) => texts.has(written(value)));
  }
  if (isObject(a.properties) || isObject(b.properties)) result.properties = mergedProperties(a, b);
  if (Array.isArray(a.prefixItems) || Array.isArray(b.prefixItems)) result.prefixItems = mergedItems(a, b);
  return result;
}

function extreme(pick: (a: number, b: number) => number, left: unknown, right: unknown): unknown {
  return typeof left === 'number' && typeof right === 'number' ? pick(left, right) : right;
}

/** A property that only one side names must still fit what the other says of additional ones. */
function mergedProperties(a: Schema, b: Schema): Record<string, unknown> {
  const names = [a, b].flatMap(({ properties }) => Object.keys(isObject(properties) ? properties : {}));
  const sideOf = (schema: Schema, name: string): unknown => {
    const { properties, additionalProperties } = schema;
    return isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
  };
  return Object.fromEntries(
    [...new Set(names)].map((name) => {
      const sides = [sideOf(a, name), sideOf(b, name)].filter((side) => side !== undefined);
      return [name, sides.length === 2 ? { allOf: sides } : sides[0]];
    }),
  );
}

function mergedItems(a: Schema, b: Schema): unknown[] {
  const [left, right] = [list(a.prefixItems), list(b.prefixItems)];
  const at = (items: readonly unknown[], schema: Schema, index: number): unknown =>
    index < items.length ? items[index] : (schema.items ?? true);
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => ({
    allOf: [at(left, a, index), at(right, b, index)],
  }));
}
