// A schema as alternatives that hold no $ref, allOf, anyOf or oneOf: what those say is merged into each.
//
// Only one level is opened up; the schemas of properties and items stay as they are. Reading costs are bounded: a chain
// of references that comes back to itself adds nothing, and there is a limit on alternatives.

export type Schema = Readonly<Record<string, unknown>>;

const mostAlternatives = 256;
const mostMerges = 20_000;
const mostVisits = 20_000;

export function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class SchemaReader {
  private merges = 0;
  private visits = 0;

  constructor(
    private readonly root: unknown,
    private readonly warn: (warning: string) => void,
  ) {}

  /** Nothing fits a schema without alternatives. */
  alternatives(schema: unknown, open: readonly unknown[] = []): Schema[] {
    if (schema === false || open.includes(schema) || open.length > 32) return [];
    this.visits += 1;
    if (this.visits > mostVisits) {
      this.warn('the schema has too many parts: some are ignored');
      return [{}];
    }
    if (!isObject(schema)) {
      if (schema !== true) this.warn('a schema that is neither an object nor a boolean is ignored');
      return [{}];
    }
    const { $ref, allOf, anyOf, oneOf, ...own } = schema;
    const inside = [...open, schema];
    if ($ref === undefined && allOf === undefined && anyOf === undefined && oneOf === undefined) return [schema];
    let found: Schema[] = [own];
    if ($ref !== undefined) found = this.both(found, this.alternatives(this.target($ref), inside));
    for (const member of list(allOf)) found = this.both(found, this.alternatives(member, inside));
    for (const [name, members] of [
      ['anyOf', list(anyOf)],
      ['oneOf', list(oneOf)],
    ] as const) {
      if (schema[name] === undefined) continue;
      const choices = members.flatMap((member) => this.alternatives(member, inside));
      if (name === 'oneOf' && !areApart(choices)) this.warn('"oneOf" is taken as "anyOf"');
      found = this.both(found, choices);
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
    this.merges += left.length * right.length;
    if (left.length * right.length > mostAlternatives || this.merges > mostMerges) {
      this.warn(`more than ${mostAlternatives} combined alternatives: some are ignored`);
      return left.length > 1 ? left.slice(0, mostAlternatives) : right.slice(0, mostAlternatives);
    }
    return left.flatMap((a) => right.map((b) => merged(a, b, this.warn)).filter((schema) => schema !== undefined));
  }
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

/** Whether no value can fit two of them: other types, or other constants for a property that all require. */
function areApart(schemas: readonly Schema[]): boolean {
  const kinds = schemas.flatMap((schema) => typesOf(schema).map((type) => (type === 'integer' ? 'number' : type)));
  if (new Set(kinds).size === kinds.length && schemas.every(({ type }) => type !== undefined)) return true;
  const [first] = schemas;
  const properties = Object.keys(isObject(first?.properties) ? first.properties : {});
  return properties.some((name) => {
    const values = schemas.map((schema) => {
      const property = isObject(schema.properties) ? schema.properties[name] : undefined;
      if (!isObject(property) || !list(schema.required).includes(name)) return undefined;
      return valuesOf(property)?.map((value) => JSON.stringify(value));
    });
    const all = values.flat();
    return values.every((value) => value !== undefined) && new Set(all).size === all.length;
  });
}

const everyType = ['object', 'array', 'string', 'number', 'boolean', 'null'];

export function typesOf({ type }: Schema): readonly string[] {
  const types = typeof type === 'string' ? [type] : Array.isArray(type) ? type.map(String) : everyType;
  return types.includes('number') ? types.filter((name) => name !== 'integer') : types;
}

/** The values of `const` or `enum`. */
export function valuesOf(schema: Schema): readonly unknown[] | undefined {
  if (Object.hasOwn(schema, 'const')) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}

/** What fits both, or undefined where nothing can. */
function merged(a: Schema, b: Schema, warn: (warning: string) => void): Schema | undefined {
  if (Object.keys(a).length === 0) return b;
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
    const texts = new Set(right.map((value) => JSON.stringify(value)));
    delete result.const;
    result.enum = left.filter((value) => texts.has(JSON.stringify(value)));
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
