// A streaming parser of calls: names as soon as they are known, then arguments as they come, as OpenAI's stream has
// them. Text that turns out to be no call is given out as content.
//
// The parser finds where a dialect's calls may begin and lets its reader read from there; it knows no dialect itself.

import type { AnswerEnd, ToolEvent } from './answer-reader.js';
import type { Dialect } from './dialects/dialect.js';
import { begunBy, type CallPart, Input, type Reading } from './reading.js';
import type { ToolDefinition } from './tool-definition.js';

export interface ToolParserOptions {
  dialect: Dialect;
  /** The dialect's marks by the control token that stands for them. */
  marks: ReadonlyMap<number, string>;
  /** The functions that may be called, by name. */
  callable: ReadonlyMap<string, ToolDefinition['function']>;
  /** Whether an answer may hold several calls; if not, all text behind the first call is dropped. */
  parallel: boolean;
  /** Whether the answer must be calls, so that what begins as one is no other text. */
  forced?: boolean;
  newId: () => string;
}

/** Calls that are being read. */
interface Section {
  input: Input;
  reading: Reading;
  /** The opening with the white space before it: content where no call follows. */
  opening: string;
  /** Whether the opening is markup, which begins nothing but calls. */
  marked: boolean;
}

/** The fewest characters of markup that an answer cut off after them is not content for. */
const leastMarkup = 2;

export class ToolParser {
  /** Text that may still belong to what opens a call. */
  #held = '';
  #section: Section | undefined;
  /** Calls so far. */
  #count = 0;
  /** Whether there was anything but white space. */
  #begun = false;
  #full = false;
  #ended = false;
  #cut = false;
  /** Arguments of the call at hand, as far as they are read. */
  #arguments = '';
  #broken = false;

  constructor(private readonly options: ToolParserOptions) {}

  /** Tokens that brought reasoning, where the dialect reads it. */
  reasoningTokens = 0;

  /** Whether there was a call. */
  get called(): boolean {
    return this.#count > 0;
  }

  /** Whether there were calls, and all of them have JSON objects as arguments. */
  get complete(): boolean {
    return this.called && !this.#broken && this.#arguments === '';
  }

  /** Reads on. `token` is the one that brought the text; a control token has no text of its own. */
  push(text: string, token?: number): ToolEvent[] {
    const events: ToolEvent[] = [];
    if (this.#section) this.#section.input.rest += text;
    else this.#held += text;
    this.#run(events);
    const mark = token === undefined ? undefined : this.options.marks.get(token);
    if (mark !== undefined) this.#mark(mark, events);
    if (token !== undefined && events.some(({ type }) => type === 'reasoning')) this.reasoningTokens += 1;
    return events;
  }

  /** Ends the answer and gives out text that was held back, but for the markup of a call that was cut off. */
  end({ cut }: AnswerEnd = { cut: false }): ToolEvent[] {
    const events: ToolEvent[] = [];
    this.#ended = true;
    this.#cut = cut;
    if (this.#section) this.#section.input.ended = true;
    this.#run(events);
    const begun = cut ? begunBy(this.#held, this.options.dialect.openings) : 0;
    if (begun >= (this.options.forced ? 1 : leastMarkup)) this.#held = this.#held.slice(0, -begun).trimEnd();
    const mayBeBlank = !this.called && !this.options.forced;
    if (mayBeBlank || /\S/.test(this.#held)) this.#text(this.#held, events);
    this.#held = '';
    return events;
  }

  /** A mark goes to the current reader, or opens calls. One that neither expects is dropped. */
  #mark(mark: string, events: ToolEvent[]): void {
    for (let section = this.#section; section; section = this.#section) {
      const { input } = section;
      input.mark = mark;
      this.#run(events);
      if (input.mark === undefined) return;
      input.mark = undefined;
      if (this.#section === section) return;
    }
    if (this.#full || !this.options.dialect.openings.includes(mark)) return;
    this.#open(this.#held.length, 0, mark, events);
    this.#run(events);
  }

  #run(events: ToolEvent[]): void {
    while (this.#section ? this.#read(this.#section, events) : this.#plain(events));
  }

  /** Reads calls; false where more text is needed. */
  #read(section: Section, events: ToolEvent[]): boolean {
    const { input, reading } = section;
    for (;;) {
      const { value, done } = reading.next();
      if (done) {
        this.#section = undefined;
        if (value) this.#held = input.rest;
        else this.#noCall(section, events);
        return true;
      }
      if (value === 'more') return false;
      this.#take(section, value, events);
      if (this.#full) {
        this.#section = undefined;
        return true;
      }
    }
  }

  /** Gives out a false opening as text; the text behind it is searched again. */
  #noCall({ opening, input, marked }: Section, events: ToolEvent[]): void {
    if (this.#cut && (marked || this.options.forced)) {
      // The rest was not written, so that nothing says it is no call.
      this.#held = '';
      return;
    }
    const all = opening + input.taken + input.rest;
    const length = Math.max(1, opening.trim() === '' ? opening.length + 1 : opening.length);
    this.#text(all.slice(0, length), events);
    this.#held = all.slice(length);
  }

  /** Gives out text up to where calls begin; false where none do so far. */
  #plain(events: ToolEvent[]): boolean {
    if (this.#full) this.#held = '';
    const held = this.#held;
    const { bare, openings } = this.options.dialect;
    const first = held.trimStart();
    if (bare !== undefined && !this.#begun && first !== '') {
      if (first.startsWith(bare)) return this.#open(held.length - first.length, 0, bare, events);
      if (bare.startsWith(first) && !this.#ended) return false;
    }
    let at = -1;
    let found = '';
    for (const opening of openings) {
      const place = held.indexOf(opening);
      if (place >= 0 && (at < 0 || place < at)) [at, found] = [place, opening];
    }
    if (at >= 0) return this.#open(at, found.length, found, events);
    // White space before a call is dropped, so it waits with what may be the beginning of one.
    const certain = held.slice(0, held.length - begunBy(held, openings)).trimEnd();
    this.#text(certain, events);
    this.#held = held.slice(certain.length);
    return false;
  }

  /** The text up to `at` is certain, but for white space at its end; `length` characters there open calls. */
  #open(at: number, length: number, by: string, events: ToolEvent[]): true {
    const certain = this.#held.slice(0, at).trimEnd();
    this.#text(certain, events);
    const { dialect, callable } = this.options;
    const input = new Input();
    input.rest = this.#held.slice(at + length);
    input.ended = this.#ended;
    const opening = this.#held.slice(certain.length, at + length);
    const marked = dialect.openings.includes(by);
    this.#section = { input, opening, marked, reading: dialect.read(input, { opening: by, callable }) };
    this.#held = '';
    return true;
  }

  #take(section: Section, part: CallPart, events: ToolEvent[]): void {
    section.input.taken = '';
    section.opening = '';
    if (part.type === 'name') {
      events.push({ type: 'call', index: this.#count, id: part.id ?? this.options.newId(), name: part.text });
      this.#count += 1;
      this.#begun = true;
      this.#arguments = ' ';
    } else if (part.type === 'end') {
      this.#broken ||= !isObjectText(this.#arguments);
      this.#arguments = '';
      this.#full = !this.options.parallel;
    } else if (part.type === 'text') {
      this.#text(part.text, events);
    } else if (part.type === 'reasoning') {
      events.push({ type: 'reasoning', text: part.text });
    } else if (part.text !== '') {
      this.#arguments += part.text;
      events.push({ type: 'arguments', index: this.#count - 1, text: part.text });
    }
  }

  #text(text: string, events: ToolEvent[]): void {
    if (text === '') return;
    this.#begun ||= /\S/.test(text);
    const last = events.at(-1);
    if (last?.type === 'text') last.text += text;
    else events.push({ type: 'text', text });
  }
}

function isObjectText(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
