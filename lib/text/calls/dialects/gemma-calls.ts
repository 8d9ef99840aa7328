// Gemma 4: a call in control tokens, its arguments with bare keys, and strings between quotes that are a control token.

import { choice, type Expression, optional, repeat, sequence, text } from '../../grammar/expression.js';
import { bareString, listed, parametersOf, upToMost } from '../call-grammar.js';
import { typesOf } from '../parameter-types.js';
import { begunBy, blanks, closing, type Input, literal, type Reading, run } from '../reading.js';
import { type CallableTool, type CallSyntax, type Dialect, writesCallsAs } from './dialect.js';

const open = '<|tool_call>';
const close = '<tool_call|>';
const quote = '<|"|>';
const longestName = 128;
const deepest = 16;
const mostItems = 16;

export const gemmaCalls: Dialect = {
  name: 'gemma-calls',
  marks: [open, close, quote],
  openings: [open],
  recognises: writesCallsAs(/<\|tool_call> ?call:probe_function\{/),
  *read(input) {
    yield* blanks(input);
    if (!(yield* literal(input, 'call:'))) return false;
    const name = yield* run(input, /[\w.-]/, longestName);
    if (name === '' || !(yield* literal(input, '{'))) return false;
    yield { type: 'name', text: name };
    const written = yield* objectText(input);
    const value = written === undefined ? undefined : new Written(written).object(0);
    if (value !== undefined) yield { type: 'arguments', text: value };
    yield { type: 'end' };
    yield* closing(input, close);
    return true;
  },
  async grammar(syntax) {
    const { tools, several, first, mark } = syntax;
    const calls: Expression[] = [];
    for (const tool of tools) {
      const given = await objectOf(tool, tool.schema, syntax, 0);
      calls.push(sequence(text(`call:${tool.name}`), given, mark(close)));
    }
    const call = choice(...calls);
    return several ? upToMost(sequence(first(open), call), sequence(mark(open), call)) : sequence(first(open), call);
  },
};

/** The text up to the brace that ends the object, its quotes written out; undefined where none comes. */
function* objectText(input: Input): Reading<string | undefined> {
  let written = '';
  let quoted = false;
  let depth = 1;
  for (;;) {
    for (let at = 0; at < input.rest.length; at += 1) {
      if (input.rest.startsWith(quote, at)) {
        quoted = !quoted;
        at += quote.length - 1;
      } else if (!quoted && input.rest[at] === '{') depth += 1;
      else if (!quoted && input.rest[at] === '}') depth -= 1;
      if (depth === 0) return written + input.take(at + 1).slice(0, -1);
    }
    if (input.mark === quote) {
      const rest = input.take(input.rest.length);
      input.mark = undefined;
      // Vocabularies whose words begin with a space have one behind a control token as well.
      written += `${rest}${quote}`;
      quoted = !quoted;
      if (quoted) yield* spaceBehind(input);
      continue;
    }
    if (input.closed) return undefined;
    // A beginning of a quote stays until it is whole.
    written += input.take(input.rest.length - begunBy(input.rest, [quote]));
    yield 'more';
  }
}

function* spaceBehind(input: Input): Reading<void> {
  while (input.rest === '' && !input.closed) yield 'more';
  if (input.rest.startsWith(' ')) input.take(1);
}

/** Arguments as they are written, read as JSON. */
class Written {
  #at = 0;

  constructor(private readonly text: string) {}

  /** Entries up to a brace or the end. */
  object(depth: number): string | undefined {
    const entries: string[] = [];
    for (;;) {
      this.#blanks();
      if (this.#at >= this.text.length || this.#takes('}')) return `{${entries.join(', ')}}`;
      const key = this.#key();
      if (key === undefined || !this.#takes(':')) return undefined;
      const value = this.#value(depth + 1);
      if (value === undefined) return undefined;
      entries.push(`${JSON.stringify(key)}: ${value}`);
      this.#takes(',');
    }
  }

  #key(): string | undefined {
    if (this.text.startsWith(quote, this.#at)) return this.#string();
    const [key] = /^[^:{}[\],]+/.exec(this.text.slice(this.#at)) ?? [];
    if (key === undefined) return undefined;
    this.#at += key.length;
    return key.trim();
  }

  #value(depth: number): string | undefined {
    if (depth > deepest) return undefined;
    this.#blanks();
    if (this.text.startsWith(quote, this.#at)) return JSON.stringify(this.#string());
    if (this.#takes('{')) return this.object(depth);
    if (this.#takes('[')) return this.#items(depth);
    const [bare] = /^[^,{}[\]]+/.exec(this.text.slice(this.#at)) ?? [];
    if (bare === undefined) return undefined;
    this.#at += bare.length;
    const written = bare.trim();
    if (/^(true|false|null)$/.test(written)) return written;
    return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(written) ? written : JSON.stringify(written);
  }

  #items(depth: number): string | undefined {
    const items: string[] = [];
    for (;;) {
      this.#blanks();
      if (this.#takes(']')) return `[${items.join(', ')}]`;
      const item = this.#value(depth + 1);
      if (item === undefined) return undefined;
      items.push(item);
      this.#takes(',');
    }
  }

  #string(): string {
    const from = this.#at + quote.length;
    const end = this.text.indexOf(quote, from);
    const until = end < 0 ? this.text.length : end;
    this.#at = until + quote.length;
    return this.text.slice(from, until);
  }

  #takes(character: string): boolean {
    this.#blanks();
    if (this.text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #blanks(): void {
    while (/\s/.test(this.text[this.#at] ?? '')) this.#at += 1;
  }
}

async function objectOf(tool: CallableTool, schema: unknown, syntax: CallSyntax, depth: number): Promise<Expression> {
  const { entries, needed } = parametersOf(schema);
  const written: Expression[] = [];
  for (const [key, value] of entries) {
    written.push(sequence(text(`${key}:`), await valueExpression(tool, value, syntax, depth + 1)));
  }
  return sequence(text('{'), listed(written, needed, text(',')), text('}'));
}

async function valueExpression(
  tool: CallableTool,
  schema: unknown,
  syntax: CallSyntax,
  depth: number,
): Promise<Expression> {
  const types = typesOf(schema, tool.schema);
  const given = (schema ?? {}) as Record<string, unknown>;
  if (types.has('string')) {
    const strings = Array.isArray(given.enum) ? { enum: given.enum.filter((one) => typeof one === 'string') } : {};
    return sequence(syntax.mark(quote), bareString({ ...given, ...strings }, quote), syntax.mark(quote));
  }
  if (types.has('object') && depth < deepest) return objectOf(tool, schema, syntax, depth);
  if (types.has('array') && depth < deepest) {
    const item = await valueExpression(tool, given.items, syntax, depth + 1);
    const most = Math.min(typeof given.maxItems === 'number' ? given.maxItems : mostItems, mostItems);
    const least = Math.min(typeof given.minItems === 'number' ? given.minItems : 0, most);
    if (most === 0) return text('[]');
    const items = sequence(item, repeat(sequence(text(','), item), Math.max(0, least - 1), most - 1));
    return sequence(text('['), least === 0 ? optional(items) : items, text(']'));
  }
  return tool.json(schema);
}
