// Jinja's filters on lists, dictionaries and what else has entries.
import { item, operate } from './operators.js';
import { testOf } from './tests.js';
import {
  Arguments,
  compare,
  equals,
  items,
  iterate,
  keyOf,
  Lazy,
  lengthOf,
  numeric,
  Tuple,
  truth,
  typeName,
  type Value,
} from './values.js';
import { str } from './write.js';

type Filter = (value: Value, args: Arguments) => Value;
type Getter = (entry: Value) => Value;

/** What "a.b.0" leads to; the entry itself without a path. */
function getter(path: Value, otherwise?: Value): Getter {
  if (path === undefined || path === null) return (entry) => entry;
  const parts =
    typeof path === 'number'
      ? [path]
      : str(path)
          .split('.')
          .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  return (entry) => {
    const found = parts.reduce<Value>((value, part) => item(value, part), entry);
    return found === undefined ? otherwise : found;
  };
}

/** One getter for each of "a,b". */
function getters(path: Value): Getter[] {
  return typeof path === 'string' ? path.split(',').map((part) => getter(part)) : [getter(path)];
}

const folded = (value: Value, caseSensitive: Value): Value =>
  typeof value === 'string' && !truth(caseSensitive) ? value.toLowerCase() : value;

function sort(value: Value, args: Arguments): Value {
  const [reverse, caseSensitive, path] = args.as('sort', 'reverse', 'case_sensitive', 'attribute');
  const keys = getters(path);
  const sorted = iterate(value).map((entry) => ({ entry, key: keys.map((key) => folded(key(entry), caseSensitive)) }));
  sorted.sort((a, b) => (truth(reverse) ? compare(b.key, a.key) : compare(a.key, b.key)));
  return sorted.map(({ entry }) => entry);
}

function dictSort(value: Value, args: Arguments): Value {
  const [caseSensitive, by = 'key', reverse] = args.as('dictsort', 'case_sensitive', 'by', 'reverse');
  if (!(value instanceof Map)) throw new Error(`dictsort takes a dict, not ${typeName(value)}`);
  if (by !== 'key' && by !== 'value') throw new Error('You can only sort by either "key" or "value"');
  const at = by === 'key' ? 0 : 1;
  const key = (pair: Tuple): Value => folded(pair.items[at], caseSensitive);
  return items(value).sort((a, b) => (truth(reverse) ? compare(key(b), key(a)) : compare(key(a), key(b))));
}

function unique(value: Value, args: Arguments): Value {
  const [caseSensitive, path] = args.as('unique', 'case_sensitive', 'attribute');
  const key = getter(path);
  const seen = new Set<Value>();
  return new Lazy(
    iterate(value).filter((entry) => {
      const found = keyOf(folded(key(entry), caseSensitive));
      const known = seen.has(found);
      seen.add(found);
      return !known;
    }),
  );
}

function extreme(name: string, sign: number): Filter {
  return (value, args) => {
    const [caseSensitive, path] = args.as(name, 'case_sensitive', 'attribute');
    const key = getter(path);
    const order = (a: Value, b: Value): number =>
      sign * compare(folded(key(a), caseSensitive), folded(key(b), caseSensitive));
    const all = iterate(value);
    return all.length === 0 ? undefined : all.reduce((best, entry) => (order(entry, best) < 0 ? entry : best));
  };
}

function groupBy(value: Value, args: Arguments): Value {
  const [path, otherwise, caseSensitive] = args.as('groupby', 'attribute', 'default', 'case_sensitive');
  const key = getter(path, otherwise);
  const all = iterate(value).map((entry) => ({ entry, key: folded(key(entry), caseSensitive) }));
  all.sort((a, b) => compare(a.key, b.key));
  const groups: { key: Value; entries: Value[] }[] = [];
  for (const { entry, key: found } of all) {
    const last = groups.at(-1);
    if (last && equals(last.key, found)) last.entries.push(entry);
    else groups.push({ key: found, entries: [entry] });
  }
  return groups.map(({ entries }) => new Tuple([key(entries[0]), entries], ['grouper', 'list']));
}

function reverse(value: Value): Value {
  if (typeof value === 'string') return Array.from(value).reverse().join('');
  if (value instanceof Lazy) throw new Error('argument must be iterable');
  return new Lazy([...iterate(value)].reverse());
}

function last(value: Value): Value {
  if (value instanceof Lazy) throw new Error("'generator' object is not reversible");
  return iterate(value).at(-1);
}

function join(value: Value, args: Arguments): string {
  const [between = '', path] = args.as('join', 'd', 'attribute');
  return iterate(value).map(getter(path)).map(str).join(str(between));
}

function sum(value: Value, args: Arguments): Value {
  const [path, start = 0] = args.as('sum', 'attribute', 'start');
  return iterate(value)
    .map(getter(path))
    .reduce((total, entry) => operate('+', total, entry), start);
}

function batch(value: Value, args: Arguments): Value {
  const [count, fill] = args.as('batch', 'linecount', 'fill_with');
  const size = Math.max(1, numeric(count) ?? 1);
  const all = iterate(value);
  const rows = Array.from({ length: Math.ceil(all.length / size) }, (_, row) =>
    all.slice(row * size, (row + 1) * size),
  );
  return new Lazy(rows.map((row) => padded(row, size, fill)));
}

function padded(row: readonly Value[], size: number, fill: Value): Value[] {
  const missing = fill === undefined || fill === null ? 0 : size - row.length;
  return [...row, ...Array.from({ length: missing }, () => fill)];
}

/** Columns: the first ones have one more where it does not come out even. */
function slices(value: Value, args: Arguments): Value {
  const [count, fill] = args.as('slice', 'slices', 'fill_with');
  const all = iterate(value);
  const columns = Math.max(1, numeric(count) ?? 1);
  const size = Math.floor(all.length / columns);
  const longer = all.length % columns;
  return new Lazy(
    Array.from({ length: columns }, (_, column) => {
      const start = column * size + Math.min(column, longer);
      const entries = all.slice(start, start + size + (column < longer ? 1 : 0));
      return column < longer || longer === 0 ? [...entries] : padded(entries, size + 1, fill);
    }),
  );
}

/** select, reject and their likes on an attribute. */
function chosen(name: string, wanted: boolean, byAttribute: boolean): Filter {
  return (value, { positional, named }) => {
    const given = byAttribute ? positional.slice(1) : positional;
    if (byAttribute && positional.length === 0) throw new Error(`missing parameter for attribute name of ${name}`);
    if (named.size > 0) throw new Error(`${name} takes no named arguments`);
    if (!truth(value)) return new Lazy([]); // None too
    const key = getter(byAttribute ? positional[0] : undefined);
    const [test, ...args] = given;
    const holds = test === undefined ? truth : testOf(str(test));
    return new Lazy(iterate(value).filter((entry) => holds(key(entry), ...args) === wanted));
  };
}

const lengthFilter: Filter = (value) => lengthOf(value);

export const sequenceFilters: readonly (readonly [string, Filter])[] = [
  ['length', lengthFilter],
  ['count', lengthFilter],
  ['list', (value) => [...iterate(value)]],
  ['first', (value) => (value instanceof Lazy ? value.next() : iterate(value)[0])],
  ['last', last],
  ['reverse', reverse],
  ['sort', sort],
  ['dictsort', dictSort],
  ['unique', unique],
  ['min', extreme('min', 1)],
  ['max', extreme('max', -1)],
  ['groupby', groupBy],
  ['join', join],
  ['sum', sum],
  ['batch', batch],
  ['slice', slices],
  [
    'items',
    (value) => {
      if (value === undefined) return new Lazy([]);
      if (value instanceof Map) return new Lazy(items(value));
      throw new Error('Can only get item pairs from a mapping.');
    },
  ],
  ['select', chosen('select', true, false)],
  ['reject', chosen('reject', false, false)],
  ['selectattr', chosen('selectattr', true, true)],
  ['rejectattr', chosen('rejectattr', false, true)],
];

/** `map(attribute=…)`, or by one of `filters`. */
export function map(value: Value, { positional, named }: Arguments, filterOf: (name: string) => Filter): Value {
  if (!truth(value)) return new Lazy([]); // None too
  if (positional.length === 0) {
    const [path, otherwise] = new Arguments([], named).as('map', 'attribute', 'default');
    if (path === undefined) throw new Error('map requires a filter argument');
    return new Lazy(iterate(value).map(getter(path, otherwise)));
  }
  const filter = filterOf(str(positional[0]));
  const args = new Arguments(positional.slice(1), named);
  return new Lazy(iterate(value).map((entry) => filter(entry, args)));
}
