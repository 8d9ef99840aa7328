// Values from JavaScript into a template and, for functions that a program gives, back.
import { Arguments, Callable, type Dict, Float, Markup, Tuple, type Value, View } from './values.js';

// A larger number was written with an exponent, which Python reads as a float.
const largestInt = 1e21;

/** @throws Error for what Python has nothing like: a symbol, a bigint beyond a double's integers */
export function fromPlain(value: unknown): Value {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return value;
    case 'number':
      return Number.isInteger(value) && Math.abs(value) < largestInt ? value : new Float(value);
    case 'bigint':
      if (Number.isSafeInteger(Number(value))) return Number(value);
      break;
    case 'function':
      return new Callable(value.name, (args) => fromPlain(value(...plainArguments(args)) ?? null));
    case 'object': {
      if (value === null) return null;
      if (Array.isArray(value)) return value.map(fromPlain);
      const dict: Dict = new Map();
      for (const [key, field] of Object.entries(value)) dict.set(key, fromPlain(field));
      return dict;
    }
  }
  throw new Error(`a template cannot be given a ${typeof value}`);
}

function plainArguments({ positional, named }: Arguments): unknown[] {
  const plain = positional.map(toPlain);
  return named.size > 0
    ? [...plain, Object.fromEntries([...named].map(([name, value]) => [name, toPlain(value)]))]
    : plain;
}

function toPlain(value: Value): unknown {
  if (value instanceof Markup) return value.text;
  if (value instanceof Float) return value.value;
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Tuple || value instanceof View) return value.items.map(toPlain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, field]) => [String(key), toPlain(field)]));
  if (value instanceof Callable) return (...args: unknown[]) => toPlain(value.call(new Arguments(args.map(fromPlain))));
  return value;
}
