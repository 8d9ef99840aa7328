// A long text's ids slice by slice, so that whoever encodes it can let others run in between.
//
// A text is cut behind a word, where encoding the characters before the cut gives the beginning of what encoding those
// around it gives: then no token runs across. Each slice is encoded with the characters before it once more, whose ids
// are left out, so that what a tokenizer does at the beginning of a text does not happen in the middle. A run without
// any such place is cut anyway; its tokens may then differ at the cut, and still spell the text.

import { ownTurn } from '../../flow/pause.js';
import type { EncodeOptions, Tokenizer } from './tokenizer.js';

/** Characters: two to ten milliseconds, by language and machine. */
const sliceLength = 2048;
/** Characters on each side of a cut: more than any token has that could run across. */
const around = 64;
const mostTries = 16;

/** The pieces, put together, are what `tokenizer.encode` gives. */
export function* encodeSlices(
  tokenizer: Tokenizer,
  text: string,
  { addSpecialTokens = true, literals = false }: EncodeOptions = {},
): Generator<number[], void, void> {
  if (text.length <= 2 * sliceLength) {
    yield tokenizer.encode(text, { addSpecialTokens, literals });
    return;
  }
  const encode = (from: number, to: number): number[] =>
    tokenizer.encode(text.slice(Math.max(0, from), to), { addSpecialTokens: false, literals });
  const [before, after] = addSpecialTokens ? specials(tokenizer) : [[], []];
  let lead: number[] | undefined = [];
  for (let from = 0; from < text.length; ) {
    const last = text.length - from <= 2 * sliceLength;
    const cut: Cut = last ? { at: text.length, lead: [] } : cutBefore(text, from + sliceLength, encode);
    const ids: number[] = lead === undefined ? encode(from, cut.at) : encode(from === 0 ? 0 : from - around, cut.at);
    const own = lead === undefined ? ids : begins(ids, lead) ? ids.slice(lead.length) : encode(from, cut.at);
    yield [...(from === 0 ? before : []), ...own, ...(last ? after : [])];
    from = cut.at;
    lead = cut.lead;
  }
}

/** A text's ids, each slice in a turn of the event loop; not all of them, but more than `most`, where there are so many. */
export async function encodeInTurns(
  tokenizer: Tokenizer,
  text: string,
  options: EncodeOptions = {},
  most = Number.POSITIVE_INFINITY,
): Promise<number[]> {
  const ids: number[] = [];
  const slices = encodeSlices(tokenizer, text, options);
  for (;;) {
    await ownTurn();
    const { done, value } = slices.next();
    if (done) return ids;
    for (const id of value) ids.push(id);
    if (ids.length > most) return ids;
  }
}

interface Cut {
  at: number;
  /** The ids of the characters before it; undefined where it is no good place. */
  lead: number[] | undefined;
}

function cutBefore(text: string, limit: number, encode: (from: number, to: number) => number[]): Cut {
  for (const at of places(text, limit)) {
    const lead = encode(at - around, at);
    if (begins(encode(at - around, at + around), lead)) return { at, lead };
  }
  return { at: limit, lead: undefined };
}

const word = /[\p{L}\p{N}]/u;
const wordGoesOn = /[\p{L}\p{M}\p{N}\p{Cs}]/u;

/** Ends of words first, the last of them first; then places within one. */
function* places(text: string, limit: number): Generator<number> {
  let tries = 0;
  for (let at = limit; at > limit - sliceLength / 2 && tries < mostTries; at -= 1) {
    if (!word.test(text[at - 1]!) || wordGoesOn.test(text[at]!)) continue;
    tries += 1;
    yield at;
  }
  for (let at = limit; at > limit - mostTries; at -= 1) if (!/\p{Cs}/u.test(text[at]!)) yield at;
}

function begins(ids: readonly number[], lead: readonly number[]): boolean {
  return lead.length <= ids.length && lead.every((id, at) => id === ids[at]);
}

/** What `addSpecialTokens` puts before and behind a text. */
function specials(tokenizer: Tokenizer): [before: number[], after: number[]] {
  const text = -1;
  const { ids } = tokenizer.withSpecialTokens([text]);
  const at = ids.indexOf(text);
  return [ids.slice(0, at), ids.slice(at + 1)];
}
