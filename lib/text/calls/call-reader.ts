// One call's object out of a text that is still being written.

export interface CallPart {
  type: 'name' | 'arguments';
  text: string;
}

interface CallStep {
  /** How much of the text was read. */
  used: number;
  parts: CallPart[];
  finished: boolean;
  /** All that was read, where it is no call. */
  back?: string;
}

/**
 * Reads `{"name": …, "arguments": {…}}` character by character, whatever the order of the keys; where the name is known
 * already, the arguments alone.
 */
export class CallReader {
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
  #argued = false;
  /** Once the arguments were read: others after them do not count. */
  #given = false;

  constructor(
    private readonly names: ReadonlySet<string> | undefined,
    private readonly bare = false,
  ) {
    if (!bare) return;
    this.#named = true;
    this.#key = '"arguments"';
    this.#place = 'value';
  }

  push(text: string): CallStep {
    const parts: CallPart[] = [];
    for (let used = 0; used < text.length; used += 1) {
      const character = text[used]!;
      if (!this.#named) this.#seen += character;
      const outcome = this.#read(character, parts);
      if (outcome === 'wrong' && !this.#named) {
        return { used: used + 1, parts: [], finished: true, back: this.#seen };
      }
      // Behind a name nothing can be taken back: what is broken there ends the call.
      if (outcome !== 'more') {
        this.#argued ||= parts.some(({ type, text }) => type === 'arguments' && text !== '');
        if (!this.#argued) parts.push({ type: 'arguments', text: '{}' });
        return { used: used + 1, parts: joined(parts), finished: true };
      }
    }
    this.#argued ||= parts.some(({ type, text }) => type === 'arguments' && text !== '');
    return { used: text.length, parts: joined(parts), finished: false };
  }

  /** What is left when the text ends in the middle. */
  end(): { parts: CallPart[]; back?: string } {
    if (!this.#named) return { parts: [], back: this.#seen };
    return { parts: this.#early === undefined ? [] : [{ type: 'arguments', text: this.#early }] };
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
    return closed && this.bare ? 'done' : 'more';
  }

  get #isArguments(): boolean {
    return !this.#given && (this.#key === '"arguments"' || this.#key === '"parameters"');
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
    } else if (this.#isArguments) {
      const given = value[0] === '{' ? value : (unquoted(value) ?? '{}');
      if (!this.#named) this.#early = given;
      else if (!this.#streams) parts.push({ type: 'arguments', text: given });
      this.#given = true;
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
