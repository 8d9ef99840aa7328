// Python's values as templates see them: text, numbers, lists and dictionaries are JavaScript's own, the rest is here.
//
// `undefined` is Jinja's Undefined, `null` is None, a `number` is an int. Text is indexed by code point.

export type Value =
  | string
  | number
  | boolean
  | null
  | undefined
  | Float
  | Value[]
  | Tuple
  | Markup
  | Dict
  | Lazy
  | View
  | Instance
  | Callable;

export type Dict = Map<Value, Value>;

/** Python's float: `1.0` and `1` are written differently. */
export class Float {
  constructor(readonly value: number) {}
}

/** Text that `safe` marks: what `+`, `*` and `%` then put beside it is written with HTML's escapes. */
export class Markup {
  constructor(readonly text: string) {}
}

export function unmarked(value: Value): Exclude<Value, Markup> {
  return value instanceof Markup ? value.text : value;
}

export function escapeHtml(text: string): string {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' };
  return text.replace(/[&<>'"]/g, (character) => named[character]!);
}

export class Tuple {
  /** @param names of the items that are attributes too */
  constructor(
    readonly items: readonly Value[],
    readonly names: readonly string[] = [],
  ) {}
}

/** A generator: it is true whatever it holds, has no length, and can be read once. */
export class Lazy {
  constructor(private items: Value[]) {}

  take(): Value[] {
    const { items } = this;
    this.items = [];
    return items;
  }

  next(): Value {
    return this.items.shift();
  }
}

/** What a dictionary's `keys()`, `values()` and `items()` return. */
export class View {
  constructor(
    readonly kind: 'dict_keys' | 'dict_values' | 'dict_items',
    readonly items: readonly Value[],
  ) {}
}

/** An object with attributes: a namespace, a loop, a joiner. */
export abstract class Instance {
  abstract attribute(name: string): Value;
  /** @throws Error where the object cannot be called */
  call(_args: Arguments): Value {
    throw new Error(`${this.text()} is not callable`);
  }
  abstract text(): string;
}

export class Namespace extends Instance {
  constructor(readonly fields: Map<string, Value>) {
    super();
  }

  attribute(name: string): Value {
    return this.fields.get(name);
  }

  text(): string {
    return '<Namespace>';
  }
}

export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: Arguments) => Value,
  ) {}
}

export class Arguments {
  constructor(
    readonly positional: readonly Value[] = [],
    readonly named: ReadonlyMap<string, Value> = new Map(),
  ) {}

  /**
   * The values in the order of `parameters`, `undefined` where one is absent.
   *
   * @throws Error where there are too many, or one has an unknown name
   */
  as(callee: string, ...parameters: string[]): Value[] {
    if (this.positional.length > parameters.length) {
      throw new Error(`${callee} takes at most ${parameters.length} arguments`);
    }
    const values = parameters.map((name, index) =>
      index < this.positional.length ? this.positional[index] : this.named.get(name),
    );
    for (const name of this.named.keys()) {
      if (parameters.indexOf(name) < this.positional.length) {
        throw new Error(`${callee} got an unexpected argument "${name}"`);
      }
    }
    return values;
  }
}

export function typeName(value: Value): string {
  if (value instanceof Markup) return 'Markup';
  if (value === undefined) return 'Undefined';
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (value instanceof Float) return 'float';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Map) return 'dict';
  if (value instanceof Lazy) return 'generator';
  if (value instanceof View) return value.kind;
  return value instanceof Callable ? 'function' : 'object';
}

export function truth(value: Value): boolean {
  if (value instanceof Markup) return value.text !== '';
  if (value instanceof Float) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  if (value instanceof Map) return value.size > 0;
  return typeof value === 'object' ? value !== null : Boolean(value);
}

const surrogates = /[\ud800-\udfff]/;

/** The text's code points. */
export function characters(text: string): string[] {
  return surrogates.test(text) ? Array.from(text) : text.split('');
}

/** @throws Error where the value has no length */
export function lengthOf(value: Value): number {
  if (value instanceof Markup) return lengthOf(value.text);
  if (value === undefined) return 0;
  if (typeof value === 'string') return surrogates.test(value) ? characters(value).length : value.length;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple || value instanceof View) return value.items.length;
  if (value instanceof Map) return value.size;
  throw new Error(`object of type '${typeName(value)}' has no len()`);
}

export function isIterable(value: Value): boolean {
  if (value instanceof Markup) return true;
  if (value === undefined || typeof value === 'string' || Array.isArray(value)) return true;
  return value instanceof Tuple || value instanceof View || value instanceof Map || value instanceof Lazy;
}

/** @throws Error where the value is not iterable */
export function iterate(value: Value): readonly Value[] {
  if (value instanceof Markup) return characters(value.text);
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return characters(value);
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (value instanceof Map) return [...value.keys()].map(valueOfKey);
  if (value instanceof Lazy) return value.take();
  throw new Error(`'${typeName(value)}' object is not iterable`);
}

/** The number behind an int, a float or a bool, as Python counts with them. */
export function numeric(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (value instanceof Float) return value.value;
  return typeof value === 'boolean' ? Number(value) : undefined;
}

/**
 * What stands for a dictionary's key in its Map: floats are plain numbers there.
 *
 * @throws Error where Python cannot hash the value
 */
export function keyOf(value: Value): Value {
  if (value instanceof Markup) return value.text;
  if (value instanceof Float) return value.value;
  if (Array.isArray(value) || value instanceof Map) throw new Error(`unhashable type: '${typeName(value)}'`);
  return value;
}

export function valueOfKey(key: Value): Value {
  return typeof key === 'number' && !Number.isInteger(key) ? new Float(key) : key;
}

export function items(dict: Dict): Tuple[] {
  return [...dict].map(([key, value]) => new Tuple([valueOfKey(key), value]));
}

export function equals(a: Value, b: Value): boolean {
  if (a instanceof Markup || b instanceof Markup) return unmarked(a) === unmarked(b);
  if (a === b) return true;
  const left = numeric(a);
  if (left !== undefined) return left === numeric(b);
  if (Array.isArray(a) && Array.isArray(b)) return sameItems(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return sameItems(a.items, b.items);
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size && [...a].every(([key, value]) => b.has(key) && equals(value, b.get(key)));
  }
  return false;
}

function sameItems(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, index) => equals(item, b[index]));
}

/** Below, at or above zero, as `a` is before, like or behind `b`. @throws Error where Python has no order for the two */
export function compare(a: Value, b: Value): number {
  if (a instanceof Markup || b instanceof Markup) return compare(unmarked(a), unmarked(b));
  const left = numeric(a);
  const right = numeric(b);
  if (left !== undefined && right !== undefined) return left < right ? -1 : left > right ? 1 : left === right ? 0 : NaN;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  const lists = Array.isArray(a) && Array.isArray(b) ? ([a, b] as const) : undefined;
  const pair = a instanceof Tuple && b instanceof Tuple ? ([a.items, b.items] as const) : lists;
  if (pair) {
    const [first, second] = pair;
    const index = first.findIndex((item, at) => at >= second.length || !equals(item, second[at]));
    if (index < 0 || index >= second.length) return first.length - second.length;
    return compare(first[index], second[index]);
  }
  throw new Error(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** By code point: UTF-16 units put what is outside the first plane too early. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  if (!surrogates.test(a) && !surrogates.test(b)) return a < b ? -1 : 1;
  const first = characters(a);
  const second = characters(b);
  const index = first.findIndex((character, at) => character !== second[at]);
  if (index < 0 || index >= second.length) return first.length - second.length;
  return first[index]!.codePointAt(0)! - second[index]!.codePointAt(0)!;
}

/** @throws Error where the container holds nothing */
export function contains(container: Value, item: Value): boolean {
  if (container instanceof Markup || item instanceof Markup) return contains(unmarked(container), unmarked(item));
  if (typeof container === 'string') {
    if (typeof item === 'string') return container.includes(item);
    throw new Error(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Map) {
    const number = numeric(item);
    return container.has(keyOf(item)) || (typeof item === 'boolean' && container.has(number));
  }
  return iterate(container).some((entry) => equals(entry, item));
}
