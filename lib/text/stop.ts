// Stop strings over a stream: text is given out as soon as it can't be the beginning of a stop string any more.
//
// The match that ends first counts (of several ending together the longest), so the answer does not depend on how the
// text was cut into pieces. The stop string itself and all that follows are left out.

export interface StopResult {
  /** Text that is certain to come before any stop string. */
  emit: string;
  stopped: boolean;
  /** The stop string that was found. */
  matched?: string;
}

export class StopStrings {
  private readonly stops: readonly Watched[];
  private held = '';
  private matched: string | undefined;

  /** Empty strings stop nothing. */
  constructor(stops: readonly string[]) {
    this.stops = stops.filter((stop) => stop !== '').map((stop) => new Watched(stop));
  }

  push(text: string): StopResult {
    if (this.matched !== undefined) return { emit: '', stopped: true, matched: this.matched };
    const seen = this.held + text;
    for (let at = this.held.length; at < seen.length; at += 1) {
      let found: string | undefined;
      for (const stop of this.stops) {
        if (stop.ends(seen.charCodeAt(at)) && stop.text.length > (found?.length ?? 0)) found = stop.text;
      }
      if (found === undefined) continue;
      this.matched = found;
      this.held = '';
      return { emit: seen.slice(0, at + 1 - found.length), stopped: true, matched: found };
    }
    const held = this.stops.reduce((most, { begun }) => Math.max(most, begun), 0);
    const cut = seen.length - held;
    this.held = seen.slice(cut);
    return { emit: seen.slice(0, cut), stopped: false };
  }

  /** The text held back at the end of the stream, which turned out to begin no stop string. */
  flush(): string {
    const rest = this.held;
    this.held = '';
    for (const stop of this.stops) stop.begun = 0;
    return rest;
  }
}

/** One stop string, matched in a constant time a character (Knuth, Morris and Pratt, 1977). */
class Watched {
  /** How many of its characters the text ends with. */
  begun = 0;
  /** For each length of a beginning, the longest shorter beginning that it ends with. */
  readonly #shorter: Int32Array;

  constructor(readonly text: string) {
    this.#shorter = new Int32Array(text.length + 1);
    for (let at = 1, length = 0; at < text.length; at += 1) {
      while (length > 0 && text[at] !== text[length]) length = this.#shorter[length]!;
      if (text[at] === text[length]) length += 1;
      this.#shorter[at + 1] = length;
    }
  }

  /** Whether the text ends with the stop string, one more character read. */
  ends(character: number): boolean {
    const { text } = this;
    while (this.begun > 0 && (this.begun === text.length || text.charCodeAt(this.begun) !== character)) {
      this.begun = this.#shorter[this.begun]!;
    }
    if (text.charCodeAt(this.begun) === character) this.begun += 1;
    return this.begun === text.length;
  }
}
