// Regular expressions as grammars of a JSON string's inside: literals, classes, groups, alternatives, quantifiers, and
// anchors at the ends. Lookaround, back references and character properties are refused.

import {
  type CodeRange,
  character,
  choice,
  type Expression,
  empty,
  repeat,
  rule,
  sequence,
  text,
} from './expression.js';
import { stringCharacter } from './json.js';

const last = 0x10ffff;
const mostRepeats = 256;
const mostGroups = 32;
const mostLength = 4000;

const classes: Record<string, readonly CodeRange[]> = {
  d: [[0x30, 0x39]],
  w: [
    [0x30, 0x39],
    [0x41, 0x5a],
    [0x5f, 0x5f],
    [0x61, 0x7a],
  ],
  // The white space that \s writes: fewer characters than it matches.
  s: [
    [0x09, 0x0a],
    [0x20, 0x20],
  ],
};
/** All white space: \S must not take any of it. */
const allSpace: readonly CodeRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const lineEnds: readonly CodeRange[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const controls: Record<string, number> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

class Unsupported extends Error {}

/** How a text that matches is written. */
interface Writing {
  one(ranges: readonly CodeRange[]): Expression;
  /** Whether other text may stand around a branch without anchors. */
  open: boolean;
}

/** A JSON string's inside that matches the pattern; undefined where the pattern is not understood. */
export function patternExpression(pattern: string): Expression | undefined {
  return read(pattern, { one: inString, open: true });
}

/** A text that matches the whole pattern; undefined where the pattern is not understood. */
export function textExpression(pattern: string): Expression | undefined {
  return read(pattern, { one: plainly, open: false });
}

function read(pattern: string, writing: Writing): Expression | undefined {
  if (pattern.length > mostLength) return undefined;
  try {
    return new Reader(pattern, writing).whole();
  } catch (error) {
    if (error instanceof Unsupported) return undefined;
    throw error;
  }
}

/** The expressions that stand for one character each, however it is written. */
const characters = new WeakSet<Expression>();

/** Whether an expression of a pattern is one character. */
export function isCharacter(part: Expression): boolean {
  return characters.has(part) || part === stringCharacter;
}

const anything = repeat(stringCharacter, 0, Number.POSITIVE_INFINITY);

class Reader {
  private readonly source: readonly string[];
  private at = 0;
  private groups = 0;

  constructor(
    pattern: string,
    private readonly writing: Writing,
  ) {
    this.source = Array.from(pattern);
  }

  whole(): Expression {
    const branches = [this.anchored()];
    while (this.take('|')) branches.push(this.anchored());
    if (this.at < this.source.length) throw new Unsupported();
    return choice(...branches);
  }

  /** A branch at the top: anchors there say whether other text may stand around it. */
  private anchored(): Expression {
    const starts = this.take('^');
    const inside = this.branch();
    const ends = this.take('$');
    const { open } = this.writing;
    return sequence(starts || !open ? empty : anything, inside, ends || !open ? empty : anything);
  }

  private branch(): Expression {
    const parts: Expression[] = [];
    for (let next = this.peek(); next !== undefined && !'|)$'.includes(next); next = this.peek()) {
      parts.push(this.quantified());
    }
    return sequence(...parts);
  }

  private quantified(): Expression {
    const part = this.atom();
    const bounds = this.quantifier();
    if (!bounds) return part;
    this.take('?');
    if ('*+?{'.includes(this.peek() ?? ' ')) throw new Unsupported();
    // As a rule it is built once, not once a repetition.
    return repeat(rule(part), ...bounds);
  }

  private quantifier(): [min: number, max: number] | undefined {
    if (this.take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.take('?')) return [0, 1];
    const counted = /^\{(\d{1,4})(,)?(\d{1,4})?\}/.exec(this.source.slice(this.at, this.at + 12).join(''));
    if (!counted) return undefined;
    this.at += counted[0].length;
    const min = Number(counted[1]);
    const max = counted[3] !== undefined ? Number(counted[3]) : counted[2] ? Number.POSITIVE_INFINITY : min;
    if (min > mostRepeats || (Number.isFinite(max) && max > mostRepeats) || min > max) throw new Unsupported();
    return [min, max];
  }

  private atom(): Expression {
    const next = this.source[this.at++]!;
    switch (next) {
      case '(':
        return this.group();
      case '[':
        return this.writing.one(this.set());
      case '.':
        return this.writing.one(without(lineEnds));
      case '\\':
        return this.writing.one(this.escape());
      case '^':
      case '*':
      case '+':
      case '?':
      case '{':
        throw new Unsupported();
      default:
        return this.writing.one([[next.codePointAt(0)!, next.codePointAt(0)!]]);
    }
  }

  private group(): Expression {
    this.groups += 1;
    if (this.groups > mostGroups) throw new Unsupported();
    if (this.take('?') && !this.take(':')) {
      const name = /^<[A-Za-z_]\w*>/.exec(this.source.slice(this.at).join(''));
      if (!name) throw new Unsupported();
      this.at += name[0].length;
    }
    const branches = [this.branch()];
    while (this.take('|')) branches.push(this.branch());
    if (!this.take(')')) throw new Unsupported();
    return choice(...branches);
  }

  private escape(): readonly CodeRange[] {
    const next = this.source[this.at++];
    if (next === undefined) throw new Unsupported();
    const known = classes[next];
    if (known) return known;
    if (next === 'S') return without(allSpace);
    if (next === 'D' || next === 'W') return without(classes[next.toLowerCase()]!);
    const control = controls[next];
    if (control !== undefined) return [[control, control]];
    if (next === 'x' || next === 'u') {
      const digits = this.source.slice(this.at, this.at + (next === 'x' ? 2 : 4)).join('');
      const code = Number.parseInt(digits, 16);
      if (!/^[0-9a-fA-F]+$/.test(digits) || (code >= 0xd800 && code < 0xe000)) throw new Unsupported();
      this.at += digits.length;
      return [[code, code]];
    }
    // Other letters and digits have meanings of their own: \b, \p, \k, \1.
    if (/[A-Za-z0-9]/.test(next)) throw new Unsupported();
    return [[next.codePointAt(0)!, next.codePointAt(0)!]];
  }

  private set(): readonly CodeRange[] {
    const negated = this.take('^');
    const ranges: CodeRange[] = [];
    while (!this.take(']')) {
      const first = this.member();
      if (this.peek() === '-' && this.source[this.at + 1] !== ']' && first.length === 1) {
        this.at += 1;
        const end = this.member();
        const [from, to] = [first[0]![0], end[0]?.[1] ?? -1];
        if (end.length !== 1 || from > to) throw new Unsupported();
        ranges.push([from, to]);
      } else {
        ranges.push(...first);
      }
    }
    if (!negated) return ranges;
    // A negated \s leaves out all white space, not only what \s itself writes.
    return without(ranges.some(([from, to]) => from === 9 && to === 10) ? [...ranges, ...allSpace] : ranges);
  }

  private member(): readonly CodeRange[] {
    const next = this.source[this.at++];
    if (next === undefined) throw new Unsupported();
    if (next === '\\') return this.take('b') ? [[8, 8]] : this.escape();
    return [[next.codePointAt(0)!, next.codePointAt(0)!]];
  }

  private peek(): string | undefined {
    return this.source[this.at];
  }

  private take(wanted: string): boolean {
    if (this.peek() !== wanted) return false;
    this.at += 1;
    return true;
  }
}

/** Every code point outside the ranges. */
export function without(ranges: readonly CodeRange[]): CodeRange[] {
  const rest: CodeRange[] = [];
  let from = 0;
  for (const [first, end] of ranges.toSorted((a, b) => a[0] - b[0])) {
    if (first > from) rest.push([from, first - 1]);
    from = Math.max(from, end + 1);
  }
  if (from <= last) rest.push([from, last]);
  return rest;
}

/** The characters of a JSON string without an escape: no control characters, quotes, backslashes or surrogates. */
const unescaped: readonly CodeRange[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0xd7ff],
  [0xe000, last],
];
const escapes: readonly [code: number, written: Expression][] = [
  [8, text('\\b')],
  [9, text('\\t')],
  [10, text('\\n')],
  [12, text('\\f')],
  [13, text('\\r')],
  [34, text('\\"')],
  [92, text('\\\\')],
];

/** One of the characters as it is. Surrogates are no characters. */
function plainly(ranges: readonly CodeRange[]): Expression {
  const surrogates: CodeRange = [0xd800, 0xdfff];
  return character(without([...without(ranges), surrogates]));
}

/** One of the characters, as JSON writes it inside a string. */
export function inString(ranges: readonly CodeRange[]): Expression {
  const plain = unescaped.flatMap(([low, high]) =>
    ranges.flatMap(([from, to]): CodeRange[] => {
      const both: CodeRange = [Math.max(low, from), Math.min(high, to)];
      return both[0] <= both[1] ? [both] : [];
    }),
  );
  const written = escapes
    .filter(([code]) => ranges.some(([from, to]) => code >= from && code <= to))
    .map(([, escaped]) => escaped);
  // An expression of its own, since a choice of one part is this part, which others share.
  const one = sequence(choice(...(plain.length > 0 ? [character(plain)] : []), ...written));
  characters.add(one);
  return one;
}
