// A building block of dialects: a call as Python writes it, `name(key='value', count=2)`. Values are Python's literals or
// JSON's, which models mix; what is read becomes JSON.

import { choice, type Expression, sequence, text } from '../grammar/expression.js';
import { listed, parametersOf } from './call-grammar.js';
import type { CallableTool } from './dialects/dialect.js';
import type { EarlierCall } from './history.js';
import { blanks, type Input, literal, type Reading, run } from './reading.js';

const longestName = 128;
const deepest = 64;

/** Reads one call; false where it is none. */
export function* pythonCall(input: Input): Reading {
  yield* blanks(input);
  const name = yield* run(input, /[\w.-]/, longestName);
  if (name === '' || !(yield* literal(input, '('))) return false;
  yield { type: 'name', text: name };
  let separator = '{';
  for (;;) {
    yield* blanks(input);
    if (yield* literal(input, ')')) {
      yield { type: 'arguments', text: separator === '{' ? '{}' : '}' };
      break;
    }
    const key = yield* run(input, /\w/, longestName);
    yield* blanks(input);
    if (key === '' || !(yield* literal(input, '='))) break;
    const written = yield* valueText(input);
    const value = written === undefined ? undefined : jsonOf(written);
    if (value === undefined) break;
    yield { type: 'arguments', text: `${separator}${JSON.stringify(key)}: ${value}` };
    separator = ', ';
    yield* blanks(input);
    yield* literal(input, ',');
  }
  yield { type: 'end' };
  return true;
}

/** The text of a value, up to the comma or parenthesis behind it; undefined where neither comes. */
function* valueText(input: Input): Reading<string | undefined> {
  let at = 0;
  let quote = '';
  let depth = 0;
  for (;;) {
    for (; at < input.rest.length; at += 1) {
      const character = input.rest[at]!;
      if (quote !== '') {
        if (character === '\\') at += 1;
        else if (character === quote) quote = '';
      } else if (character === '"' || character === "'") quote = character;
      else if ('[{('.includes(character)) depth += 1;
      else if (depth === 0 && ',)'.includes(character)) return input.take(at);
      else if (']})'.includes(character)) depth -= 1;
    }
    if (input.closed) return undefined;
    yield 'more';
  }
}

const words = new Map([
  ['True', 'true'],
  ['False', 'false'],
  ['None', 'null'],
  ['true', 'true'],
  ['false', 'false'],
  ['null', 'null'],
]);
const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '0': '\0', '\n': '' };

/** A literal of Python or JSON as JSON; undefined where it is none. */
export function jsonOf(written: string): string | undefined {
  const reader = new Literal(written.trim());
  const value = reader.value(0);
  return reader.done ? value : undefined;
}

class Literal {
  #at = 0;

  constructor(private readonly written: string) {}

  get done(): boolean {
    this.#blanks();
    return this.#at === this.written.length;
  }

  value(depth: number): string | undefined {
    if (depth > deepest) return undefined;
    this.#blanks();
    const next = this.written[this.#at];
    if (next === '[' || next === '(') return this.#items(next === '[' ? ']' : ')', depth);
    if (next === '{') return this.#entries(depth);
    if (next === '"' || next === "'") return this.#string(next);
    const [word] = /^[\w.+-]+/.exec(this.written.slice(this.#at)) ?? [];
    if (word === undefined) return undefined;
    this.#at += word.length;
    const known = words.get(word);
    if (known !== undefined) return known;
    const number = Number(word);
    return Number.isFinite(number)
      ? /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(word)
        ? word
        : String(number)
      : undefined;
  }

  #items(close: string, depth: number): string | undefined {
    const items: string[] = [];
    this.#at += 1;
    for (;;) {
      if (this.#takes(close)) return `[${items.join(', ')}]`;
      const item = this.value(depth + 1);
      if (item === undefined) return undefined;
      items.push(item);
      if (!this.#takes(',') && this.written[this.#at] !== close) return undefined;
    }
  }

  #entries(depth: number): string | undefined {
    const entries: string[] = [];
    this.#at += 1;
    for (;;) {
      if (this.#takes('}')) return `{${entries.join(', ')}}`;
      const key = this.value(depth + 1);
      if (key === undefined || !this.#takes(':')) return undefined;
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      entries.push(`${key.startsWith('"') ? key : JSON.stringify(key)}: ${value}`);
      if (!this.#takes(',') && this.written[this.#at] !== '}') return undefined;
    }
  }

  #string(quote: string): string | undefined {
    let text = '';
    for (this.#at += 1; this.#at < this.written.length; this.#at += 1) {
      const character = this.written[this.#at]!;
      if (character === quote) {
        this.#at += 1;
        return JSON.stringify(text);
      }
      text += character === '\\' ? this.#escape() : character;
    }
    return undefined;
  }

  #escape(): string {
    this.#at += 1;
    const character = this.written[this.#at] ?? '';
    const digits = { x: 2, u: 4, U: 8 }[character];
    if (digits !== undefined) {
      const code = this.written.slice(this.#at + 1, this.#at + 1 + digits);
      if (/^[\dA-Fa-f]+$/.test(code) && code.length === digits && Number.parseInt(code, 16) <= 0x10ffff) {
        this.#at += digits;
        const value = Number.parseInt(code, 16);
        return digits === 4 ? String.fromCharCode(value) : String.fromCodePoint(value);
      }
    }
    return escapes[character] ?? (/["'\\/]/.test(character) ? character : `\\${character}`);
  }

  #takes(character: string): boolean {
    this.#blanks();
    if (this.written[this.#at] !== character) return false;
    this.#at += 1;
    this.#blanks();
    return true;
  }

  #blanks(): void {
    while (/\s/.test(this.written[this.#at] ?? '')) this.#at += 1;
  }
}

/** A call as Python writes it; arguments that are no JSON object stand as they came. */
export function pythonText({ name, given }: EarlierCall): string {
  let values: unknown;
  try {
    values = JSON.parse(given);
  } catch {
    return `${name}(${given})`;
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) return `${name}(${given})`;
  const written = Object.entries(values).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${name}(${written.join(', ')})`;
}

/** A call of any of the tools, with its arguments by name and their values as JSON. */
export async function pythonCalls(tools: readonly CallableTool[]): Promise<Expression> {
  const calls: Expression[] = [];
  for (const tool of tools) calls.push(await callOf(tool));
  return choice(...calls);
}

async function callOf(tool: CallableTool): Promise<Expression> {
  const { entries, needed } = parametersOf(tool.schema);
  const given: Expression[] = [];
  for (const [key, schema] of entries) given.push(sequence(text(`${key}=`), await tool.json(schema)));
  return sequence(text(`${tool.name}(`), listed(given, needed, text(', ')), text(')'));
}
