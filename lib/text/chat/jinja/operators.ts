// Python's operators, slices and look-ups, as Jinja's sandbox allows them.
import { printf } from './format.js';
import { dictMethods, listMethods } from './methods.js';
import { textMethods } from './text-methods.js';
import {
  Arguments,
  Callable,
  characters,
  compare,
  contains,
  equals,
  escapeHtml,
  Float,
  Instance,
  iterate,
  keyOf,
  lengthOf,
  Markup,
  numeric,
  Tuple,
  typeName,
  unmarked,
  type Value,
} from './values.js';
import { str } from './write.js';

/** Characters or entries that `*` may give: a template may not take the machine's memory. */
const longestRepeat = 10_000_000;

/** @throws Error where Python has no such operation */
export function operate(operator: string, left: Value, right: Value): Value {
  switch (operator) {
    case '==':
      return equals(left, right);
    case '!=':
      return !equals(left, right);
    case 'in':
      return contains(right, left);
    case 'not in':
      return !contains(right, left);
    case '~':
      return str(left) + str(right);
  }
  refuseUndefined(left);
  refuseUndefined(right);
  switch (operator) {
    case '<':
      return compare(left, right) < 0;
    case '>':
      return compare(left, right) > 0;
    case '<=':
      return compare(left, right) <= 0;
    case '>=':
      return compare(left, right) >= 0;
  }
  if (left instanceof Markup || right instanceof Markup) return operateMarked(operator, left, right);
  const a = numeric(left);
  const b = numeric(right);
  if (a !== undefined && b !== undefined)
    return calculate(operator, a, b, left instanceof Float || right instanceof Float);
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return left + right;
    if (Array.isArray(left) && Array.isArray(right)) return left.concat(right);
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple(left.items.concat(right.items));
  }
  if (operator === '*') {
    const repeated = repeat(left, right) ?? repeat(right, left);
    if (repeated !== undefined) return repeated;
  }
  if (operator === '%' && typeof left === 'string') return printf(left, right);
  throw new Error(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

function operateMarked(operator: string, left: Value, right: Value): Value {
  const escaped = (value: Value): Value => (typeof value === 'string' ? escapeHtml(value) : unmarked(value));
  const values = operator === '%' && right instanceof Tuple ? new Tuple(right.items.map(escaped)) : escaped(right);
  const result = operate(operator, escaped(left), values);
  return typeof result === 'string' ? new Markup(result) : result;
}

function refuseUndefined(value: Value): void {
  if (value === undefined) throw new Error('a value is undefined');
}

function calculate(operator: string, a: number, b: number, isFloat: boolean): Value {
  const result = (value: number): Value => (isFloat ? new Float(value) : value);
  if (b === 0 && /[/%]/.test(operator)) throw new Error('division by zero');
  switch (operator) {
    case '+':
      return result(a + b);
    case '-':
      return result(a - b);
    case '*':
      return result(a * b);
    case '/':
      return new Float(a / b);
    case '//':
      return result(Math.floor(a / b));
    case '%':
      return result(a - b * Math.floor(a / b));
    default: {
      if (a === 0 && b < 0) throw new Error('0.0 cannot be raised to a negative power');
      const power = a ** b;
      if (!Number.isFinite(power)) throw new Error('the result of ** is too large or no real number');
      return isFloat || b < 0 ? new Float(power) : power;
    }
  }
}

function repeat(value: Value, times: Value): Value {
  if (typeof times !== 'number' && typeof times !== 'boolean') return undefined;
  if (typeof value !== 'string' && !Array.isArray(value) && !(value instanceof Tuple)) return undefined;
  const count = Math.max(0, Number(times));
  if (lengthOf(value) * count > longestRepeat) throw new Error(`"*" gives ${longestRepeat} entries at most`);
  if (typeof value === 'string') return value.repeat(count);
  const repeated = Array.from({ length: count }, () => (Array.isArray(value) ? value : value.items)).flat();
  return Array.isArray(value) ? repeated : new Tuple(repeated);
}

/** @throws Error where the sign belongs to no number */
export function signed(operator: string, value: Value): Value {
  const number = numeric(value);
  if (number === undefined) throw new Error(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const result = operator === '-' ? -number : number;
  return value instanceof Float ? new Float(result) : result + 0;
}

/** `value.name`: Python's attributes go before a dictionary's keys. */
export function attribute(value: Value, name: string): Value {
  if (value instanceof Markup) return own(value, name);
  if (value === undefined) throw new Error(`a value is undefined and has no "${name}"`);
  const found = own(value, name);
  if (found !== undefined) return found;
  return value instanceof Map ? value.get(name) : undefined;
}

/** `value[key]`: a dictionary's keys and a list's entries go before attributes. */
export function item(value: Value, key: Value): Value {
  if (value instanceof Markup || key instanceof Markup) return marked(item(unmarked(value), unmarked(key)), value);
  if (value === undefined) throw new Error('a value is undefined and has no entries');
  if (value instanceof Map && !Array.isArray(key) && !(key instanceof Map)) {
    const found = value.get(keyOf(key));
    if (found !== undefined) return found;
  } else if (typeof key === 'number' || typeof key === 'boolean') {
    if (typeof value === 'string') return characters(value).at(Number(key));
    if (Array.isArray(value)) return value.at(Number(key));
    return value instanceof Tuple ? value.items.at(Number(key)) : undefined;
  }
  return typeof key === 'string' ? own(value, key) : undefined;
}

/** What Python's getattr finds; names with a leading underscore are kept from templates. */
export function own(value: Value, name: string): Value {
  if (name.startsWith('_')) return undefined;
  if (value instanceof Markup) return markedMethod(value, name);
  if (value instanceof Instance) return value.attribute(name);
  if (value instanceof Tuple && value.names.includes(name)) return value.items[value.names.indexOf(name)];
  const methods =
    typeof value === 'string'
      ? textMethods
      : value instanceof Map
        ? dictMethods
        : Array.isArray(value) || value instanceof Tuple
          ? listMethods
          : undefined;
  const method = methods?.get(name) as ((self: Value, args: Arguments) => Value) | undefined;
  return method && new Callable(name, (args) => method(value, args));
}

/** Text made of marked text is marked too. */
function marked(made: Value, from: Value): Value {
  if (!(from instanceof Markup)) return made;
  if (typeof made === 'string') return new Markup(made);
  if (made instanceof Tuple) return new Tuple(made.items.map((part) => marked(part, from)));
  return Array.isArray(made) ? made.map((part) => marked(part, from)) : made;
}

/** Arguments that become part of the text; others, as what `split` looks for, stay as they are. */
const written: Readonly<Record<string, (index: number) => boolean>> = {
  replace: (index) => index === 1,
  join: () => true,
  format: () => true,
};

function markedMethod(value: Markup, name: string): Value {
  const method = own(value.text, name);
  if (!(method instanceof Callable)) return method;
  const escaped = (given: Value, index: number): Value => {
    if (written[name]?.(index) !== true) return unmarked(given);
    const text = (part: Value): Value => (typeof part === 'string' ? escapeHtml(part) : unmarked(part));
    return name === 'join' ? iterate(given).map(text) : text(given);
  };
  return new Callable(name, ({ positional, named }) => {
    const names = new Map([...named].map(([key, given]) => [key, escaped(given, key === 'new' ? 1 : 0)]));
    return marked(method.call(new Arguments(positional.map(escaped), names)), value);
  });
}

/** `value[start:stop:step]` */
export function slice(value: Value, start: Value, stop: Value, step: Value): Value {
  if (value instanceof Markup) return marked(slice(value.text, start, stop, step), value);
  if (value instanceof Tuple) return new Tuple(sliced(value.items, start, stop, step));
  if (Array.isArray(value)) return sliced(value, start, stop, step);
  if (typeof value === 'string') return sliced(characters(value), start, stop, step).join('');
  if (value === undefined) throw new Error('a value is undefined and has no entries');
  return undefined;
}

function sliced<T>(all: readonly T[], start: Value, stop: Value, step: Value): T[] {
  const index = (value: Value): number | undefined => {
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
    throw new Error(`slice indices must be integers or None, not ${typeName(value)}`);
  };
  const by = index(step) ?? 1;
  if (by === 0) throw new Error('slice step cannot be zero');
  const [lowest, highest] = by > 0 ? [0, all.length] : [-1, all.length - 1];
  const placed = (given: number | undefined, absent: number): number =>
    given === undefined ? absent : Math.min(Math.max(given < 0 ? given + all.length : given, lowest), highest);
  const from = placed(index(start), by > 0 ? lowest : highest);
  const to = placed(index(stop), by > 0 ? highest : lowest);
  const found: T[] = [];
  for (let at = from; by > 0 ? at < to : at > to; at += by) found.push(all[at]!);
  return found;
}

/** @throws Error where the value is not callable */
export function callValue(value: Value, args: Arguments): Value {
  if (value instanceof Callable || value instanceof Instance) return value.call(args);
  throw new Error(value === undefined ? 'what is called is undefined' : `'${typeName(value)}' object is not callable`);
}
