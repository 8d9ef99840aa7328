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
  private readonly stops: readonly string[];
  private held = '';
  private matched: string | undefined;

  /** Empty strings stop nothing. */
  constructor(stops: readonly string[]) {
    this.stops = stops.filter((stop) => stop !== '');
  }

  push(text: string): StopResult {
    if (this.matched !== undefined) return { emit: '', stopped: true, matched: this.matched };
    const seen = this.held + text;
    let start = -1;
    let end = Number.POSITIVE_INFINITY;
    for (const stop of this.stops) {
      const at = seen.indexOf(stop);
      if (at < 0 || at + stop.length > end || (at + stop.length === end && at >= start)) continue;
      start = at;
      end = at + stop.length;
      this.matched = stop;
    }
    if (this.matched !== undefined) {
      this.held = '';
      return { emit: seen.slice(0, start), stopped: true, matched: this.matched };
    }
    const cut = seen.length - this.heldLength(seen);
    this.held = seen.slice(cut);
    return { emit: seen.slice(0, cut), stopped: false };
  }

  /** The text held back at the end of the stream, which turned out to begin no stop string. */
  flush(): string {
    const rest = this.held;
    this.held = '';
    return rest;
  }

  /** Length of the longest end of `seen` that begins a stop string. */
  private heldLength(seen: string): number {
    let longest = 0;
    for (const stop of this.stops) {
      for (let length = Math.min(stop.length - 1, seen.length); length > longest; length -= 1) {
        if (seen.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
