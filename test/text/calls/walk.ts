// Answers made of allowed tokens only, and what a client reads of them.
import type { TokenMask } from '../../../lib/text/mask.js';
import type { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';

/** Allowed tokens at random, without the end token; a long text is steered towards its end. */
export function walk(tokenizer: Tokenizer, mask: TokenMask, ends: readonly number[], random: () => number): number[] {
  const ids: number[] = [];
  while (ids.length < 2000) {
    const allowed = [...mask.allowed().keys()].filter((id) => mask.allowed()[id] === 1);
    const closing = allowed.filter((id) => ends.includes(id) || /^["\]}]$/.test(tokenizer.idToToken(id)!));
    const from = ids.length > 60 && closing.length > 0 ? closing : allowed;
    const id = from[Math.floor(random() * from.length)]!;
    mask.accept(id);
    if (ends.includes(id)) return ids;
    ids.push(id);
  }
  throw new Error('no end');
}

/** A text between control tokens, or a control token. */
export type Piece = string | number;

/** An answer as it streams: control tokens have no text. */
export function piecesOf(tokenizer: Tokenizer, ids: readonly number[]): Piece[] {
  const stream = tokenizer.stream({ continues: true });
  const pieces: Piece[] = [];
  for (const id of ids) {
    const text = stream.push(id);
    const last = pieces.at(-1);
    if (text !== '') {
      if (typeof last === 'string') pieces[pieces.length - 1] = last + text;
      else pieces.push(text);
    }
    if (tokenizer.specialIds.has(id)) pieces.push(id);
  }
  return pieces;
}
