// Calls of functions out of a text that is still being written: names as soon as they are known, then arguments as they
// come, as OpenAI's stream wants them. What turns out to be no call is given out as text.

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

/** Between calls: text, white space and what a call may begin with. Inside: one call's object. */
type State = 'text' | 'opened' | 'call' | 'closing' | 'ended';

export class ToolParser {
  #state: State = 'text';
  /** Text that may still belong to what opens or closes a call. */
  #held = '';
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
    if (token !== undefined && token === this.form.openingToken && this.#state === 'text') {
      this.#text(this.#held.trimEnd(), events);
      this.#held = '';
      this.#state = 'opened';
    }
    while (this.#step(events));
    return events;
  }

  /** What was held back. */
  end(): ToolEvent[] {
    const events: ToolEvent[] = [];
    const unfinished = this.#call?.end() ?? [];
    this.#take(unfinished, events);
    const rest = this.#held;
    this.#held = '';
    this.#call = undefined;
    if (this.#state === 'text' && rest.trim() !== '') this.#text(rest, events);
    return events;
  }

  /** Goes on to another state; false where more text is needed. */
  #step(events: ToolEvent[]): boolean {
    switch (this.#state) {
      case 'text':
        return this.#plain(events);
      case 'opened':
        return this.#opened();
      case 'call': {
        const { used, parts, finished } = this.#call!.push(this.#held);
        this.#held = this.#held.slice(used);
        this.#take(parts, events);
        if (!finished) return false;
        this.#call = undefined;
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
    if (this.form.kind === 'llama' && !this.#begun && held[start] === '{') {
      this.#held = held.slice(start);
      this.#state = 'opened';
      return true;
    }
    let at = -1;
    let length = 0;
    for (const opening of this.form.opening) {
      const found = held.indexOf(opening);
      if (found >= 0 && (at < 0 || found < at)) [at, length] = [found, opening.length];
    }
    if (at >= 0) {
      this.#text(held.slice(0, at).trimEnd(), events);
      this.#held = held.slice(at + length);
      this.#state = 'opened';
      return true;
    }
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

  #opened(): boolean {
    this.#held = this.#held.trimStart();
    if (this.form.kind === 'mistral' && !this.#listed && this.#held.startsWith('[')) {
      this.#listed = true;
      this.#held = this.#held.slice(1).trimStart();
    }
    if (this.#held === '') return false;
    // The bare form is any object, so its names must be known; a tag says that a call follows.
    const names = this.form.kind === 'llama' ? this.options.names : undefined;
    this.#call = new CallReader(names);
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
      if (part.type === 'text') {
        this.#text(part.text, events);
      } else if (part.type === 'name') {
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
    this.#begun = true;
    events.push({ type: 'text', text });
  }
}

interface CallPart {
  type: 'text' | 'name' | 'arguments';
  text: string;
}

interface CallStep {
  /** How much of the text was read. */
  used: number;
  parts: CallPart[];
  finished: boolean;
}

/** Reads `{"name": …, "arguments": {…}}` character by character, whatever the order of the keys. */
class CallReader {
  /** All so far, to be given out as text where it turns out to be no call. */
  #seen = '';
  #place: 'start' | 'key' | 'colon' | 'value' | 'after' = 'start';
  #key = '';
  #value = '';
  #depth = 0;
  #quoted = false;
  #escaped = false;
  #named = false;
  /** Arguments that came before the name. */
  #early: string | undefined;

  constructor(private readonly names: ReadonlySet<string> | undefined) {}

  push(text: string): CallStep {
    const parts: CallPart[] = [];
    for (let used = 0; used < text.length; used += 1) {
      const character = text[used]!;
      if (!this.#named) this.#seen += character;
      const outcome = this.#read(character, parts);
      if (outcome === 'wrong' && !this.#named) {
        return { used: used + 1, parts: [{ type: 'text', text: this.#seen }], finished: true };
      }
      // Behind a name nothing can be taken back: what is broken there ends the call.
      if (outcome !== 'more') {
        if (this.#named && this.#early !== undefined) parts.push({ type: 'arguments', text: this.#early });
        return { used: used + 1, parts: joined(parts), finished: true };
      }
    }
    return { used: text.length, parts: joined(parts), finished: false };
  }

  /** What is left when the text ends in the middle. */
  end(): CallPart[] {
    if (!this.#named) return [{ type: 'text', text: this.#seen }];
    return this.#early === undefined ? [] : [{ type: 'arguments', text: this.#early }];
  }

  #read(character: string, parts: CallPart[]): 'more' | 'wrong' | 'done' {
    const blank = /\s/.test(character);
    switch (this.#place) {
      case 'start':
        if (blank) return 'more';
        if (character !== '{') return 'wrong';
        this.#place = 'key';
        return 'more';
      case 'key':
        if (this.#key === '' && (blank || character === ',')) return 'more';
        if (this.#key === '' && character === '}') return this.#named ? 'done' : 'wrong';
        this.#key += character;
        if (this.#key[0] !== '"' || this.#key.length > 64) return 'wrong';
        if (character === '"' && this.#key.length > 1) this.#place = 'colon';
        return 'more';
      case 'colon':
        if (blank) return 'more';
        if (character !== ':') return 'wrong';
        this.#place = 'value';
        return 'more';
      case 'value':
        return this.#inValue(character, parts);
      case 'after':
        if (blank) return 'more';
        if (character === '}') return this.#named ? 'done' : 'wrong';
        if (character !== ',') return 'wrong';
        this.#place = 'key';
        return 'more';
    }
  }

  #inValue(character: string, parts: CallPart[]): 'more' | 'wrong' | 'done' {
    if (this.#value === '' && /\s/.test(character)) return 'more';
    if (this.#quoted) {
      if (this.#escaped) this.#escaped = false;
      else if (character === '\\') this.#escaped = true;
      else if (character === '"') this.#quoted = false;
    } else if (this.#depth === 0 && this.#value !== '' && /[,}\s]/.test(character)) {
      // A number or a word ends where something else begins.
      if (!this.#valueEnds(parts)) return 'wrong';
      return this.#read(character, parts);
    } else if (character === '"') {
      this.#quoted = true;
    } else if (character === '{' || character === '[') {
      this.#depth += 1;
    } else if (character === '}' || character === ']') {
      this.#depth -= 1;
      if (this.#depth < 0) return 'wrong';
    }
    this.#value += character;
    if (this.#streams) parts.push({ type: 'arguments', text: character });
    const closed = !this.#quoted && this.#depth === 0 && /["}\]]/.test(character);
    if (closed && !this.#valueEnds(parts)) return 'wrong';
    return 'more';
  }

  get #isArguments(): boolean {
    return this.#key === '"arguments"' || this.#key === '"parameters"';
  }

  /** Arguments written as a string of JSON are unwrapped once they are whole. */
  get #streams(): boolean {
    return this.#named && this.#isArguments && this.#value[0] === '{';
  }

  #valueEnds(parts: CallPart[]): boolean {
    const value = this.#value;
    if (this.#key === '"name"' && !this.#named) {
      const name = unquoted(value);
      if (name === undefined || name === '' || this.names?.has(name) === false) return false;
      this.#named = true;
      parts.push({ type: 'name', text: name });
      if (this.#early !== undefined) parts.push({ type: 'arguments', text: this.#early });
      this.#early = undefined;
    } else if (this.#isArguments && !this.#streams) {
      const given = value[0] === '{' ? value : (unquoted(value) ?? '{}');
      if (this.#named) parts.push({ type: 'arguments', text: given });
      else this.#early = given;
    }
    this.#key = '';
    this.#value = '';
    this.#place = 'after';
    return true;
  }
}

function unquoted(value: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'string' ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** Neighbouring fragments of arguments as one. */
function joined(parts: readonly CallPart[]): CallPart[] {
  const result: CallPart[] = [];
  for (const part of parts) {
    const last = result.at(-1);
    if (part.type === 'arguments' && last?.type === 'arguments') last.text += part.text;
    else result.push({ ...part });
  }
  return result;
}
