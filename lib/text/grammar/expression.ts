// What a grammar is written in: expressions over bytes and control tokens, and rules that may name each other and
// themselves.
//
// Texts are UTF-8, so a character beyond ASCII is a sequence of bytes. Expressions are plain data and may be shared.

export type Expression =
  | { kind: 'byte'; ranges: readonly ByteRange[] }
  | { kind: 'text'; bytes: Uint8Array }
  | { kind: 'words'; words: readonly Uint8Array[] }
  | { kind: 'sequence'; parts: readonly Expression[] }
  | { kind: 'choice'; parts: readonly Expression[] }
  | { kind: 'repeat'; part: Expression; min: number; max: number }
  /** The rest of a string: `min` to `max` characters and a quote. */
  | { kind: 'string'; character: Rule; min: number; max: number }
  | { kind: 'graph'; nodes: number; edges: readonly Edge[] }
  | { kind: 'rule'; rule: Rule };

/** Leads from one node of a graph to another. A graph begins at node 0 and ends at its last. */
export type Edge = readonly [from: number, to: number, part: Expression];

/** First and last byte. */
export type ByteRange = readonly [number, number];

/** An expression with an identity, to be named before it is known. Without an expression it matches nothing. */
export interface Rule {
  expression: Expression | undefined;
}

const encoder = new TextEncoder();

export function text(value: string): Expression {
  return { kind: 'text', bytes: encoder.encode(value) };
}

/** Any of the texts, as a tree over their bytes. */
export function words(values: readonly string[]): Expression {
  return { kind: 'words', words: [...new Set(values)].map((value) => encoder.encode(value)) };
}

export function byte(...ranges: ByteRange[]): Expression {
  return { kind: 'byte', ranges };
}

const firstControl = 256;

/** The value by which a machine steps over the control token at `index` of a mask's list: beyond all bytes. */
export function controlValue(index: number): number {
  return firstControl + index;
}

/** The control token at `index` of the list that a mask is made with: it stands for no text, and no text for it. */
export function control(index: number): Expression {
  return byte([controlValue(index), controlValue(index)]);
}

export function sequence(...parts: Expression[]): Expression {
  return { kind: 'sequence', parts };
}

/** With no parts it matches nothing. */
export function choice(...parts: Expression[]): Expression {
  return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
}

export function optional(part: Expression): Expression {
  return { kind: 'repeat', part, min: 0, max: 1 };
}

export function repeat(part: Expression, min: number, max: number): Expression {
  return { kind: 'repeat', part, min, max };
}

export const nothing: Expression = { kind: 'choice', parts: [] };
export const empty: Expression = { kind: 'sequence', parts: [] };

/** A named expression: it is built once however often it is used. */
export function rule(expression?: Expression): Expression & { kind: 'rule' } {
  return { kind: 'rule', rule: { expression } };
}

/** States that an expression takes, with its rules that are not yet in `counted`. */
export function sizeOf(expression: Expression, counted: Set<Rule>): number {
  let size = 0;
  const waiting = [expression];
  const once = (rule: Rule): void => {
    if (!rule.expression || counted.has(rule)) return;
    counted.add(rule);
    waiting.push(rule.expression);
  };
  for (let part = waiting.pop(); part; part = waiting.pop()) {
    size += 1;
    if (part.kind === 'text') size += part.bytes.length;
    else if (part.kind === 'words') for (const { length } of part.words) size += length;
    else if (part.kind === 'sequence' || part.kind === 'choice') for (const inside of part.parts) waiting.push(inside);
    else if (part.kind === 'repeat') waiting.push(part.part);
    else if (part.kind === 'string') once(part.character);
    else if (part.kind === 'graph') for (const [, , inside] of part.edges) waiting.push(inside);
    else if (part.kind === 'rule') once(part.rule);
  }
  return size;
}

/** Whether no text at all matches an expression whose rules are known and do not come back to themselves. */
export function isNothing(expression: Expression): boolean {
  switch (expression.kind) {
    case 'byte':
      return expression.ranges.length === 0;
    case 'sequence':
      return expression.parts.some(isNothing);
    case 'choice':
      return expression.parts.every(isNothing);
    case 'repeat':
      return expression.min > 0 && isNothing(expression.part);
    case 'rule':
      return expression.rule.expression === undefined || isNothing(expression.rule.expression);
    default:
      return false;
  }
}

/** First and last code point, both included. */
export type CodeRange = readonly [number, number];

/** One character among the ranges, as UTF-8. Surrogates are no characters and must not be in the ranges. */
export function character(ranges: readonly CodeRange[]): Expression {
  const ascii: ByteRange[] = [];
  const parts: Expression[] = [];
  for (const [first, last] of ranges) {
    let from = first;
    for (const [limit, size] of sizes) {
      if (from > last) break;
      const to = Math.min(last, limit);
      if (from > to) continue;
      if (size === 1) ascii.push([from, to]);
      else parts.push(...encoded(bytesOf(from, size), bytesOf(to, size)));
      from = to + 1;
    }
  }
  if (ascii.length > 0) parts.unshift({ kind: 'byte', ranges: ascii });
  return choice(...parts);
}

/** The last code point of each length in bytes. */
const sizes = [
  [0x7f, 1],
  [0x7ff, 2],
  [0xffff, 3],
  [0x10ffff, 4],
] as const;

function bytesOf(code: number, size: number): number[] {
  const bytes: number[] = [];
  for (let rest = code, left = size; left > 1; left -= 1, rest >>= 6) bytes.unshift(0x80 | (rest & 0x3f));
  const head = code >> (6 * (size - 1));
  return [((0xf00 >> size) & 0xff) | head, ...bytes];
}

/** Every byte sequence between two of the same length. */
function encoded(from: readonly number[], to: readonly number[]): Expression[] {
  const [low, ...lows] = from as [number, ...number[]];
  const [high, ...highs] = to as [number, ...number[]];
  if (lows.length === 0) return [byte([low, high])];
  const least = lows.map(() => 0x80);
  const most = lows.map(() => 0xbf);
  const then = (first: number, last: number, rest: Expression[]): Expression =>
    sequence(byte([first, last]), choice(...rest));
  if (low === high) return [then(low, low, encoded(lows, highs))];
  const parts: Expression[] = [];
  let first = low;
  let last = high;
  if (lows.some((value) => value !== 0x80)) {
    parts.push(then(first, first, encoded(lows, most)));
    first += 1;
  }
  const ragged = highs.some((value) => value !== 0xbf);
  if (ragged) last -= 1;
  if (first <= last) parts.push(then(first, last, encoded(least, most)));
  if (ragged) parts.push(then(high, high, encoded(least, highs)));
  return parts;
}
