// Jinja's lexer with `trim_blocks` and `lstrip_blocks`: a template's texts and tags, and the tokens inside a tag.
//
// The library's own works on the source by regular expressions, which also change what only looks like a tag.

/** Named as the library's parser names them; `group` is the bracket that a comparison is written in. */
export interface Token {
  type: string;
  value: string;
  group?: number;
}

export type Piece = { text: string } | { tag: 'statement' | 'expression'; tokens: Token[] };

const spaces = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const leading = new RegExp(`^[${spaces}]+`);
const trailing = new RegExp(`[${spaces}]+$`);
const blank = new RegExp(`^[${spaces}]+$`);
const space = new RegExp(`[${spaces}]+`, 'y');
const opening = /\{%|\{\{|\{#/g;
const rawBegin = new RegExp(`\\{%[-+]?[${spaces}]*raw[${spaces}]*(-?)%\\}`, 'y');
const rawEnd = new RegExp(`\\{%([-+]?)[${spaces}]*endraw[${spaces}]*([-+]?)%\\}`, 'g');

const number =
  /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const name = /[\p{L}\p{N}\p{M}_]+/uy;
const string = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const operator = /\*\*|\/\/|==|!=|<=|>=|[-+*/%~()[\]{}<>=.,:|]/y;

const operators: Readonly<Record<string, string>> = {
  '(': 'OpenParen',
  ')': 'CloseParen',
  '[': 'OpenSquareBracket',
  ']': 'CloseSquareBracket',
  '{': 'OpenCurlyBracket',
  '}': 'CloseCurlyBracket',
  ',': 'Comma',
  '.': 'Dot',
  ':': 'Colon',
  '|': 'Pipe',
  '=': 'Equals',
  '+': 'AdditiveBinaryOperator',
  '-': 'AdditiveBinaryOperator',
  '~': 'AdditiveBinaryOperator',
  '*': 'MultiplicativeBinaryOperator',
  '/': 'MultiplicativeBinaryOperator',
  '//': 'MultiplicativeBinaryOperator',
  '%': 'MultiplicativeBinaryOperator',
  '**': 'ExponentiationBinaryOperator',
};

export const brackets: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** @throws SyntaxError where a tag is not closed or holds what is no token */
export function lex(template: string): Piece[] {
  const source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  const pieces: Piece[] = [];
  let at = 0;
  let lineStarts = true;
  const push = (text: string): void => {
    if (text !== '') pieces.push({ text });
  };
  const skipSpaces = (): void => {
    at += leading.exec(source.slice(at))?.[0].length ?? 0;
  };
  /** Behind a tag's end: "-" takes all white space, a block's end takes one line end. */
  const skip = (sign: string, block: boolean): void => {
    const end = at;
    if (sign === '-') skipSpaces();
    else if (sign === '' && block && source[at] === '\n') at += 1;
    lineStarts = at > end && source[at - 1] === '\n';
  };
  const before = (text: string, sign: string, block: boolean): string => {
    if (sign === '-') return text.replace(trailing, '');
    const line = text.lastIndexOf('\n') + 1;
    if (sign === '+' || !block || (line === 0 && !lineStarts)) return text;
    return blank.test(text.slice(line)) ? text.slice(0, line) : text;
  };
  for (;;) {
    opening.lastIndex = at;
    const found = opening.exec(source);
    if (!found) break;
    const begin = found.index;
    const kind = found[0];
    const sign = /[-+]/.exec(source[begin + 2] ?? '')?.[0] ?? '';
    push(before(source.slice(at, begin), sign, kind !== '{{'));
    rawBegin.lastIndex = begin;
    const raw = rawBegin.exec(source);
    at = begin + 2 + sign.length;
    if (kind === '{#') {
      const end = source.indexOf('#}', at);
      if (end < 0) throw new SyntaxError('a comment is not closed');
      const last = end > at ? source[end - 1]! : '';
      at = end + 2;
      skip(last === '-' || last === '+' ? last : '', true);
    } else if (raw) {
      at = begin + raw[0].length;
      if (raw[1] === '-') skipSpaces();
      lineStarts = source[at - 1] === '\n';
      rawEnd.lastIndex = at;
      const end = rawEnd.exec(source);
      if (!end) throw new SyntaxError('the block "raw" is not closed');
      push(before(source.slice(at, end.index), end[1]!, true));
      at = end.index + end[0].length;
      skip(end[2]!, true);
    } else {
      const block = kind === '{%';
      const tag = tokensOf(source, at, block ? '%}' : '}}');
      pieces.push({ tag: block ? 'statement' : 'expression', tokens: tag.tokens });
      at = tag.end;
      skip(tag.sign, block);
    }
  }
  push(source.slice(at));
  return pieces;
}

function tokensOf(source: string, start: number, close: string): { tokens: Token[]; end: number; sign: string } {
  const tokens: Token[] = [];
  const open: string[] = [];
  let at = start;
  const next = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  for (;;) {
    next(space);
    if (open.length === 0) {
      const sign = source[at] === '-' || (source[at] === '+' && close === '%}') ? source[at]! : '';
      if (source.startsWith(close, at + sign.length)) return { tokens, end: at + sign.length + 2, sign };
    }
    if (at >= source.length) throw new SyntaxError(`a tag is not closed by "${close}"`);
    let found = next(number);
    if (found !== undefined) {
      tokens.push({ type: 'NumericLiteral', value: plainNumber(found) });
      continue;
    }
    found = next(name);
    if (found !== undefined) {
      tokens.push({ type: 'Identifier', value: found });
      continue;
    }
    found = next(string);
    if (found !== undefined) {
      tokens.push({ type: 'StringLiteral', value: unescaped(found.slice(1, -1)) });
      continue;
    }
    found = next(operator);
    if (found === undefined) throw new SyntaxError(`unexpected "${source[at]}" in a tag`);
    const closing = brackets[found];
    if (closing !== undefined) open.push(closing);
    else if (/[)\]}]/.test(found) && open.pop() !== found) throw new SyntaxError(`unexpected "${found}" in a tag`);
    tokens.push({ type: operators[found] ?? 'ComparisonBinaryOperator', value: found });
  }
}

/** The library takes a number with a point for a float, and reads no underscores. */
function plainNumber(text: string): string {
  const plain = text.replace(/_/g, '');
  return /^\d+e/i.test(plain) ? plain.replace(/e/i, '.0e') : plain;
}

const escapes: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Python's escapes; an unknown one stays as it is. */
function unescaped(text: string): string {
  return text.replace(
    /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/g,
    (whole, octal?: string, x?: string, u?: string, wide?: string, plain?: string) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const hex = x ?? u ?? wide;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      return escapes[plain!] ?? whole;
    },
  );
}
