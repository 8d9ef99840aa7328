// Jinja's filters on one value: text, numbers, JSON.
import { fixed, printf } from './format.js';
import { own } from './operators.js';
import { sequenceFilters } from './sequence-filters.js';
import { capitalize, pad, replace, splitLines, strip } from './text-methods.js';
import {
  type Arguments,
  escapeHtml,
  Float,
  lengthOf,
  Markup,
  numeric,
  Tuple,
  truth,
  typeName,
  type Value,
} from './values.js';
import { json, repr, str } from './write.js';

export type Filter = (value: Value, args: Arguments) => Value;

function int(value: Value, absent: number): number {
  return value === undefined ? absent : (numeric(value) ?? absent);
}

function toJson(value: Value, args: Arguments): string {
  const [ascii, indent, separators, sorted] = args.as('tojson', 'ensure_ascii', 'indent', 'separators', 'sort_keys');
  const step =
    indent === undefined || indent === null
      ? undefined
      : typeof indent === 'string'
        ? indent
        : ' '.repeat(int(indent, 0));
  const given = separators instanceof Tuple ? separators.items : Array.isArray(separators) ? separators : undefined;
  return json(value, {
    ascii: truth(ascii),
    indent: step,
    separators: given ? [str(given[0]), str(given[1])] : [step === undefined ? ', ' : ',', ': '],
    sorted: truth(sorted),
  });
}

function toInt(value: Value, args: Arguments): Value {
  const [otherwise = 0, base = 10] = args.as('int', 'default', 'base');
  if (value === undefined) throw new Error('a value is undefined');
  const number = numeric(value);
  if (number !== undefined) return Number.isFinite(number) ? Math.trunc(number) : otherwise;
  if (typeof value !== 'string') return otherwise;
  const text = strip(value, 'both', null).replace(/(?<=[\da-z])_(?=[\da-z])/gi, '');
  const prefix = { 2: '0b', 8: '0o', 16: '0x' }[int(base, 10)];
  const plain = prefix ? text.replace(new RegExp(`^([-+]?)${prefix}`, 'i'), '$1') : text;
  const radix = int(base, 10);
  const allowed = '0123456789abcdefghijklmnopqrstuvwxyz'.slice(0, radix);
  if (new RegExp(`^[-+]?[${allowed}]+$`, 'i').test(plain)) return Number.parseInt(plain, radix) + 0;
  const read = readFloat(text);
  return read === undefined || !Number.isFinite(read) ? otherwise : Math.trunc(read);
}

function readFloat(text: string): number | undefined {
  if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text)) return Number(text);
  const named = /^([-+]?)(inf|infinity|nan)$/i.exec(text);
  if (!named) return undefined;
  return named[2]!.toLowerCase() === 'nan' ? NaN : named[1] === '-' ? -Infinity : Infinity;
}

function toFloat(value: Value, args: Arguments): Value {
  const [otherwise = new Float(0)] = args.as('float', 'default');
  if (value === undefined) throw new Error('a value is undefined');
  const number =
    numeric(value) ?? (typeof value === 'string' ? readFloat(strip(value, 'both', null).replace(/_/g, '')) : undefined);
  return number === undefined ? otherwise : new Float(number);
}

function round(value: Value, args: Arguments): Value {
  const [precision = 0, method = 'common'] = args.as('round', 'precision', 'method');
  const number = numeric(value);
  if (number === undefined) throw new Error(`type ${typeName(value)} cannot be rounded`);
  const places = int(precision, 0);
  const scale = 10 ** places;
  if (method === 'ceil') return new Float(Math.ceil(number * scale) / scale);
  if (method === 'floor') return new Float(Math.floor(number * scale) / scale);
  if (method !== 'common') throw new Error('the method of round must be common, ceil or floor');
  if (!(value instanceof Float) && places >= 0) return number;
  const size =
    places >= 0 ? Number(fixed(Math.abs(number), places)) : Number(fixed(Math.abs(number) * scale, 0)) / scale;
  const rounded = number < 0 ? -size : size;
  return value instanceof Float ? new Float(rounded) : rounded + 0;
}

function indent(value: Value, args: Arguments): string {
  const [width = 4, first, blank] = args.as('indent', 'width', 'first', 'blank');
  if (typeof value !== 'string') throw new Error(`indent takes text, not ${typeName(value)}`);
  const by = typeof width === 'string' ? width : ' '.repeat(int(width, 4));
  const lines = splitLines(`${value}\n`);
  const written = lines
    .map((line, index) => (index > 0 && (line !== '' || truth(blank)) ? by + line : line))
    .join('\n');
  return truth(first) ? by + written : written;
}

function truncate(value: Value, args: Arguments): string {
  const [length = 255, kill, end = '...', leeway = 5] = args.as('truncate', 'length', 'killwords', 'end', 'leeway');
  const text = str(value);
  const most = int(length, 255);
  if (most < lengthOf(str(end))) throw new Error(`expected length >= ${lengthOf(str(end))}, got ${most}`);
  if (lengthOf(text) <= most + int(leeway, 5)) return text;
  const cut = Array.from(text)
    .slice(0, most - lengthOf(str(end)))
    .join('');
  const last = cut.lastIndexOf(' ');
  return (truth(kill) || last < 0 ? cut : cut.slice(0, last)) + str(end);
}

function title(text: string): string {
  const parts = text.split(/([-\t-\r\x1c-\x20\x85\xa0({[<]+)/);
  return parts.map((part) => part.slice(0, 1).toUpperCase() + part.slice(1).toLowerCase()).join('');
}

function urlEncode(value: Value): string {
  const quote = (text: string, safe: RegExp): string =>
    encodeURIComponent(text)
      .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
      .replace(safe, decodeURIComponent);
  if (typeof value === 'string') return quote(value, /%2F/g);
  const pairs = value instanceof Map ? [...value] : undefined;
  if (!pairs) return quote(str(value), /%2F/g);
  const part = (entry: Value): string => quote(str(entry), /(?!)/g).replace(/%20/g, '+');
  return pairs.map(([key, entry]) => `${part(key)}=${part(entry)}`).join('&');
}

function fileSize(value: Value, args: Arguments): string {
  const base = truth(args.as('filesizeformat', 'binary')[0]) ? 1024 : 1000;
  const bytes = numeric(value) ?? Number(value);
  if (bytes === 1) return '1 Byte';
  if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
  const names =
    base === 1024
      ? ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB']
      : ['kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB'];
  const at = names.findIndex((_, power) => bytes < base ** (power + 2));
  const power = at < 0 ? names.length - 1 : at;
  return `${fixed(bytes / base ** (power + 1), 1)} ${names[power]}`;
}

const plain =
  (filter: (value: Value) => Value, name: string): Filter =>
  (value, args) => {
    args.as(name);
    return filter(value);
  };

const plainFilters: readonly (readonly [string, (value: Value) => Value])[] = [
  ['safe', (value) => new Markup(str(value))],
  ['string', (value) => str(value)],
  ['upper', (value) => str(value).toUpperCase()],
  ['lower', (value) => str(value).toLowerCase()],
  ['capitalize', (value) => capitalize(str(value))],
  ['title', (value) => title(str(value))],
  ['e', (value) => new Markup(escapeHtml(str(value)))],
  ['escape', (value) => new Markup(escapeHtml(str(value)))],
  ['forceescape', (value) => new Markup(escapeHtml(str(value)))],
  ['urlencode', urlEncode],
  ['pprint', repr],
  ['wordcount', (value) => str(value).match(/[\p{L}\p{N}\p{M}_]+/gu)?.length ?? 0],
  [
    'striptags',
    (value) =>
      str(value)
        .replace(/<!--[\s\S]*?-->|<[^>]*>/g, '')
        .split(/\s+/)
        .filter(Boolean)
        .join(' '),
  ],
];

export const filters: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ...plainFilters.map(([name, filter]) => [name, plain(filter, name)] as const),
  ...sequenceFilters,
  ['tojson', toJson],
  ['int', toInt],
  ['float', toFloat],
  ['round', round],
  ['indent', indent],
  ['truncate', truncate],
  ['filesizeformat', fileSize],
  [
    'abs',
    (value) => {
      const number = numeric(value);
      if (number === undefined) throw new Error(`bad operand type for abs(): '${typeName(value)}'`);
      return value instanceof Float ? new Float(Math.abs(number)) : Math.abs(number);
    },
  ],
  ...['default', 'd'].map((name): [string, Filter] => [
    name,
    (value, args) => {
      const [otherwise = '', boolean] = args.as(name, 'default_value', 'boolean');
      return value === undefined || (truth(boolean) && !truth(value)) ? otherwise : value;
    },
  ]),
  ['trim', (value, args) => strip(str(value), 'both', args.as('trim', 'chars')[0])],
  ['center', (value, args) => pad(str(value), int(args.as('center', 'width')[0], 80), ' ', 'both')],
  [
    'replace',
    (value, args) => {
      const [old, by, count] = args.as('replace', 'old', 'new', 'count');
      return replace(str(value), str(old), str(by), int(count, -1));
    },
  ],
  [
    'format',
    (value, { positional, named }) => printf(str(value), named.size > 0 ? new Map(named) : new Tuple(positional)),
  ],
  ['attr', (value, args) => own(value, str(args.as('attr', 'name')[0]))],
]);

/** On marked text, these give marked text. */
const keepMarks = new Set([
  'string',
  'upper',
  'lower',
  'capitalize',
  'trim',
  'center',
  'indent',
  'truncate',
  'replace',
]);
const takeMarks = new Set(['e', 'escape', 'default', 'd']);

/** @throws Error where Jinja has no filter of that name */
export function filterOf(name: string): Filter {
  const filter = filters.get(name);
  if (!filter) throw new Error(`no filter named '${name}'`);
  return (value, args) => {
    if (!(value instanceof Markup)) return filter(value, args);
    if (takeMarks.has(name)) return name.startsWith('d') ? filter(value, args) : value;
    const made = filter(value.text, args);
    return typeof made === 'string' && keepMarks.has(name) ? new Markup(made) : made;
  };
}
