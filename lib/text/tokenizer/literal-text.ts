// Text that spells control tokens and is not to become them: what users write in a conversation.
//
// A chat template mixes such text with control tokens of its own, so each spelling is marked before and the marks are
// taken out behind the search for control tokens. A mark is a noncharacter of Unicode behind the spelling's first
// character; one that the text itself holds is doubled. Text without either stays as it is.

const mark = '\ufdd0';

export class LiteralText {
  /** Matches the first character of each spelling; undefined where there are no control tokens. */
  readonly #spellings: RegExp | undefined;

  constructor(controlTokens: Iterable<string>) {
    // One character alone cannot be marked. In order, beginnings that are alike are compared once.
    const spelled = [...controlTokens].filter((token) => [...token].length > 1).sort();
    const pattern = spelled.map((token) => token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|');
    this.#spellings = spelled.length > 0 ? new RegExp(`(?=${pattern})(.)`, 'gsu') : undefined;
  }

  /** The value with all its texts and keys marked, but for the roles of messages; itself where it has nothing to mark. */
  marked<T>(value: T): T {
    return this.#marked(value) as T;
  }

  #marked(value: unknown, key?: string): unknown {
    if (typeof value === 'string') {
      if (key === 'role') return value;
      return key === 'arguments' ? this.#arguments(value) : this.#text(value);
    }
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) {
      const entries = value.map((entry) => this.#marked(entry));
      return entries.some((entry, i) => entry !== value[i]) ? entries : value;
    }
    let changed = false;
    const entries = Object.entries(value).map(([name, field]) => {
      const entry: [string, unknown] = [this.#text(name), this.#marked(field, name)];
      changed ||= entry[0] !== name || entry[1] !== field;
      return entry;
    });
    return changed ? Object.fromEntries(entries) : value;
  }

  #text(text: string): string {
    const doubled = text.includes(mark) ? text.replaceAll(mark, mark + mark) : text;
    return this.#spellings ? doubled.replace(this.#spellings, `$1${mark}`) : doubled;
  }

  /** A call's arguments, whose JSON may spell a token with escapes: then the object itself. */
  #arguments(text: string): unknown {
    if (!text.includes('\\')) return this.#text(text);
    try {
      const value: unknown = JSON.parse(text);
      const own = this.#marked(value);
      return own === value || typeof own !== 'object' ? this.#text(text) : own;
    } catch {
      return this.#text(text);
    }
  }

  /** Whether a text holds marks, or doubled ones. */
  static isMarked(text: string): boolean {
    return text.includes(mark);
  }

  /** A probe of how words write a mark: between two letters. */
  static readonly probe = `a${mark}a`;

  /** The words without marks, each of which they write as `written`. */
  static unmarked(words: readonly string[], written: string): string[] {
    if (written === '') return [...words];
    return words
      .map((word) =>
        word
          .split(written + written)
          .map((part) => part.replaceAll(written, ''))
          .join(written),
      )
      .filter((word) => word !== '');
  }
}
