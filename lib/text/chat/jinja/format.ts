// Python's two ways to format text: `'%s' % value` and `'{}'.format(value)`.
import { type Arguments, Float, Instance, lengthOf, numeric, Tuple, typeName, type Value } from './values.js';
import { float, repr, str } from './write.js';

/** Characters that a width or a precision may ask for. */
const widest = 1_000_000;

const percent = /%(?:\(([^)]*)\))?([-+ 0#]*)(\*|\d*)(?:\.(\*|\d*))?[hlL]?([\s\S])/g;

/** `text % values` @throws Error where they do not fit each other */
export function printf(text: string, values: Value): string {
  const given = values instanceof Tuple ? values.items : [values];
  const named = values instanceof Map ? values : undefined;
  let used = 0;
  const next = (): Value => {
    if (used >= given.length) throw new Error('not enough arguments for format string');
    used += 1;
    return given[used - 1];
  };
  const made = text.replace(
    percent,
    (_, key: string | undefined, flags: string, width: string, precision: string | undefined, type: string) => {
      if (type === '%') return '%';
      const size = width === '*' ? Number(next()) : Number(width);
      const places = precision === undefined ? undefined : precision === '*' ? Number(next()) : Number(precision);
      if (key !== undefined && !named) throw new Error('format requires a mapping');
      const value = key === undefined ? next() : named!.get(key);
      const left = flags.includes('-');
      return specified(value, {
        fill: flags.includes('0') && !left && !'sra'.includes(type) ? '0' : ' ',
        align: left ? '<' : flags.includes('0') && !'sra'.includes(type) ? '=' : '>',
        sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-',
        alternative: flags.includes('#'),
        width: size,
        grouping: '',
        precision: places,
        type: type === 'i' || type === 'u' ? 'd' : type,
        truncates: true,
      });
    },
  );
  if (!named && used < given.length) throw new Error('not all arguments converted during string formatting');
  return made;
}

interface Spec {
  fill: string;
  align: string;
  sign: string;
  alternative: boolean;
  width: number;
  grouping: string;
  precision: number | undefined;
  type: string;
  /** `%d` takes a float, `{:d}` does not. */
  truncates: boolean;
}

const field = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/g;

/** `text.format(…)` @throws Error where a field names nothing, or its format is none of the value's */
export function formatted(text: string, args: Arguments): string {
  let automatic = 0;
  const named = (path: string): Value => {
    const first = /^[^.[]*/.exec(path)![0];
    const key = first === '' ? String(automatic++) : first;
    const isIndex = /^\d+$/.test(key);
    if (isIndex ? Number(key) >= args.positional.length : !args.named.has(key)) {
      throw new Error(`format() is not given "${key}"`);
    }
    let value = isIndex ? args.positional[Number(key)] : args.named.get(key);
    for (const [, name, index] of path.slice(first.length).matchAll(/\.([^.[]+)|\[([^\]]*)\]/g)) {
      value = within(value, name, index);
    }
    return value;
  };
  return text.replace(field, (whole, path?: string, conversion?: string, spec = '') => {
    if (whole === '{{' || whole === '}}') return whole[0]!;
    if (path === undefined) throw new Error(`single "${whole}" in a format`);
    const value = named(path);
    const wanted = spec.replace(/\{([^{}]*)\}/g, (_: string, inner: string) => str(named(inner)));
    return specified(conversion === undefined ? value : conversion === 's' ? str(value) : repr(value), read(wanted));
  });
}

function within(value: Value, name: string | undefined, index: string | undefined): Value {
  if (name !== undefined) return value instanceof Instance && !name.startsWith('_') ? value.attribute(name) : undefined;
  if (value instanceof Map) return value.get(/^\d+$/.test(index!) ? Number(index) : index!);
  const list = value instanceof Tuple ? value.items : value;
  return Array.isArray(list) ? list[Number(index)] : undefined;
}

function read(spec: string): Spec {
  const found = /^(?:([\s\S])?([<>=^]))?([-+ ]?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)$/u.exec(spec);
  if (!found) throw new Error(`invalid format specifier '${spec}'`);
  const [, fill, align, sign, alternative, zero, width, grouping, precision, type] = found;
  return {
    fill: fill ?? (zero ? '0' : ' '),
    align: align ?? (zero ? '=' : ''),
    sign: sign || '-',
    alternative: alternative !== '',
    width: Number(width),
    grouping: grouping!,
    precision: precision === undefined ? undefined : Number(precision),
    type: type!,
    truncates: false,
  };
}

function specified(value: Value, spec: Spec): string {
  const { width, precision = 0, type } = spec;
  if (width > widest || precision > widest) throw new Error(`a format gives ${widest} characters at most`);
  const number = numeric(value);
  if ('sra'.includes(type) && (type !== '' || number === undefined || typeof value === 'boolean')) {
    if (type === 's' && number !== undefined && !spec.truncates) throw unknown(type, value);
    const text = type === '' || type === 's' ? str(value) : repr(value);
    const cut = spec.precision === undefined ? text : Array.from(text).slice(0, spec.precision).join('');
    return placed('', cut, spec, '<');
  }
  if (type === 'c') return placed('', typeof value === 'string' ? value : String.fromCodePoint(number!), spec, '<');
  if (number === undefined) throw unknown(type, value);
  const sign = number < 0 || Object.is(number, -0) ? '-' : spec.sign === '-' ? '' : spec.sign;
  return placed(sign, grouped(digits(value, Math.abs(number), spec), spec.grouping), spec, '>');
}

function unknown(type: string, value: Value): Error {
  return new Error(`unknown format code '${type}' for object of type '${typeName(value)}'`);
}

function digits(value: Value, number: number, spec: Spec): string {
  const { type, precision, alternative } = spec;
  const radix = { b: 2, o: 8, x: 16, X: 16 }[type];
  if (radix !== undefined || type === 'd' || (type === '' && !(value instanceof Float))) {
    if (value instanceof Float && !spec.truncates) throw unknown(type, value);
    const text = BigInt(Math.trunc(number)).toString(radix ?? 10);
    const written = alternative && radix !== undefined ? `0${type.toLowerCase()}${text}` : text;
    return type === 'X' ? written.toUpperCase() : written;
  }
  switch (type) {
    case '':
      return precision === undefined ? float(number) : general(number, precision);
    case 'f':
    case 'F':
      return fixed(number, precision ?? 6);
    case '%':
      return `${fixed(number * 100, precision ?? 6)}%`;
    case 'e':
    case 'E': {
      const text = exponential(number, precision ?? 6);
      return type === 'E' ? text.toUpperCase() : text;
    }
    case 'g':
    case 'G':
    case 'n': {
      const text = general(number, precision ?? 6);
      return type === 'G' ? text.toUpperCase() : text;
    }
  }
  throw unknown(type, value);
}

/** JavaScript rounds an exact half up, Python to the even digit. */
export function fixed(number: number, places: number): string {
  if (number >= 1e21 || places > 100)
    return `${BigInt(Math.round(number))}${places > 0 ? '.' + '0'.repeat(places) : ''}`;
  const up = number.toFixed(places);
  const scaled = number * 10 ** places;
  const half = scaled % 1 === 0.5 && scaled / 10 ** places === number;
  if (!half || Math.floor(scaled) % 2 === 1) return up;
  return (Math.floor(scaled) / 10 ** places).toFixed(places);
}

function exponential(number: number, places: number): string {
  return number.toExponential(Math.min(places, 100)).replace(/e([-+])(\d)$/, 'e$10$2');
}

function general(number: number, precision: number): string {
  const places = Math.max(precision, 1);
  const exponent = number === 0 ? 0 : Number(number.toExponential(places - 1).split('e')[1]);
  const text =
    exponent < -4 || exponent >= places ? exponential(number, places - 1) : fixed(number, places - 1 - exponent);
  return text.includes('.') ? text.replace(/\.?0+(?=e|$)/, '') : text;
}

function grouped(text: string, separator: string): string {
  if (separator === '') return text;
  return text.replace(/^\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, separator));
}

function placed(sign: string, text: string, { fill, align, width }: Spec, usual: string): string {
  const missing = Math.max(0, width - lengthOf(sign + text));
  switch (align || usual) {
    case '<':
      return sign + text + fill.repeat(missing);
    case '^':
      return fill.repeat(missing >> 1) + sign + text + fill.repeat(missing - (missing >> 1));
    case '=':
      return sign + fill.repeat(missing) + text;
    default:
      return fill.repeat(missing) + sign + text;
  }
}
