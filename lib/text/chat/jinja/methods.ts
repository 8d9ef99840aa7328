// The methods of dictionaries, lists and tuples. Those that change them are refused, as in transformers' sandbox.
import { type Arguments, type Dict, equals, items, keyOf, Tuple, type Value, View, valueOfKey } from './values.js';
import { repr } from './write.js';

type Method<Self> = (self: Self, args: Arguments) => Value;

function refused(type: string, name: string): Method<unknown> {
  return () => {
    throw new Error(`access to attribute '${name}' of '${type}' object is unsafe`);
  };
}

export const dictMethods: ReadonlyMap<string, Method<Dict>> = new Map<string, Method<Dict>>([
  [
    'get',
    (dict, args) => {
      const [key, otherwise = null] = args.as('get()', 'key', 'default');
      const found = dict.get(keyOf(key));
      return found === undefined && !dict.has(keyOf(key)) ? otherwise : found;
    },
  ],
  ['items', (dict) => new View('dict_items', items(dict))],
  ['keys', (dict) => new View('dict_keys', [...dict.keys()].map(valueOfKey))],
  ['values', (dict) => new View('dict_values', [...dict.values()])],
  ['copy', (dict) => new Map(dict)],
  ...['clear', 'pop', 'popitem', 'setdefault', 'update'].map((name) => [name, refused('dict', name)] as const),
]);

type List = Value[] | Tuple;

const entriesOf = (list: List): readonly Value[] => (list instanceof Tuple ? list.items : list);

export const listMethods: ReadonlyMap<string, Method<List>> = new Map<string, Method<List>>([
  [
    'count',
    (list, args) => {
      const [wanted] = args.as('count()', 'value');
      return entriesOf(list).filter((entry) => equals(entry, wanted)).length;
    },
  ],
  [
    'index',
    (list, args) => {
      const [wanted, start] = args.as('index()', 'value', 'start');
      const at = entriesOf(list).findIndex((entry, index) => index >= Number(start ?? 0) && equals(entry, wanted));
      if (at < 0) throw new Error(`${repr(wanted)} is not in list`);
      return at;
    },
  ],
  ['copy', (list) => (list instanceof Tuple ? list : [...list])],
  ...['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'].map(
    (name) => [name, refused('list', name)] as const,
  ),
]);
