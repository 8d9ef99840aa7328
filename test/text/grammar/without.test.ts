// Texts in which some texts do not stand, against a search for them.
import { expect, it } from 'vitest';
import { Grammar } from '../../../lib/text/grammar/machine.js';
import { textWithout } from '../../../lib/text/grammar/without.js';
import { seeded } from './schemas.js';

const characters = ['a', 'a', 'b', 'b', '<', '>', 'é', '💙'];

async function taker(texts: readonly string[]): Promise<(text: string) => boolean> {
  const grammar = await Grammar.of(textWithout(texts));
  return (text) => {
    let at = grammar.start;
    for (const value of Buffer.from(text)) {
      const next = grammar.step(at, value);
      if (!next) return false;
      at = next;
    }
    return at.complete;
  };
}

it.each([[['aab']], [['abab', 'ba']], [['é', 'aé']], [['<a>', '<b>', '<']], [['a']], [[]]])(
  'a text without %j',
  async (texts: string[]) => {
    const takes = await taker(texts);
    const random = seeded(7);
    let taken = 0;
    for (let round = 0; round < 400; round++) {
      const text = Array.from({ length: 12 }, () => characters[Math.floor(random() * characters.length)]).join('');
      const expected = !texts.some((one) => text.includes(one));
      if (expected) taken++;
      expect(takes(text), text).toBe(expected);
    }
    expect(takes('')).toBe(true);
    if (texts.length === 0) expect(taken).toBe(400);
  },
);
