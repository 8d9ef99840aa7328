// A call as one JSON object: read out of a growing text, the name as soon as it is known and then the arguments in
// pieces; and as a grammar.

import { type Expression, sequence, text } from '../grammar/expression.js';
import { oneOf } from './call-grammar.js';
import type { CallableTool } from './dialects/dialect.js';
import { blanks, type Input, literal, type Reading } from './reading.js';

/** The keys of a call's object, such as `{"name": …, "arguments": {…}}`. */
export interface CallKeys {
  name: string;
  arguments: readonly string[];
}

const usualKeys: CallKeys = { name: 'name', arguments: ['arguments', 'parameters'] };
const longestKey = 64;

/**
 * Reads an object that is a call, whatever the order of its keys. False where it is none, or names a function that
 * `accepts` refuses. A name cannot be taken back: what is broken after it ends the call.
 */
export function* jsonCall(
  input: Input,
  accepts: (name: string) => boolean = () => true,
  keys: CallKeys = usualKeys,
): Reading {
  let named = false;
  let argued = false;
  /** The first arguments count. */
  let given = false;
  /** Arguments that came before the name. */
  let early = '';
  yield* blanks(input);
  if (!(yield* literal(input, '{'))) return false;
  for (;;) {
    const key = yield* keyOf(input);
    if (key === undefined) break;
    if (!given && keys.arguments.includes(key)) {
      argued = named && input.rest[0] === '{';
      const found = yield* argumentsText(input, named);
      if (found === undefined) break;
      given = true;
      if (!named) early = found;
      else argued ||= found !== '';
    } else {
      const value = yield* jsonValue(input, false);
      if (value === undefined) break;
      if (key === keys.name && !named) {
        const name = unquoted(value);
        if (name === undefined || name === '' || !accepts(name)) return false;
        named = true;
        yield { type: 'name', text: name };
        if (early !== '') yield { type: 'arguments', text: early };
        argued = early !== '';
      }
    }
    yield* blanks(input);
    if (!(yield* literal(input, ','))) break;
  }
  yield* literal(input, '}');
  if (named) yield* ended(input, argued);
  return named;
}

/** The objects that call one of the tools, with the arguments at `key`. */
export function objectOf(tools: readonly CallableTool[], key: string): Promise<Expression> {
  return oneOf(tools, (name, given) =>
    sequence(text(`{"name": ${JSON.stringify(name)}, "${key}": `), given, text('}')),
  );
}

/** Reads the arguments of a call whose name was read already. */
export function* jsonArguments(input: Input): Reading<void> {
  yield* blanks(input);
  const streams = input.rest[0] === '{';
  const found = yield* argumentsText(input, true);
  yield* ended(input, streams || (found ?? '') !== '');
}

/** A whole call without arguments has an empty object of them. */
function* ended(input: Input, argued: boolean): Reading<void> {
  if (!argued && !input.ended) yield { type: 'arguments', text: '{}' };
  yield { type: 'end' };
}

/** A key and its colon; undefined where the object ends or breaks. */
function* keyOf(input: Input): Reading<string | undefined> {
  do yield* blanks(input);
  while (yield* literal(input, ','));
  for (;;) {
    const [key] = /^"[^"]*"/.exec(input.rest) ?? [];
    if (key !== undefined && key.length <= longestKey) {
      input.take(key.length);
      yield* blanks(input);
      if (!(yield* literal(input, ':'))) return undefined;
      yield* blanks(input);
      return key.slice(1, -1);
    }
    if (input.rest.length > longestKey || !/^("|$)/.test(input.rest) || input.ended) return undefined;
    yield 'more';
  }
}

/**
 * Arguments as JSON text; with `out` they also go out as parts. An object goes out as it comes; one written as a string
 * of JSON, once it is whole.
 */
function* argumentsText(input: Input, out: boolean): Reading<string | undefined> {
  if (input.rest[0] === '{') return yield* jsonValue(input, out);
  const value = yield* jsonValue(input, false);
  const found = value === undefined ? undefined : (unquoted(value) ?? '{}');
  if (out && found) yield { type: 'arguments', text: found };
  return found;
}

/** One JSON value, checked for its extent only; undefined where it breaks. With `out` its pieces are arguments. */
function* jsonValue(input: Input, out: boolean): Reading<string | undefined> {
  const extent = new Extent();
  for (let value = ''; ; ) {
    const length = extent.of(input.rest);
    const piece = input.take(length);
    value += piece;
    if (out && piece !== '') yield { type: 'arguments', text: piece };
    if (extent.state === 'whole') return value;
    if (extent.state === 'broken' || input.ended) return undefined;
    yield 'more';
  }
}

/** Finds where a JSON value ends. */
class Extent {
  state: 'more' | 'whole' | 'broken' = 'more';
  #begun = false;
  #depth = 0;
  #quoted = false;
  #escaped = false;

  /** How much of the text that follows belongs to the value. */
  of(following: string): number {
    for (let at = 0; at < following.length; at += 1) {
      // A number or a word ends where something else begins.
      if (this.#begun && this.#depth === 0 && !this.#quoted && /[,}\s]/.test(following[at]!)) {
        this.state = 'whole';
        return at;
      }
      this.#read(following[at]!);
      if (this.state === 'broken') return at;
      if (this.state === 'whole') return at + 1;
    }
    return following.length;
  }

  #read(character: string): void {
    this.#begun = true;
    if (this.#quoted) {
      if (this.#escaped) this.#escaped = false;
      else if (character === '\\') this.#escaped = true;
      else if (character === '"') this.#quoted = false;
      if (this.#quoted) return;
    } else if (character === '"') {
      this.#quoted = true;
      return;
    } else if (character === '{' || character === '[') {
      this.#depth += 1;
    } else if (character === '}' || character === ']') {
      this.#depth -= 1;
    }
    if (this.#depth < 0) this.state = 'broken';
    else if (this.#depth === 0 && /["}\]]/.test(character)) this.state = 'whole';
  }
}

function unquoted(value: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'string' ? parsed : undefined;
  } catch {
    return undefined;
  }
}
