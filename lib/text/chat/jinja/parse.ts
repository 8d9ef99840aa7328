// A template's syntax tree, by the library's parser. What its grammar lacks is written in what it has, under names that
// no template can spell: a test is a filter "is odd", a tuple a call of "a tuple", `with` a call block.
import { parse as parseTokens } from '@huggingface/jinja';
import { lex, type Token } from './lex.js';
import type { Node } from './nodes.js';

export const names = {
  /** In front of a test's name. */
  is: 'is ',
  isNot: 'is not ',
  tuple: 'a tuple',
  /** Its one argument, in brackets of its own. */
  group: 'a group',
  /** A loop that its body may call. */
  recursive: 'a recursion',
  /** A block with a scope of its own, given the variables of `with`. */
  scope: 'a scope',
} as const;

/** @throws SyntaxError where the template is none */
export function parse(template: string): Node[] {
  const open: Block[] = [];
  const tokens: Token[] = [];
  for (const piece of lex(template)) {
    if ('text' in piece) tokens.push({ type: 'Text', value: piece.text });
    else if (piece.tag === 'statement') tokens.push(...statement(piece.tokens, open));
    else tokens.push(openExpression, ...sequence(piece.tokens), closeExpression);
  }
  const last = open.at(-1);
  if (last) throw new SyntaxError(`the block "${last.name}" is not closed`);
  return parseTokens(tokens as Parameters<typeof parseTokens>[0]).body as unknown as Node[];
}

interface Block {
  name: string;
  /** The tags that close it, in the library's words. */
  closed: string[];
}

const token = (type: string, value: string): Token => ({ type, value });
const identifier = (value: string): Token => token('Identifier', value);
const openExpression = token('OpenExpression', '{{');
const closeExpression = token('CloseExpression', '}}');
const openParen = token('OpenParen', '(');
const closeParen = token('CloseParen', ')');
const pipe = token('Pipe', '|');
const comma = token('Comma', ',');
const tag = (...tokens: Token[]): Token[] => [token('OpenStatement', '{%'), ...tokens, token('CloseStatement', '%}')];
const wrapped = (name: string, tokens: Token[]): Token[] => [identifier(name), openParen, ...tokens, closeParen];
const isName = (given: Token | undefined, name: string): boolean =>
  given?.type === 'Identifier' && given.value === name;

/** The tags of one of the template's, and what is then open. */
function statement(tokens: Token[], open: Block[]): Token[] {
  const [first, ...rest] = tokens;
  if (first?.type !== 'Identifier') throw new SyntaxError('a block has no name');
  const name = first.value;
  const begin = (closed: string[], ...written: Token[][]): Token[] => {
    open.push({ name, closed });
    return written.flat();
  };
  if (name.startsWith('end')) {
    const block = open.pop();
    if (block?.name !== name.slice(3)) {
      throw new SyntaxError(`"${name}" ${block ? `where the block "${block.name}" is open` : 'closes no block'}`);
    }
    return block.closed.flatMap((end) => tag(identifier(end)));
  }
  switch (name) {
    case 'for':
      return begin(['endfor'], tag(first, ...loop(rest)));
    case 'set': {
      const equals = top(rest, (given) => given.type === 'Equals')[0];
      if (equals !== undefined) {
        return tag(first, ...rest.slice(0, equals), rest[equals]!, ...sequence(rest.slice(equals + 1)));
      }
      const [target, ...filters] = split(rest, 'Pipe');
      return begin([...filters.map(() => 'endfilter'), 'endset'], tag(first, ...target!), filterTags(filters));
    }
    case 'filter': {
      const filters = split(rest, 'Pipe');
      return begin(
        filters.map(() => 'endfilter'),
        filterTags(filters),
      );
    }
    case 'with': {
      const given = rest.length === 0 ? [] : split(rest, 'Comma').map((part) => split(part, 'Equals'));
      const targets = given.flatMap(([target], index) => (index === 0 ? target! : [comma, ...target!]));
      const values = given.map(([, value]) => expression(value ?? []));
      return begin(
        ['endcall'],
        scope(
          targets,
          values.flatMap((value, index) => (index === 0 ? value : [comma, ...value])),
        ),
      );
    }
    case 'generation':
    case 'block':
    case 'autoescape':
      return begin(['endcall'], scope([], []));
    case 'if':
    case 'macro':
    case 'call':
      return begin([`end${name}`], tag(first, ...expression(rest)));
    default:
      return tag(first, ...expression(rest));
  }
}

function scope(targets: Token[], values: Token[]): Token[] {
  return tag(identifier('call'), openParen, ...targets, closeParen, ...wrapped(names.scope, values));
}

/** The last filter is the outermost. */
function filterTags(filters: Token[][]): Token[] {
  return filters.toReversed().flatMap((filter) => tag(identifier('filter'), ...expression(filter)));
}

/** `target in items if test recursive` */
function loop(tokens: Token[]): Token[] {
  const recursive = isName(tokens.at(-1), 'recursive');
  const all = recursive ? tokens.slice(0, -1) : tokens;
  const at = top(all, (given) => isName(given, 'in'))[0];
  if (at === undefined) throw new SyntaxError('"for" without "in"');
  const rest = all.slice(at + 1);
  const condition = top(rest, (given) => isName(given, 'if'))[0] ?? rest.length;
  const items = sequence(rest.slice(0, condition));
  return [
    ...all.slice(0, at + 1),
    ...(recursive ? wrapped(names.recursive, items) : items),
    ...(condition < rest.length
      ? [rest[condition]!, openParen, ...expression(rest.slice(condition + 1)), closeParen]
      : []),
  ];
}

/** Where the tokens that `wanted` names stand outside all brackets. */
function top(tokens: Token[], wanted: (given: Token) => boolean): number[] {
  const found: number[] = [];
  let depth = 0;
  tokens.forEach((given, index) => {
    if (/^Open/.test(given.type)) depth += 1;
    else if (/^Close/.test(given.type)) depth -= 1;
    else if (depth === 0 && wanted(given)) found.push(index);
  });
  return found;
}

function split(tokens: Token[], type: string): Token[][] {
  const ends = [...top(tokens, (given) => given.type === type), tokens.length];
  return ends.map((end, index) => tokens.slice(index === 0 ? 0 : ends[index - 1]! + 1, end));
}

/** An expression, or a tuple without brackets. */
function sequence(tokens: Token[]): Token[] {
  const written = expression(tokens);
  return top(tokens, (given) => given.type === 'Comma').length > 0 ? wrapped(names.tuple, written) : written;
}

/** What is being written between two brackets, or outside all. */
interface Level {
  /** Where its bracket stands in what is written. */
  at: number;
  /** The arguments of a call, or an index. */
  attached: boolean;
  commas: number;
  conditions: number;
  group: number;
  /** Where the operands of "~" began. */
  operands: number;
  concatenates: boolean;
}

const operators = new Set(['and', 'or', 'not', 'in', 'if', 'else', 'is']);
let groups = 0;

/** Tests as filters, tuples as calls, and comparisons marked by the bracket that they stand in. */
function expression(tokens: Token[]): Token[] {
  const written: Token[] = [];
  const levels: Level[] = [];
  const enter = (at: number, attached: boolean): void => {
    levels.push({ at, attached, commas: 0, conditions: 0, group: ++groups, operands: at + 1, concatenates: false });
  };
  /** "~" goes before "+" and "-", which the library takes for its equals. */
  const endOperands = (level: Level): void => {
    if (level.concatenates) {
      written.splice(level.operands, 0, openParen);
      written.push(closeParen);
    }
    level.concatenates = false;
  };
  const between = (given: Token, level: Level): void => {
    endOperands(level);
    written.push(given);
    level.operands = written.length;
  };
  enter(-1, false);
  for (let index = 0; index < tokens.length; index += 1) {
    const given = tokens[index]!;
    const level = levels.at(-1)!;
    if (/^Open/.test(given.type)) {
      enter(written.length, isOperand(written.at(-1)));
      written.push(given);
    } else if (/^Close/.test(given.type)) {
      levels.pop();
      endOperands(level);
      const empty = written.length === level.at + 1;
      written.push(given);
      if (given.value !== ')' || level.attached) continue;
      if (level.commas > 0 || empty) written.splice(level.at, 0, identifier(names.tuple));
      else if (level.conditions > 0) written.splice(level.at, 0, identifier(names.group));
    } else if (given.type === 'ComparisonBinaryOperator') {
      between({ ...given, group: level.group }, level);
    } else if (isName(given, 'in') || (isName(given, 'not') && isName(tokens[index + 1], 'in'))) {
      const value = isName(given, 'in') ? 'in' : 'not in';
      between({ type: 'ComparisonBinaryOperator', value, group: level.group }, level);
      if (value === 'not in') index += 1;
    } else if (isName(given, 'is') && isOperand(written.at(-1))) {
      index = test(tokens, index + 1, written) - 1;
    } else if (given.value === '~' && given.type === 'AdditiveBinaryOperator') {
      level.concatenates = true;
      written.push(given);
    } else if (separates(given, written.at(-1))) {
      if (given.type === 'Comma') level.commas += 1;
      if (isName(given, 'if')) level.conditions += 1;
      between(given, level);
    } else {
      written.push(given);
    }
  }
  endOperands(levels.pop()!);
  return written;
}

const separators = new Set(['and', 'or', 'not', 'if', 'else']);

/** Whether the operands of "~" end in front of it. */
function separates(given: Token, before: Token | undefined): boolean {
  if (given.type === 'Identifier') return separators.has(given.value) && before?.type !== 'Dot';
  if (given.type === 'AdditiveBinaryOperator') return isOperand(before);
  return given.type === 'Comma' || given.type === 'Colon' || given.type === 'Equals';
}

/** Whether something may be called or looked into right behind it. */
function isOperand(given: Token | undefined): boolean {
  if (given?.type === 'Identifier') return !operators.has(given.value);
  return given !== undefined && /^(Close|NumericLiteral|StringLiteral)/.test(given.type);
}

/** Writes the test that begins at `start`; gives where it ends. */
function test(tokens: Token[], start: number, written: Token[]): number {
  const negated = isName(tokens[start], 'not');
  let at = negated ? start + 1 : start;
  const named = tokens[at];
  if (named?.type !== 'Identifier') throw new SyntaxError('"is" without a test');
  written.push(pipe, identifier((negated ? names.isNot : names.is) + named.value));
  at += 1;
  const first = tokens[at];
  if (!first || first.value === '(' || !(isOperand(first) || /^Open/.test(first.type))) return at;
  if (/^Close/.test(first.type)) return at;
  const end = operandEnd(tokens, at);
  written.push(openParen, ...expression(tokens.slice(at, end)), closeParen);
  return end;
}

/** Behind a value and what is looked up in it. */
function operandEnd(tokens: Token[], start: number): number {
  let at = start;
  const bracket = (): void => {
    let depth = 0;
    do {
      if (/^Open/.test(tokens[at]!.type)) depth += 1;
      else if (/^Close/.test(tokens[at]!.type)) depth -= 1;
      at += 1;
    } while (depth > 0);
  };
  if (/^Open/.test(tokens[at]!.type)) bracket();
  else
    do at += 1;
    while (tokens[at - 1]!.type === 'StringLiteral' && tokens[at]?.type === 'StringLiteral');
  for (;;) {
    const next = tokens[at];
    if (next?.type === 'Dot') at += 2;
    else if (next?.value === '(' || next?.value === '[') bracket();
    else return at;
  }
}
