// The building blocks of a dialect's reader: a cursor over an answer that is still being written, and steps that take
// from it.
//
// A reader is a generator. It yields the parts of calls as it finds them, and 'more' where it needs further text.

/** One event: a call's name, then its arguments as JSON in pieces, then its end. */
export type CallPart =
  | { type: 'name'; text: string /** The call's id, where the model wrote one that must be kept. */; id?: string }
  | { type: 'arguments'; text: string }
  | { type: 'end' }
  /** Of a dialect that reads whole answers. */
  | { type: 'text' | 'reasoning'; text: string };

/**
 * A step, or a whole reader. A dialect's reader returns whether the text was calls; if not, all text that was taken
 * since the last part becomes content.
 */
export type Reading<T = boolean> = Generator<CallPart | 'more', T, void>;

/** The text after an opening, as far as it is written. */
export class Input {
  /** Not yet taken. */
  rest = '';
  /** Taken since the last part. */
  taken = '';
  /** The text of the control token that follows `rest`. A reader takes it by setting it to undefined. */
  mark: string | undefined;
  /** Whether the answer has ended. */
  ended = false;

  /** Whether `rest` will not grow before the mark is taken. */
  get closed(): boolean {
    return this.ended || this.mark !== undefined;
  }

  take(length: number): string {
    const text = this.rest.slice(0, length);
    this.taken += text;
    this.rest = this.rest.slice(length);
    return text;
  }
}

/** Length of the longest end of `text` that begins one of the markers, and is shorter than it. */
export function begunBy(text: string, markers: readonly string[]): number {
  let longest = 0;
  for (const marker of markers) {
    for (let length = Math.min(marker.length - 1, text.length); length > longest; length -= 1) {
      if (text.endsWith(marker.slice(0, length))) longest = length;
    }
  }
  return longest;
}

/** Takes white space, up to where something else begins. */
export function* blanks(input: Input): Reading<void> {
  for (;;) {
    input.take(input.rest.length - input.rest.trimStart().length);
    if (input.rest !== '' || input.closed) return;
    yield 'more';
  }
}

/** Takes `text`, written out or as a control token; returns whether it was there. */
export function* literal(input: Input, text: string): Reading {
  for (;;) {
    if (input.rest.startsWith(text)) {
      input.take(text.length);
      return true;
    }
    if (input.rest === '' && input.mark === text) {
      input.mark = undefined;
      return true;
    }
    if (input.closed || !text.startsWith(input.rest)) return false;
    yield 'more';
  }
}

/** Takes white space and `text` behind a call, if it follows. The end of the answer may cut it short. */
export function* closing(input: Input, text: string): Reading<void> {
  yield* blanks(input);
  if (yield* literal(input, text)) return;
  if (input.ended && text.startsWith(input.rest)) input.take(input.rest.length);
}

/** Takes the longest run, of at most `most` characters, that `characters` matches one by one. */
export function* run(input: Input, characters: RegExp, most: number): Reading<string> {
  for (let length = 0; ; ) {
    while (length < most && length < input.rest.length && characters.test(input.rest[length]!)) length += 1;
    if (length === most || length < input.rest.length || input.closed) return input.take(length);
    yield 'more';
  }
}
