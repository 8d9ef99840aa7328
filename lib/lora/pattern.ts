// Regular expressions of adapter configs, matched in time linear in the text: a config is foreign input, and a
// backtracking matcher takes exponential time on some of them.
//
// The syntax is what Python's and JavaScript's expressions share, with lookahead; back references, lookbehind, and
// possessive or atomic groups are refused. A match is of the whole text (Python's `fullmatch`).

export class PatternError extends Error {
  override name = 'PatternError';
}

/** The elementary steps that all patterns of one config may take together: some tenths of a second. */
export class Effort {
  #left = 8_000_000;

  /** @throws PatternError once they are used up. */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new PatternError('takes too long to match');
  }
}

type Test = (code: number) => boolean;

type Node =
  | { kind: 'character'; test: Test }
  | { kind: 'sequence' | 'choice'; parts: readonly Node[] }
  | { kind: 'repeat'; part: Node; min: number; max: number }
  | { kind: 'condition'; holds: (text: string, at: number) => boolean };

/** Takes one character where it has a test; else goes on for free where its condition holds. */
interface State {
  test?: Test;
  holds?: (text: string, at: number) => boolean;
  next: number[];
}

const mostStates = 50_000;
const mostDepth = 64;
const end = 0;

/** A program of states; state 0 accepts. */
class Program {
  readonly #states: State[] = [{ next: [] }];
  readonly #start: number;

  constructor(
    root: Node,
    private readonly effort: Effort,
  ) {
    this.#start = this.#built(root, end);
  }

  /** Whether a match begins at `from`; of the whole rest of the text where `whole` is set. */
  runs(text: string, from: number, whole: boolean): boolean {
    const seen = new Int32Array(this.#states.length).fill(-1);
    let current = this.#closure([this.#start], text, from, seen);
    for (let at = from; ; at++) {
      this.effort.spend(current.length + 1);
      const done = current.includes(end);
      if (done && (!whole || at === text.length)) return true;
      if (current.length === 0 || at === text.length) return false;
      const code = text.charCodeAt(at);
      const targets: number[] = [];
      for (const index of current) {
        const { test, next } = this.#states[index]!;
        if (test?.(code)) targets.push(next[0]!);
      }
      current = this.#closure(targets, text, at + 1, seen);
    }
  }

  /** The states that are reached without taking a character; `seen` holds the place where each was reached last. */
  #closure(from: number[], text: string, at: number, seen: Int32Array): number[] {
    const reached: number[] = [];
    const waiting = from;
    for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
      this.effort.spend(1);
      if (seen[index] === at) continue;
      seen[index] = at;
      const { test, holds, next } = this.#states[index]!;
      if (test || index === end) reached.push(index);
      else if (!holds || holds(text, at)) waiting.push(...next);
    }
    return reached;
  }

  #state(state: State): number {
    this.effort.spend(4);
    if (this.#states.length >= mostStates) throw new PatternError('is too large');
    return this.#states.push(state) - 1;
  }

  /** The first state of a node that goes on at `next`. */
  #built(node: Node, next: number): number {
    switch (node.kind) {
      case 'character':
        return this.#state({ test: node.test, next: [next] });
      case 'condition':
        return this.#state({ holds: node.holds, next: [next] });
      case 'sequence':
        return node.parts.reduceRight((after, part) => this.#built(part, after), next);
      case 'choice':
        return this.#state({ next: node.parts.map((part) => this.#built(part, next)) });
      case 'repeat': {
        let after = next;
        if (node.max === Number.POSITIVE_INFINITY) {
          after = this.#state({ next: [next] });
          this.#states[after]!.next.push(this.#built(node.part, after));
        } else {
          for (let i = node.min; i < node.max; i++)
            after = this.#state({ next: [next, this.#built(node.part, after)] });
        }
        for (let i = 0; i < node.min; i++) after = this.#built(node.part, after);
        return after;
      }
    }
  }
}

export class Pattern {
  readonly #fits: (text: string) => boolean;

  /**
   * @param behind `'dot'`: any text that ends in a dot may stand before the match, as PEFT looks up ranks
   * @throws PatternError whose message goes on behind the expression's name: `must be a regular expression, …`
   */
  constructor(source: string, effort: Effort, behind: 'nothing' | 'dot' = 'nothing') {
    // A config may list each of its layers by its whole path: that takes no program.
    if (/^(?:[\w-]|\\?\.)*$/.test(source)) {
      const wanted = Array.from(source.matchAll(/\\?./g), ([part]) =>
        part === '.' ? any : part.charCodeAt(part.length - 1),
      );
      effort.spend(wanted.length);
      this.#fits = (text) => endsWith(text, wanted, behind, effort);
      return;
    }
    const inside = new Reader(source, effort).whole();
    const dot: Node = { kind: 'character', test: is(0x2e) };
    const path: Node = {
      kind: 'sequence',
      parts: [{ kind: 'repeat', part: anything, min: 0, max: Number.POSITIVE_INFINITY }, dot],
    };
    const before: Node = { kind: 'repeat', part: path, min: 0, max: 1 };
    const program = new Program(behind === 'dot' ? { kind: 'sequence', parts: [before, inside] } : inside, effort);
    this.#fits = (text) => program.runs(text, 0, true);
  }

  /** @throws PatternError beyond the effort. */
  matches(text: string): boolean {
    return this.#fits(text);
  }
}

/** Any character but the end of a line. */
const any = -1;

function endsWith(text: string, wanted: readonly number[], behind: 'nothing' | 'dot', effort: Effort): boolean {
  const start = text.length - wanted.length;
  if (start !== 0 && (behind === 'nothing' || text[start - 1] !== '.')) return false;
  for (let i = wanted.length - 1; i >= 0; i--) {
    effort.spend(1);
    const code = text.charCodeAt(start + i);
    if (wanted[i] === any ? code === 10 || code === 13 : code !== wanted[i]) return false;
  }
  return true;
}

const word: Test = (code) =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || code === 0x5f || (code >= 0x61 && code <= 0x7a);
const classes: Readonly<Record<string, Test>> = {
  d: (code) => code >= 0x30 && code <= 0x39,
  w: word,
  s: (code) => code === 0x20 || (code >= 0x09 && code <= 0x0d),
};
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };
const anything: Node = { kind: 'character', test: (code) => code !== 10 && code !== 13 };
const isBorder = (text: string, at: number): boolean =>
  (at > 0 && word(text.charCodeAt(at - 1))) !== (at < text.length && word(text.charCodeAt(at)));
const conditions: Readonly<Record<string, (text: string, at: number) => boolean>> = {
  '^': (_, at) => at === 0,
  $: (text, at) => at === text.length,
  A: (_, at) => at === 0,
  Z: (text, at) => at === text.length,
  b: isBorder,
  B: (text, at) => !isBorder(text, at),
};

class Reader {
  #at = 0;
  #depth = 0;
  #ignoresCase = false;

  constructor(
    private readonly source: string,
    private readonly effort: Effort,
  ) {}

  whole(): Node {
    if (this.#take('(?i)')) this.#ignoresCase = true;
    const node = this.#choice();
    if (this.#at < this.source.length) this.#fail("')' without a '('");
    return node;
  }

  #choice(): Node {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (let next = this.source[this.#at]; next !== undefined && next !== '|' && next !== ')'; ) {
      parts.push(this.#quantified());
      next = this.source[this.#at];
    }
    return { kind: 'sequence', parts };
  }

  #quantified(): Node {
    if (this.#bounds()) this.#fail('nothing to repeat');
    const part = this.#atom();
    const bounds = this.#bounds();
    if (!bounds) return part;
    if (!this.#take('?') && this.source[this.#at] === '+') this.#fail('a possessive quantifier is not supported');
    if (this.#bounds()) this.#fail('a quantifier of a quantifier');
    return { kind: 'repeat', part, ...bounds };
  }

  /** A quantifier's bounds. A brace that is none is a character. */
  #bounds(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take('?')) return { min: 0, max: 1 };
    const counted = /\{(\d{0,6})(,?)(\d{0,6})\}/y;
    counted.lastIndex = this.#at;
    const [all, least, comma, most] = counted.exec(this.source) ?? [];
    if (all === undefined || (least === '' && (comma === '' || most === ''))) return undefined;
    this.#at += all.length;
    const min = Number(least);
    const max = comma === '' ? min : most === '' ? Number.POSITIVE_INFINITY : Number(most);
    if (min > max) this.#fail('a quantifier whose bounds are out of order');
    return { min, max };
  }

  #atom(): Node {
    const next = this.source[this.#at++]!;
    if (next === '(') return this.#group();
    if (next === '[') return this.#character(this.#set());
    if (next === '.') return anything;
    if (next === '^' || next === '$') return { kind: 'condition', holds: conditions[next]! };
    if (next !== '\\') return this.#character(is(next.charCodeAt(0)));
    const holds = conditions[this.source[this.#at] ?? ''];
    if (!holds || this.source[this.#at] === '^' || this.source[this.#at] === '$')
      return this.#character(this.#escape());
    this.#at++;
    return { kind: 'condition', holds };
  }

  #group(): Node {
    if (++this.#depth > mostDepth) this.#fail(`groups are nested more than ${mostDepth} deep`);
    const looks = this.#take('?=') ? true : this.#take('?!') ? false : undefined;
    if (looks === undefined && this.source[this.#at] === '?') {
      const named = /\?(?::|P?<[A-Za-z_]\w*>)/y;
      named.lastIndex = this.#at;
      const [head] =
        named.exec(this.source) ?? this.#fail(`'(${this.source.slice(this.#at, this.#at + 2)}' is not supported`);
      this.#at += head.length;
    }
    const node = this.#choice();
    if (!this.#take(')')) this.#fail("'(' without a ')'");
    this.#depth--;
    if (looks === undefined) return node;
    const program = new Program(node, this.effort);
    return { kind: 'condition', holds: (text, at) => program.runs(text, at, false) === looks };
  }

  #set(): Test {
    const negated = this.#take('^');
    const tests: Test[] = [];
    const opened = this.#at;
    while (this.#at === opened || this.source[this.#at] !== ']') {
      const from = this.#member();
      if (typeof from === 'function' || this.source[this.#at] !== '-' || this.source[this.#at + 1] === ']') {
        tests.push(typeof from === 'function' ? from : is(from));
        continue;
      }
      this.#at++;
      const to = this.#member();
      if (typeof to === 'function' || to < from) return this.#fail('a range that is out of order');
      tests.push((code) => code >= from && code <= to);
    }
    this.#at++;
    return (code) => tests.some((test) => test(code)) !== negated;
  }

  #member(): number | Test {
    const next = this.source[this.#at++];
    if (next === undefined) return this.#fail("'[' without a ']'");
    if (next !== '\\') return next.charCodeAt(0);
    const before = this.#at;
    const test = this.#escape();
    return classes[this.source[before]!.toLowerCase()] ? test : this.#code(before);
  }

  #escape(): Test {
    const next = this.source[this.#at];
    const known = classes[next?.toLowerCase() ?? ''];
    if (!known || next === undefined) return is(this.#code(this.#at));
    this.#at++;
    return next === next.toLowerCase() ? known : (code) => !known(code);
  }

  /** The character that an escape at `from`, behind its backslash, stands for. */
  #code(from: number): number {
    const next = this.source[from];
    if (next === undefined) return this.#fail('a backslash at the end');
    this.#at = from + 1;
    const control = controls[next];
    if (control !== undefined) return control;
    if (next === 'x' || next === 'u') {
      const digits = this.source.slice(from + 1, from + (next === 'x' ? 3 : 5));
      if (!/^(?:[\da-fA-F]{2}){1,2}$/.test(digits)) return this.#fail(`'\\${next}' without its digits`);
      this.#at += digits.length;
      return Number.parseInt(digits, 16);
    }
    if (/[A-Za-z0-9]/.test(next)) return this.#fail(`'\\${next}' is not supported`);
    return next.charCodeAt(0);
  }

  #character(test: Test): Node {
    if (!this.#ignoresCase) return { kind: 'character', test };
    const other = (code: number): number => {
      const letter = String.fromCharCode(code);
      const lower = letter.toLowerCase();
      return (letter === lower ? letter.toUpperCase() : lower).charCodeAt(0);
    };
    return { kind: 'character', test: (code) => test(code) || test(other(code)) };
  }

  #take(wanted: string): boolean {
    if (!this.source.startsWith(wanted, this.#at)) return false;
    this.#at += wanted.length;
    return true;
  }

  #fail(what: string): never {
    throw new PatternError(`must be a regular expression: ${what}, before its character ${this.#at + 1}`);
  }
}

const is =
  (wanted: number): Test =>
  (code) =>
    code === wanted;
