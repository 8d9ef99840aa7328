// Calls of functions out of a text that is still being written: names as soon as they are known, then arguments as they
// come, as OpenAI's stream wants them. What turns out to be no call is given out as text.

import { type CallPart, CallReader } from './call-reader.js';
import type { ToolForm } from './tool-forms.js';

export type ToolEvent =
  | { type: 'text'; text: string }
  | { type: 'call'; index: number; id: string; name: string }
  | { type: 'arguments'; index: number; text: string };

export interface ToolParserOptions {
  /** Names that count; a bare object that names no other is text. */
  names: ReadonlySet<string>;
  /** Whether calls after the first count. */
  parallel: boolean;
  newId: () => string;
}

/** Between calls: text, white space and what a call may begin with. Inside: its name where that comes first, its object. */
type State = 'text' | 'opened' | 'named' | 'call' | 'closing' | 'ended';

const namedCall = /^([\w.-]{1,64})(?:\[CALL_ID\] ?\w{0,64})?\[ARGS\]/;
/** What may become the beginning of such a call. */
const namedStart = /^[\w.-]{0,64}(\[[\w[\] ]{0,90})?$/;

export class ToolParser {
  #state: State = 'text';
  /** Text that may still belong to what opens or closes a call. */
  #held = '';
  /** What opened the call at hand, with the white space around it: text after all where no call follows. */
  #opening = '';
  #call: CallReader | undefined;
  #index = 0;
  #begun = false;
  #listed = false;

  constructor(
    private readonly form: ToolForm,
    private readonly options: ToolParserOptions,
  ) {}

  /** Whether there was a call. */
  get called(): boolean {
    return this.#index > 0;
  }

  /** `token` is what brought the text: control tokens open calls and have no text of their own. */
  push(text: string, token?: number): ToolEvent[] {
    const events: ToolEvent[] = [];
    this.#held += text;
    if (
      token !== undefined &&
      token === this.form.openingToken &&
      (this.#state === 'text' || this.#state === 'closing')
    ) {
      this.#open(this.#held.length, 0, events);
    }
    if (token !== undefined && token === this.form.argumentsToken) this.#held += '[ARGS]';
    if (token !== undefined && token === this.form.idToken) this.#held += '[CALL_ID]';
    while (this.#step(events));
    return events;
  }

  /** What was held back. */
  end(): ToolEvent[] {
    const events: ToolEvent[] = [];
    if (this.#call) {
      const { parts, back } = this.#call.end();
      this.#take(parts, events);
      if (back !== undefined) this.#text(this.#opening + back, events);
    } else if (
      this.#state === 'text'
        ? !this.called || /\S/.test(this.#held)
        : this.#state === 'opened' || this.#state === 'named'
    ) {
      this.#text((this.#state === 'text' ? '' : this.#opening) + this.#held, events);
    }
    this.#held = '';
    this.#call = undefined;
    return events;
  }

  /** Goes on to another state; false where more text is needed. */
  #step(events: ToolEvent[]): boolean {
    switch (this.#state) {
      case 'text':
        return this.#plain(events);
      case 'opened':
        return this.#opened();
      case 'named':
        return this.#naming(events);
      case 'call': {
        const { used, parts, finished, back } = this.#call!.push(this.#held);
        this.#held = this.#held.slice(used);
        this.#take(parts, events);
        if (!finished) return false;
        this.#call = undefined;
        if (back !== undefined) return this.#noCall(back + this.#held, events);
        this.#state = this.called && !this.options.parallel ? 'ended' : this.called ? 'closing' : 'text';
        return true;
      }
      case 'closing':
        return this.#closing();
      case 'ended':
        this.#held = '';
        return false;
    }
  }

  #plain(events: ToolEvent[]): boolean {
    const held = this.#held;
    const start = held.search(/\S/);
    if (this.form.kind === 'llama' && !this.#begun && held[start] === '{') return this.#open(start, 0, events);
    let at = -1;
    let length = 0;
    for (const opening of this.form.opening) {
      const found = held.indexOf(opening);
      if (found >= 0 && (at < 0 || found < at)) [at, length] = [found, opening.length];
    }
    if (at >= 0) return this.#open(at, length, events);
    // White space before a call is dropped, so it waits with what may be the beginning of one.
    const certain = held.slice(0, held.length - this.#beginning(held)).trimEnd();
    this.#text(certain, events);
    this.#held = held.slice(certain.length);
    return false;
  }

  /** Length of the longest end of the text that begins an opening. */
  #beginning(held: string): number {
    let longest = 0;
    for (const opening of this.form.opening) {
      for (let length = Math.min(opening.length - 1, held.length); length > longest; length -= 1) {
        if (held.endsWith(opening.slice(0, length))) longest = length;
      }
    }
    return longest;
  }

  /** The text up to `at` is certain, but for white space at its end; `length` characters there open a call. */
  #open(at: number, length: number, events: ToolEvent[]): boolean {
    const before = this.#held.slice(0, at);
    const certain = before.trimEnd();
    this.#text(certain, events);
    this.#opening = this.#held.slice(certain.length, at + length);
    this.#held = this.#held.slice(at + length);
    this.#state = 'opened';
    return true;
  }

  /** What looked like a call is text; only behind its opening may another begin. */
  #noCall(held: string, events: ToolEvent[]): boolean {
    const length = Math.max(1, this.#opening.trim() === '' ? this.#opening.length + 1 : this.#opening.length);
    const all = this.#opening + held;
    this.#text(all.slice(0, length), events);
    this.#held = all.slice(length);
    this.#opening = '';
    this.#listed = false;
    this.#state = 'text';
    return true;
  }

  #skip(length: number): void {
    this.#opening += this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
  }

  #opened(): boolean {
    this.#skip(this.#held.length - this.#held.trimStart().length);
    if (this.form.kind === 'mistral' && !this.#listed && this.#held.startsWith('[')) {
      this.#listed = true;
      this.#skip(1);
      this.#skip(this.#held.length - this.#held.trimStart().length);
    }
    if (this.#held === '') return false;
    if (this.form.kind === 'named') {
      this.#state = 'named';
      return true;
    }
    // The bare form is any object, so its names must be known; a tag says that a call follows.
    const names = this.form.kind === 'llama' ? this.options.names : undefined;
    this.#call = new CallReader(names);
    this.#state = 'call';
    return true;
  }

  #naming(events: ToolEvent[]): boolean {
    const found = namedCall.exec(this.#held);
    if (!found) return namedStart.test(this.#held) ? false : this.#noCall(this.#held, events);
    this.#held = this.#held.slice(found[0].length);
    this.#take([{ type: 'name', text: found[1]! }], events);
    this.#call = new CallReader(undefined, true);
    this.#state = 'call';
    return true;
  }

  #closing(): boolean {
    const held = this.#held.trimStart();
    if (held === '') return false;
    if (this.form.kind === 'mistral' && this.#listed) {
      if (held.startsWith(',')) this.#state = 'opened';
      else this.#listed = false;
      this.#held = held.startsWith(',') || held.startsWith(']') ? held.slice(1) : held;
      return true;
    }
    const tag = '</tool_call>';
    if (this.form.kind === 'hermes' && tag.startsWith(held) && held !== tag) return false;
    this.#held = held.startsWith(tag) ? held.slice(tag.length) : held;
    // Llama separates several calls by semicolons.
    if (this.form.kind === 'llama' && /^;\s*$/.test(held)) return false;
    if (this.form.kind === 'llama' && /^;\s*\{/.test(held)) {
      this.#held = held.slice(1);
      this.#state = 'opened';
    } else {
      this.#state = 'text';
    }
    return true;
  }

  #take(parts: readonly CallPart[], events: ToolEvent[]): void {
    for (const part of parts) {
      if (part.type === 'name') {
        events.push({ type: 'call', index: this.#index, id: this.options.newId(), name: part.text });
        this.#index += 1;
        this.#begun = true;
      } else if (part.text !== '') {
        events.push({ type: 'arguments', index: this.#index - 1, text: part.text });
      }
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
