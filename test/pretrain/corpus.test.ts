// The generated corpus: the same seed gives the same text, held-out texts never occur in training, and no text breaks
// the simple rules of English that a machine can check.

import { describe, expect, it } from 'vitest';
import { documents, question, sampleEval, special } from '../../scripts/pretrain/corpus.js';
import { facts } from '../../scripts/pretrain/facts.js';
import { articles, Dice, expand, listed, polish, soundsOpen } from '../../scripts/pretrain/grammar.js';
import { list, smallTalk } from '../../scripts/pretrain/talk.js';

function first(count: number, seed: number, split: 'train' | 'heldOut' = 'train'): string[] {
  const out: string[] = [];
  for (const text of documents(seed, split)) {
    out.push(text);
    if (out.length === count) break;
  }
  return out;
}

interface Part {
  role: string;
  text: string;
}

/** The texts of a document with the token that opens each. */
function parts(document: string): Part[] {
  return document
    .split(special.end)
    .slice(0, -1)
    .map((part) => {
      const match = /^(?:<\|begin\|>)?(?:<\|(\w+)\|>)?([\s\S]*)$/.exec(part);
      return { role: match?.[1] ?? 'text', text: match?.[2] ?? '' };
    });
}

const sample = first(4000, 3);

describe('documents', () => {
  it('gives the same texts for the same seed, and others for another', () => {
    expect(first(200, 5)).toEqual(first(200, 5));
    expect(first(200, 5)).not.toEqual(first(200, 6));
  });

  it('keeps the held-out texts from training, whatever the seed', () => {
    const held = new Set([...first(300, 11, 'heldOut'), ...sampleEval()]);
    expect(sample.filter((text) => held.has(text))).toEqual([]);
    expect(sampleEval(50)).toHaveLength(50);
    expect(sampleEval(50)).toEqual(sampleEval(50));
  });

  it('opens and closes each text with the special tokens, roles in order', () => {
    for (const document of sample) {
      expect(document.startsWith(special.begin) && document.endsWith(special.end), document).toBe(true);
      expect(document.lastIndexOf(special.begin), document).toBe(0);
      const roles = parts(document)
        .map((part) => part.role)
        .join(' ');
      expect(roles, document).toMatch(/^(?:text|(?:system )?user assistant(?: user assistant)*)$/);
    }
  });

  it('stays short enough for a context of 512 tokens', () => {
    // A token of this corpus is never shorter than two characters on average.
    for (const document of sample) expect(document.length, document).toBeLessThan(1600);
  });
});

describe('its English', () => {
  const texts = sample.flatMap(parts);

  it('leaves no placeholder, doubled space or doubled word', () => {
    for (const { text } of texts) {
      expect(text, text).not.toMatch(/[{}[\]|<>_]|undefined|NaN| {2}|^ | $|\n/);
      expect(text, text).not.toMatch(/\b(\w+) \1\b/i);
      expect(text, text).not.toMatch(/ [.,!?;:]|[.,!?]{2}|[.,!?][A-Za-z]/);
    }
  });

  it('says a and an where each belongs', () => {
    for (const { text } of texts) {
      for (const [both, article, word] of text.matchAll(/\b(an?) ([a-z]+)/gi)) {
        expect((article as string).length === 2, `${both} in: ${text}`).toBe(soundsOpen(word as string));
      }
    }
  });

  it('begins sentences with a capital letter and ends them with a mark', () => {
    for (const { role, text } of texts) {
      if (role === 'user') continue;
      expect(text, text).toMatch(/^["A-Z]/);
      expect(text, text).toMatch(/[.!?]"?$/);
      expect(text, text).not.toMatch(/[.!?] [a-z]/);
      expect((text.match(/"/g) ?? []).length % 2, text).toBe(0);
    }
  });

  it('keeps to a small vocabulary and to one pronoun per hero', () => {
    const words = new Set(texts.flatMap(({ text }) => text.toLowerCase().match(/[\p{L}']+/gu) ?? []));
    expect(words.size).toBeLessThan(2400);
    for (const { text } of texts) {
      const hero = /little (boy|girl) (?:from|named)/.exec(text)?.[1];
      if (hero === 'boy') expect(text, text).not.toMatch(/^[^.]*\. She\b/);
      if (hero === 'girl') expect(text, text).not.toMatch(/^[^.]*\. He\b/);
    }
  });
});

describe('facts', () => {
  it('answer with the same content in every wording', () => {
    for (const fact of facts()) {
      for (const say of fact.say) {
        for (const key of fact.keys) expect(say, `${fact.ask[0]} must say ${key}`).toContain(key);
      }
    }
  });

  it('give one answer to one question', () => {
    const content = new Map<string, string>();
    for (const fact of facts()) {
      for (const ask of [...fact.ask, ...(fact.tell ? [fact.tell] : [])]) {
        const key = ask.toLowerCase();
        expect(content.has(key), `${ask} is asked twice: ${content.get(key)} / ${fact.keys.join()}`).toBe(false);
        content.set(key, fact.keys.join());
      }
    }
    expect(content.size).toBeGreaterThan(1500);
  });

  it('are asked as questions', () => {
    const dice = new Dice(1);
    for (const fact of facts()) {
      const { user } = question(fact, dice);
      expect(polish(user), user).toMatch(/[.?!]$/);
    }
  });
});

describe('the grammar', () => {
  it('expands choices and slots, and names what is missing', () => {
    const dice = new Dice(2);
    const seen = new Set(Array.from({ length: 50 }, () => expand('{a|b{c|d}} [x] [X]', dice, { x: 'dog' })));
    expect([...seen].sort()).toEqual(['a dog Dog', 'bc dog Dog', 'bd dog Dog']);
    expect(() => expand('[y]', dice)).toThrow('no value for [y]');
    expect(() => expand('{a|b', dice)).toThrow('left open');
  });

  it('polishes', () => {
    expect(polish('a owl saw  a hour . it was a useful one')).toBe('An owl saw an hour. It was a useful one');
    expect(articles('a apple, a pear, A egg')).toBe('an apple, a pear, An egg');
    expect(listed(['x', 'y', 'z'])).toBe('x, y and z');
  });

  it('draws small talk and lists without gaps', () => {
    const dice = new Dice(4);
    for (let i = 0; i < 500; i++) {
      for (const { user, assistant } of [smallTalk(dice), list(dice)]) {
        expect(user).toMatch(/[.?!]$/);
        expect(assistant).toMatch(/[.?!]$/);
      }
    }
  });
});
