// Python's spelling of values: str(), repr(), and json.dumps as transformers' `tojson` calls it.
import {
  Callable,
  compareTexts,
  Float,
  Instance,
  Lazy,
  Markup,
  Tuple,
  typeName,
  type Value,
  View,
  valueOfKey,
} from './values.js';

/** Python's str(). */
export function str(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Markup) return value.text;
  return value === undefined ? '' : repr(value);
}

export function repr(value: Value): string {
  if (value === undefined) return 'Undefined';
  if (value === null) return 'None';
  if (typeof value === 'string') return quoted(value);
  if (value instanceof Markup) return `Markup(${quoted(value.text)})`;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return int(value);
  if (value instanceof Float) return float(value.value);
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  if (value instanceof Tuple) return tuple(value.items);
  if (value instanceof Map) return `{${[...value].map(([k, v]) => `${repr(valueOfKey(k))}: ${repr(v)}`).join(', ')}}`;
  if (value instanceof View) return `${value.kind}([${value.items.map(repr).join(', ')}])`;
  if (value instanceof Instance) return value.text();
  if (value instanceof Lazy) return '<generator object>';
  return value instanceof Callable ? `<function ${value.name}>` : '';
}

function tuple(entries: readonly Value[]): string {
  return entries.length === 1 ? `(${repr(entries[0])},)` : `(${entries.map(repr).join(', ')})`;
}

function int(value: number): string {
  return Number.isSafeInteger(value) ? String(value + 0) : String(BigInt(value));
}

/** The shortest digits that read back as the same float, with Python's places for the point. */
export function float(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  if (Object.is(value, -0)) return '-0.0';
  const [mantissa, power] = value.toExponential().split('e') as [string, string];
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const digits = mantissa.replace(/[-.]/g, '');
  const sign = value < 0 ? '-' : '';
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  return `${sign}${digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')}.${digits.slice(exponent + 1) || '0'}`;
}

const short = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\\', '\\\\'],
]);

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\'"]|[^\P{C}]|[^\P{Z}]/gu, (character) => {
    if (character === ' ') return character;
    if (character === "'" || character === '"') return character === quote ? `\\${character}` : character;
    return short.get(character) ?? escaped(character.codePointAt(0)!);
  });
  return quote + inner + quote;
}

function escaped(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

export interface JsonStyle {
  ascii: boolean;
  /** What one level is indented by; undefined writes one line. */
  indent: string | undefined;
  separators: readonly [item: string, key: string];
  sorted: boolean;
}

/** Python's json.dumps. @throws Error for what JSON does not hold */
export function json(value: Value, style: JsonStyle, line = '\n'): string {
  if (typeof value === 'string') return jsonText(value, style);
  if (value instanceof Markup) return jsonText(value.text, style);
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return int(value);
  if (value instanceof Float) return jsonFloat(value.value);
  const inner = style.indent === undefined ? '' : line + style.indent;
  const wrapped = (open: string, parts: string[], close: string): string => {
    if (parts.length === 0) return open + close;
    const end = style.indent === undefined ? '' : line;
    return open + inner + parts.join(style.separators[0] + inner) + end + close;
  };
  const entries = value instanceof Tuple ? value.items : value;
  if (Array.isArray(entries)) {
    const parts = entries.map((entry: Value) => json(entry, style, inner));
    return wrapped('[', parts, ']');
  }
  if (value instanceof Map) {
    const fields = [...value].map(([key, field]) => [jsonKey(key), field] as const);
    if (style.sorted) fields.sort(([a], [b]) => compareTexts(a, b));
    const parts = fields.map(([key, field]) => jsonText(key, style) + style.separators[1] + json(field, style, inner));
    return wrapped('{', parts, '}');
  }
  throw new Error(`Object of type ${typeName(value)} is not JSON serializable`);
}

function jsonKey(key: Value): string {
  if (typeof key === 'string') return key;
  if (typeof key === 'number') return Number.isInteger(key) ? int(key) : jsonFloat(key);
  if (key === null || typeof key === 'boolean') return String(key);
  throw new Error(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function jsonFloat(value: number): string {
  if (Number.isFinite(value)) return float(value);
  return Number.isNaN(value) ? 'NaN' : value < 0 ? '-Infinity' : 'Infinity';
}

function jsonText(text: string, { ascii }: JsonStyle): string {
  const written = JSON.stringify(text);
  if (!ascii) return written;
  return written.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
