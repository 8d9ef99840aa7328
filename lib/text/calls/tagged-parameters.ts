// A building block of dialects: a call is its name and its parameters, each value in tags of its own. Values that are
// strings stand as they are, others as JSON.

import { byte, choice, type Expression, optional, repeat, sequence, text } from '../grammar/expression.js';
import { textWithout } from '../grammar/without.js';
import { bareString, upToMost } from './call-grammar.js';
import type { Answered, CallableTool, CallSyntax, Dialect, ModelFacts } from './dialects/dialect.js';
import { isText, typesOf, typesOfParameter, type ValueTypes, valueFrom } from './parameter-types.js';
import { begunBy, blanks, closing, type Input, literal, type Reading, run } from './reading.js';

/** The markup of calls and of their parameters. Whole tags may be control tokens. */
export interface ParameterMarkup {
  /** Around one call or several. */
  open: string;
  close: string;
  /** Before the name; '' where each name follows `open`, and `callClose` is `close`. */
  callOpen: string;
  /** Behind the name. */
  nameEnd: string;
  callClose: string;
  keyOpen: string;
  keyEnd: string;
  /** What stands between a key and its value, beyond `keyEnd`. */
  valueOpen?: string;
  valueClose: string;
  /** Values stand on lines of their own: a line feed on each side is none of theirs. */
  lines?: boolean;
  /** The key says whether its value is a string, by what ends it. */
  typed?: { string: string; other: string };
  /** Whether several calls stand in one pair of `open` and `close`. */
  listed?: boolean;
}

/** What a dialect has of its markup; `breaks` is what the model writes between tags. */
export function taggedParameters(
  markup: ParameterMarkup,
  breaks: (model: ModelFacts) => string = () => '\n',
): Pick<Dialect, 'marks' | 'openings' | 'read' | 'grammar'> {
  const { open, close, callOpen, listed = false } = markup;
  const marks = [...new Set(Object.values(markup).filter((tag) => typeof tag === 'string' && isTag(tag)))] as string[];
  return {
    marks,
    // Models leave out the outer tag at times.
    openings: callOpen === '' ? [open] : [open, callOpen],
    *read(input, answer) {
      let begun = callOpen === '' || answer.opening === callOpen;
      yield* blanks(input);
      begun ||= yield* literal(input, callOpen);
      if (!begun || !(yield* parameterCall(input, answer, markup))) return false;
      if (callOpen === '') return true;
      for (;;) {
        yield* blanks(input);
        if (!(yield* literal(input, callOpen))) break;
        if (!(yield* parameterCall(input, answer, markup))) return false;
      }
      yield* closing(input, close);
      return true;
    },
    async grammar(syntax) {
      const { several, first, mark } = syntax;
      const line = text(breaks(syntax.model));
      const call = await parameterCalls(syntax, markup, line);
      if (callOpen === '')
        return several
          ? upToMost(sequence(first(open), call), sequence(line, mark(open), call))
          : sequence(first(open), call);
      const one = sequence(line, text(callOpen), call, line);
      if (listed)
        return sequence(first(open), several ? upToMost(one, sequence(text(callOpen), call, line)) : one, mark(close));
      const whole = sequence(one, mark(close));
      return several
        ? upToMost(sequence(first(open), whole), sequence(line, mark(open), whole))
        : sequence(first(open), whole);
    },
  };
}

const isTag = (text: string): boolean => /^<.*>$/.test(text);

const longestName = 128;
const nameCharacter = /[\w.-]/;
const keyCharacter = /[^<>"\s]/;

/** Reads one call, from behind `callOpen`; false where it is none. */
function* parameterCall(input: Input, { callable }: Answered, markup: ParameterMarkup): Reading {
  const { nameEnd, keyOpen, keyEnd, valueOpen, callClose, typed } = markup;
  const name = yield* run(input, nameCharacter, longestName);
  if (name === '' || (nameEnd !== '' && !(yield* literal(input, nameEnd)))) return false;
  yield* blanks(input);
  let more = yield* literal(input, keyOpen);
  if (!more && !(yield* literal(input, callClose)) && !(input.ended && input.rest === '')) return false;
  const closed = !more;
  const parameters = callable.get(name)?.parameters;
  yield { type: 'name', text: name };
  let separator = '{';
  while (more) {
    yield* blanks(input);
    const key = yield* run(input, keyCharacter, longestName);
    let types: ValueTypes | undefined;
    if (typed && (yield* literal(input, typed.string))) types = new Set(['string']);
    else if (typed && (yield* literal(input, typed.other))) types = undefined;
    else if (!(yield* literal(input, keyEnd))) break;
    let spaced = false;
    if (valueOpen !== undefined) {
      yield* blanks(input);
      // Vocabularies whose words begin with a space have one behind a control token as well.
      spaced = input.rest === '' && input.mark === valueOpen;
      if (!(yield* literal(input, valueOpen))) break;
    }
    yield { type: 'arguments', text: `${separator}${JSON.stringify(key)}: ` };
    separator = ', ';
    if (!(yield* value(input, markup, types ?? typesOfParameter(parameters, key), spaced ? ' ' : ''))) {
      yield { type: 'end' };
      return true;
    }
    yield* blanks(input);
    more = yield* literal(input, keyOpen);
  }
  if (!closed) yield* literal(input, callClose);
  if (!input.ended || input.rest !== '' || closed || separator === ', ') {
    yield { type: 'arguments', text: separator === '{' ? '{}' : '}' };
  }
  yield { type: 'end' };
  return true;
}

/** Gives out a value: a string piece by piece, another once it is whole. False where its end is missing. */
function* value(input: Input, markup: ParameterMarkup, types: ValueTypes, space: string): Reading {
  const { valueClose, lines = false } = markup;
  const streams = isText(types);
  /** What may stand before the value and is none of it. */
  const before = lines ? '\n' : space;
  let collected = '';
  let begun = before === '';
  const out = (piece: string): string => (streams ? JSON.stringify(piece).slice(1, -1) : '');
  if (streams) yield { type: 'arguments', text: '"' };
  for (;;) {
    if (!begun && input.rest !== '') {
      if (input.rest.startsWith(before)) input.take(1);
      begun = true;
    }
    const written = input.rest.indexOf(valueClose);
    const marked = written < 0 && input.mark === valueClose;
    if (written >= 0 || marked) {
      const last = input.take(written >= 0 ? written : input.rest.length);
      if (marked) input.mark = undefined;
      else input.take(valueClose.length);
      const piece = lines && last.endsWith('\n') ? last.slice(0, -1) : last;
      yield { type: 'arguments', text: streams ? `${out(piece)}"` : valueFrom(collected + piece, types) };
      return true;
    }
    const held = input.closed ? 0 : heldBack(input.rest, valueClose, lines);
    const piece = input.take(input.rest.length - held);
    collected += streams ? '' : piece;
    const text = out(piece);
    if (text !== '') yield { type: 'arguments', text };
    if (input.closed) return false;
    yield 'more';
  }
}

/** Length of the end of a text that may be the value's end. */
function heldBack(text: string, close: string, lines: boolean): number {
  const length = begunBy(text, [close]);
  return lines && text[text.length - length - 1] === '\n' ? length + 1 : length;
}

/** One call of any of the tools, from behind `callOpen` on. */
async function parameterCalls({ tools, mark }: CallSyntax, markup: ParameterMarkup, line: Expression) {
  const calls: Expression[] = [];
  const writing: Writing = { markup, line, tag: (tag) => (isTag(tag) ? mark(tag) : text(tag)) };
  for (const tool of tools) calls.push(await callOf(tool, writing));
  return choice(...calls);
}

interface Writing {
  markup: ParameterMarkup;
  /** What stands between tags. */
  line: Expression;
  /** A tag, which may be a control token. */
  tag(tag: string): Expression;
}

async function callOf(tool: CallableTool, writing: Writing): Promise<Expression> {
  const { markup, line, tag } = writing;
  const head = sequence(text(tool.name), tag(markup.nameEnd), line);
  const { properties, required } = tool.schema as { properties?: Record<string, unknown>; required?: unknown };
  const parameters: Expression[] = [];
  if (!properties) {
    const key = repeat(byte([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]), 1, 64);
    const any = parameterOf(key, textWithout([markup.valueClose]), new Set(['string']), writing);
    parameters.push(repeat(any, 0, 16));
  }
  for (const [key, schema] of Object.entries(properties ?? {})) {
    const types = typesOf(schema, tool.schema);
    const one = parameterOf(
      text(key),
      types.has('string') ? bareString(schema, markup.valueClose) : await tool.json(schema),
      types,
      writing,
    );
    parameters.push(Array.isArray(required) && required.includes(key) ? one : optional(one));
  }
  return sequence(head, ...parameters, tag(markup.callClose));
}

function parameterOf(
  key: Expression,
  given: Expression,
  types: ValueTypes,
  { markup, line, tag }: Writing,
): Expression {
  const { keyOpen, keyEnd, valueOpen, valueClose, lines, typed } = markup;
  const feed = lines ? [text('\n')] : [];
  const end = typed ? text(types.has('string') ? typed.string : typed.other) : tag(keyEnd);
  const between = valueOpen === undefined ? [] : [line, tag(valueOpen)];
  return sequence(tag(keyOpen), key, end, ...between, ...feed, given, ...feed, tag(valueClose), line);
}
