// The methods of Python's str.
import { formatted } from './format.js';
import { type Arguments, characters, iterate, lengthOf, Tuple, typeName, type Value } from './values.js';

type Method = (text: string, args: Arguments) => Value;

const whitespace = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const word = new RegExp(`[^${whitespace}]+`, 'g');
const isWhitespace = new RegExp(`^[${whitespace}]$`);

function text(value: Value, method: string): string {
  if (typeof value === 'string') return value;
  throw new Error(`${method}() takes text, not ${typeName(value)}`);
}

function int(value: Value, absent: number): number {
  if (value === undefined || value === null) return absent;
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  throw new Error(`'${typeName(value)}' object cannot be interpreted as an integer`);
}

/** str.strip, or one side of it. */
export function strip(value: string, side: 'both' | 'left' | 'right', given: Value): string {
  const all = characters(value);
  const wanted = given === undefined || given === null ? undefined : new Set(characters(text(given, 'strip')));
  const goes = (character: string): boolean => (wanted ? wanted.has(character) : isWhitespace.test(character));
  let start = 0;
  let end = all.length;
  while (side !== 'right' && start < end && goes(all[start]!)) start += 1;
  while (side !== 'left' && end > start && goes(all[end - 1]!)) end -= 1;
  return all.slice(start, end).join('');
}

export function splitLines(value: string, keepEnds = false): string[] {
  const lines =
    value.match(/[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])|[\s\S]+$/g) ?? [];
  return keepEnds ? lines : lines.map((line) => line.replace(/(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])$/, ''));
}

function split(value: string, args: Arguments, fromRight: boolean): Value {
  const name = fromRight ? 'rsplit' : 'split';
  const [separator, limit] = args.as(`${name}()`, 'sep', 'maxsplit');
  const most = int(limit, -1) < 0 ? Number.POSITIVE_INFINITY : int(limit, -1);
  if (separator === undefined || separator === null) return splitWords(value, most, fromRight);
  const between = text(separator, name);
  if (between === '') throw new Error('empty separator');
  const parts = value.split(between);
  if (parts.length - 1 <= most) return parts;
  if (fromRight) return [parts.slice(0, parts.length - most).join(between), ...parts.slice(parts.length - most)];
  return [...parts.slice(0, most), parts.slice(most).join(between)];
}

function splitWords(value: string, most: number, fromRight: boolean): Value {
  const words = [...value.matchAll(word)];
  const texts = words.map(([found]) => found);
  if (words.length - 1 < most || words.length === 0) return texts;
  if (most === 0) return [strip(value, fromRight ? 'right' : 'left', null)];
  if (fromRight) {
    const cut = words.length - most;
    if (cut <= 0) return texts;
    const last = words[cut - 1]!;
    return [value.slice(0, last.index + last[0].length), ...texts.slice(cut)];
  }
  return words.length <= most ? texts : [...texts.slice(0, most), value.slice(words[most]!.index)];
}

function find(value: string, args: Arguments, name: string, last: boolean): number {
  const [wanted, start, stop] = args.as(`${name}()`, 'sub', 'start', 'end');
  const all = characters(value);
  const place = (given: Value, absent: number): number => {
    const at = int(given, absent);
    return at < 0 ? Math.max(0, at + all.length) : at;
  };
  const from = place(start, 0);
  const part = all.slice(from, place(stop, all.length)).join('');
  if (from > all.length) return -1;
  const at = last ? part.lastIndexOf(text(wanted, name)) : part.indexOf(text(wanted, name));
  return at < 0 ? -1 : from + lengthOf(part.slice(0, at));
}

function index(value: string, args: Arguments, name: string, last: boolean): number {
  const at = find(value, args, name, last);
  if (at < 0) throw new Error('substring not found');
  return at;
}

function partition(value: string, args: Arguments, last: boolean): Value {
  const [given] = args.as('partition()', 'sep');
  const separator = text(given, 'partition');
  if (separator === '') throw new Error('empty separator');
  const at = last ? value.lastIndexOf(separator) : value.indexOf(separator);
  if (at < 0) return new Tuple(last ? ['', '', value] : [value, '', '']);
  return new Tuple([value.slice(0, at), separator, value.slice(at + separator.length)]);
}

function startsOrEnds(value: string, args: Arguments, name: string, ends: boolean): boolean {
  const [wanted, start, stop] = args.as(`${name}()`, 'prefix', 'start', 'end');
  const all =
    start === undefined && stop === undefined ? value : characters(value).slice(int(start, 0), int(stop, 1e9)).join('');
  const options = wanted instanceof Tuple ? wanted.items : [wanted];
  return options.some((option) => (ends ? all.endsWith(text(option, name)) : all.startsWith(text(option, name))));
}

/** str.replace; the first `count` of them where it is not negative. */
export function replace(value: string, old: string, by: string, count: number): string {
  if (count < 0) return old === '' ? [''].concat(characters(value), ['']).join(by).slice(0) : value.split(old).join(by);
  const parts = old === '' ? ['', ...characters(value), ''] : value.split(old);
  return parts.reduce((made, part, at) => made + (at > count ? old : by) + part);
}

function padded(value: string, args: Arguments, name: string, side: 'left' | 'right' | 'both'): string {
  const [width, fill = ' '] = args.as(`${name}()`, 'width', 'fillchar');
  return pad(value, int(width, 0), text(fill, name), side);
}

/** Fills on one side, or on both as str.center does. */
export function pad(value: string, width: number, fill: string, side: 'left' | 'right' | 'both'): string {
  const missing = Math.max(0, width - lengthOf(value));
  const left = side === 'both' ? (missing >> 1) + (missing & width & 1) : side === 'left' ? missing : 0;
  return fill.repeat(left) + value + fill.repeat(missing - left);
}

export function capitalize(value: string): string {
  const [first = '', ...rest] = characters(value);
  return first.toUpperCase() + rest.join('').toLowerCase();
}

const letters = /(\p{L})([\p{L}\p{M}]*)/gu;

function swapCase(value: string): string {
  return characters(value)
    .map((character) => (character === character.toUpperCase() ? character.toLowerCase() : character.toUpperCase()))
    .join('');
}

function cased(value: string, wanted: string, other: string): boolean {
  return value === wanted && wanted !== other;
}

export const isLower = (value: string): boolean => cased(value, value.toLowerCase(), value.toUpperCase());
export const isUpper = (value: string): boolean => cased(value, value.toUpperCase(), value.toLowerCase());

const titled = (value: string): string =>
  value.replace(letters, (_, first: string, rest: string) => first.toUpperCase() + rest.toLowerCase());

const matches =
  (pattern: RegExp): Method =>
  (value) =>
    pattern.test(value);

function expandTabs(value: string, size: number): string {
  let column = 0;
  let made = '';
  for (const character of characters(value)) {
    const written = character === '\t' ? ' '.repeat(size > 0 ? size - (column % size) : 0) : character;
    made += written;
    column = character === '\n' || character === '\r' ? 0 : column + written.length;
  }
  return made;
}

const changes: readonly (readonly [string, (value: string) => string])[] = [
  ['upper', (value) => value.toUpperCase()],
  ['lower', (value) => value.toLowerCase()],
  ['casefold', (value) => value.toLowerCase().replace(/ß/g, 'ss')],
  ['capitalize', capitalize],
  ['title', titled],
  ['swapcase', swapCase],
];

export const textMethods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ...changes.map(([name, change]): [string, Method] => [
    name,
    (value, args) => {
      args.as(`${name}()`);
      return change(value);
    },
  ]),
  ['strip', (value, args) => strip(value, 'both', args.as('strip()', 'chars')[0])],
  ['lstrip', (value, args) => strip(value, 'left', args.as('lstrip()', 'chars')[0])],
  ['rstrip', (value, args) => strip(value, 'right', args.as('rstrip()', 'chars')[0])],
  ['split', (value, args) => split(value, args, false)],
  ['rsplit', (value, args) => split(value, args, true)],
  ['splitlines', (value, args) => splitLines(value, Boolean(args.as('splitlines()', 'keepends')[0]))],
  ['partition', (value, args) => partition(value, args, false)],
  ['rpartition', (value, args) => partition(value, args, true)],
  ['find', (value, args) => find(value, args, 'find', false)],
  ['rfind', (value, args) => find(value, args, 'rfind', true)],
  ['index', (value, args) => index(value, args, 'index', false)],
  ['rindex', (value, args) => index(value, args, 'rindex', true)],
  [
    'count',
    (value, args) => {
      const [wanted, start, stop] = args.as('count()', 'sub', 'start', 'end');
      const all = characters(value).slice(int(start, 0), int(stop, 1e9));
      const sought = text(wanted, 'count');
      return sought === '' ? all.length + 1 : all.join('').split(sought).length - 1;
    },
  ],
  ['startswith', (value, args) => startsOrEnds(value, args, 'startswith', false)],
  ['endswith', (value, args) => startsOrEnds(value, args, 'endswith', true)],
  [
    'replace',
    (value, args) => {
      const [old, by, count] = args.as('replace()', 'old', 'new', 'count');
      return replace(value, text(old, 'replace'), text(by, 'replace'), int(count, -1));
    },
  ],
  [
    'removeprefix',
    (value, args) => {
      const prefix = text(args.as('removeprefix()', 'prefix')[0], 'removeprefix');
      return value.startsWith(prefix) ? value.slice(prefix.length) : value;
    },
  ],
  [
    'removesuffix',
    (value, args) => {
      const suffix = text(args.as('removesuffix()', 'suffix')[0], 'removesuffix');
      return suffix !== '' && value.endsWith(suffix) ? value.slice(0, -suffix.length) : value;
    },
  ],
  [
    'join',
    (value, args) =>
      iterate(args.as('join()', 'iterable')[0])
        .map((part) => text(part, 'join'))
        .join(value),
  ],
  ['format', (value, args) => formatted(value, args)],
  ['center', (value, args) => padded(value, args, 'center', 'both')],
  ['ljust', (value, args) => padded(value, args, 'ljust', 'right')],
  ['rjust', (value, args) => padded(value, args, 'rjust', 'left')],
  [
    'zfill',
    (value, args) => {
      const sign = /^[-+]/.exec(value)?.[0] ?? '';
      return sign + pad(value.slice(sign.length), int(args.as('zfill()', 'width')[0], 0) - sign.length, '0', 'left');
    },
  ],
  ['expandtabs', (value, args) => expandTabs(value, int(args.as('expandtabs()', 'tabsize')[0], 8))],
  ['isalpha', matches(/^\p{L}+$/u)],
  ['isalnum', matches(/^[\p{L}\p{N}]+$/u)],
  ['isdigit', matches(/^[\p{Nd}²³¹⁰⁴-⁹₀-₉]+$/u)],
  ['isdecimal', matches(/^\p{Nd}+$/u)],
  ['isnumeric', matches(/^\p{N}+$/u)],
  ['isspace', matches(new RegExp(`^[${whitespace}]+$`))],
  ['isascii', matches(/^[\x00-\x7f]*$/)],
  ['isidentifier', matches(/^[\p{L}_][\p{L}\p{N}\p{M}_]*$/u)],
  ['isprintable', matches(/^(?: |[^\p{C}\p{Z}])*$/u)],
  ['islower', isLower],
  ['isupper', isUpper],
  ['istitle', (value) => isTitle(value)],
]);

function isTitle(value: string): boolean {
  return value === titled(value) && value.toLowerCase() !== value.toUpperCase();
}
