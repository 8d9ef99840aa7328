// The small grammar behind the corpus: seeded dice, templates, and the last polish of a sentence.
//
// A template is text with `{one|another}` choices, which nest, and `[slot]` names. Choices are drawn from the dice,
// so the same seed gives the same text on every machine.

/** A seeded source of choices (mulberry32: 32 bits of state, integer arithmetic only). */
export class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** The next number in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number in [0, end). */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('Dice.pick: the list is empty');
    return list[this.below(list.length)] as T;
  }

  /** `count` different items, in random order. */
  some<T>(list: readonly T[], count: number): T[] {
    const pool = [...list];
    const out: T[] = [];
    while (out.length < count && pool.length > 0) out.push(...pool.splice(this.below(pool.length), 1));
    return out;
  }
}

export type Slots = Readonly<Record<string, string>>;

/**
 * One drawing of a template. `[name]` is replaced by `slots.name`, `[Name]` by the same with a capital letter.
 *
 * @throws Error if a slot has no value or a brace is left open.
 */
export function expand(template: string, dice: Dice, slots: Slots = {}): string {
  let out = '';
  let at = 0;
  while (at < template.length) {
    const c = template[at] as string;
    if (c === '{') {
      const { parts, end } = choices(template, at);
      out += expand(dice.pick(parts), dice, slots);
      at = end;
    } else if (c === '[') {
      const end = template.indexOf(']', at);
      const name = template.slice(at + 1, end);
      out += slot(name, slots, template);
      at = end + 1;
    } else {
      out += c;
      at++;
    }
  }
  return out;
}

function slot(name: string, slots: Slots, template: string): string {
  const exact = slots[name];
  if (exact !== undefined) return exact;
  const lower = slots[name.charAt(0).toLowerCase() + name.slice(1)];
  if (lower === undefined) throw new Error(`expand: no value for [${name}] in: ${template}`);
  return capital(lower);
}

function choices(template: string, open: number): { parts: string[]; end: number } {
  const parts: string[] = [];
  let depth = 0;
  let start = open + 1;
  for (let at = open; at < template.length; at++) {
    const c = template[at];
    if (c === '{') depth++;
    else if (c === '|' && depth === 1) {
      parts.push(template.slice(start, at));
      start = at + 1;
    } else if (c === '}' && --depth === 0) {
      parts.push(template.slice(start, at));
      return { parts, end: at + 1 };
    }
  }
  throw new Error(`expand: a brace is left open in: ${template}`);
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `an` for `a` where the next word asks for it. */
export function articles(text: string): string {
  return text.replace(/\b([Aa]) ([A-Za-z]+)/g, (both, article: string, word: string) =>
    soundsOpen(word) ? `${article}n ${word}` : both,
  );
}

/** Puts spaces, capital letters and `a`/`an` in order; every generated text passes through here once. */
export function polish(text: string): string {
  return capital(
    articles(text)
      .replace(/ +/g, ' ')
      .replace(/ ([.,!?;:])/g, '$1')
      .replace(/([.!?] |\n)([a-z])/g, (_, before: string, letter: string) => before + letter.toUpperCase())
      .trim(),
  );
}

/** Whether `an` stands before the word. */
export function soundsOpen(word: string): boolean {
  return /^(?:[aeiou]|hour|honest)/i.test(word) && !/^(?:one|once|us[eu]|uni|eu)/i.test(word);
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(items: readonly string[], word = 'and'): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} ${word} ${items[items.length - 1]}`;
}
