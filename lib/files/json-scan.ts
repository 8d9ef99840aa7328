// A JSON reader that takes one token at a time. JSON.parse keeps the last of two equal keys, often can't say where a
// text breaks, and spends up to twenty times the text's size on hostile nesting; this one has none of these faults, so
// file headers are read with it and readJson uses it to find the place of an error.

export class JsonScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The next character that isn't white space, not consumed; '' at the end. */
  peek(): string {
    for (;;) {
      const c = this.#text[this.#at];
      if (c !== ' ' && c !== '\n' && c !== '\r' && c !== '\t') return c ?? '';
      this.#at++;
    }
  }

  /** Consumes `c` if it comes next. */
  take(c: string): boolean {
    if (this.peek() !== c) return false;
    this.#at++;
    return true;
  }

  expect(c: string): void {
    if (!this.take(c)) this.fail(`expected '${c}'`);
  }

  /** Nothing but white space may follow. */
  end(): void {
    if (this.peek() !== '') this.fail('unexpected text after the value');
  }

  string(): string {
    if (this.peek() !== '"') this.fail('expected a string');
    const start = this.#at;
    let escaped = false;
    let at = start + 1;
    for (; ; at++) {
      const code = this.#text.charCodeAt(at);
      if (code === 0x22) break;
      if (code === 0x5c) {
        escaped = true;
        at++;
      } else if (!(code >= 0x20)) {
        this.#at = Math.min(at, this.#text.length);
        this.fail(at < this.#text.length ? 'control character inside a string' : 'a string has no end');
      }
    }
    let value = this.#text.slice(start + 1, at);
    if (escaped) {
      try {
        value = JSON.parse(this.#text.slice(start, at + 1)) as string;
      } catch {
        this.fail('bad escape in a string');
      }
    }
    this.#at = at + 1;
    return value;
  }

  /** A size or an offset: digits only, and exact in a double. */
  integer(): number {
    this.peek();
    const start = this.#at;
    const digits = this.#match(/(?:0|[1-9][0-9]*)(?![0-9.eE])/y);
    const value = Number(digits);
    if (digits === undefined || !Number.isSafeInteger(value)) {
      this.#at = start;
      this.fail('expected an integer from 0 to 2^53 - 1');
    }
    return value;
  }

  /** `{ "key": …, … }`: calls `value` with each key, which must consume its value. Equal keys fail. */
  object(value: (key: string) => void): void {
    this.expect('{');
    const seen = new Set<string>();
    if (this.take('}')) return;
    do {
      if (this.peek() !== '"') this.fail('expected a key');
      const start = this.#at;
      const key = this.string();
      if (seen.has(key)) {
        this.#at = start;
        this.fail('the same key twice');
      }
      seen.add(key);
      this.expect(':');
      value(key);
    } while (this.take(','));
    this.expect('}');
  }

  /** `[ …, … ]`: calls `value` for each element, which must consume it. */
  array(value: () => void): void {
    this.expect('[');
    if (this.take(']')) return;
    do value();
    while (this.take(','));
    this.expect(']');
  }

  /** Passes over one value of any kind. Keeps its own stack of brackets, so depth can't overflow the engine's. */
  skip(): void {
    const open: string[] = [];
    for (;;) {
      const c = this.peek();
      if (c === '{' || c === '[') {
        this.#at++;
        if (!this.take(c === '{' ? '}' : ']')) {
          open.push(c);
          if (c === '{') this.#key();
          continue;
        }
      } else if (c === '"') {
        this.string();
      } else if (this.#match(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y) === undefined) {
        this.fail(c === '' ? 'the text ends too early' : `unexpected '${c}'`);
      }
      // A value has ended: so may the brackets around it.
      for (;;) {
        const inside = open.at(-1);
        if (inside === undefined) return;
        if (this.take(',')) {
          if (inside === '{') this.#key();
          break;
        }
        this.expect(inside === '{' ? '}' : ']');
        open.pop();
      }
    }
  }

  /** Throws a SyntaxError that says where in the text the next token stands. */
  fail(what: string): never {
    const before = this.#text.slice(0, this.#at);
    const line = before.split('\n').length;
    const column = this.#at - before.lastIndexOf('\n');
    throw new SyntaxError(`line ${line}, column ${column}: ${what}`);
  }

  #key(): void {
    if (this.peek() !== '"') this.fail('expected a key');
    this.string();
    this.expect(':');
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

/** Where a text stops being JSON, and why: `line 3, column 7: …`. Undefined if it is JSON. */
export function placeOfError(text: string): string | undefined {
  const scanner = new JsonScanner(text);
  try {
    scanner.skip();
    scanner.end();
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}
