// The text of a sequence, made of tokens that are given here.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type ChosenTokens, generate, type Piece } from '../../lib/text/generate.js';
import { Tokenizer } from '../../lib/text/tokenizer/tokenizer.js';

const tokenizer = (await Tokenizer.fromFolder(join(import.meta.dirname, '..', '..', 'models', 'helvetia-small')))!;
const [control] = tokenizer.specialIds as Set<number> & Iterable<number>;

async function pieces(ids: readonly number[], stop: string[]): Promise<Piece[]> {
  async function* given(): AsyncGenerator<{ token: number }, 'stop', void> {
    for (const token of ids) yield { token };
    return 'stop';
  }
  const tokens = Object.assign(given(), { cachedTokens: 0 }) as ChosenTokens;
  const settings = { stop, maxNewTokens: 1000 };
  const found: Piece[] = [];
  for await (const piece of generate({ tokenizer, prompt: [1], settings, room: 1000, continues: true, tokens }))
    found.push(piece);
  return found;
}

it('what a stop string holds back comes before a control token, not after it', async () => {
  const ids = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  const found = await pieces([...ids('Let me look O'), control!, ...ids('bservation')], ['Observation:']);
  const at = found.findIndex(({ token }) => token === control);
  const text = (some: readonly Piece[]): string => some.map((piece) => piece.text).join('');
  expect(text(found.slice(0, at))).not.toContain('O');
  expect(found[at]!.text).toBe('O');
  expect(text(found)).toBe('Let me look Observation');
});
