// Texts as token ids for embeddings and scores: behind a prompt, in pairs, or as a question to a model that answers in words;
// never longer than the model takes.
import type { DecoderConfig } from '../../models/config.js';
import type { Embedder, Ranker, RankPrompt } from '../../parts/text-head.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';

export interface Encoded {
  ids: readonly number[];
  types?: readonly number[] | undefined;
  /** Tokens at the beginning that no pooling counts. */
  skipped?: number | undefined;
}

export interface LengthRule {
  /** Whether a text that is too long loses its end, instead of being refused. Default false. */
  truncate?: boolean | undefined;
  /** What the sentence about a text that is too long begins with, such as `embed: text 3`. */
  subject: string;
}

/** A text for an embedding, behind `prompt`. @throws RangeError if it is too long or empty. */
export function encodedText(
  tokenizer: Tokenizer,
  text: string,
  prompt: string,
  embedder: Embedder,
  most: number,
  rule: LengthRule,
): Encoded {
  const written = (part: string): string => (embedder.lowercases ? part.toLowerCase() : part);
  const { ids } = fitted(tokenizer, written(prompt + text), most, rule);
  if (embedder.countsPrompt || prompt === '') return { ids };
  const alone = tokenizer.encode(written(prompt));
  const ends = alone.length > 0 && tokenizer.specialIds.has(alone.at(-1)!);
  return { ids, skipped: Math.min(ends ? alone.length - 1 : alone.length, ids.length - 1) };
}

/** Token ids as they are, cut or refused where there are too many. @throws RangeError if there are too many, or none. */
export function encodedIds(ids: readonly number[], most: number, { truncate, subject }: LengthRule): Encoded {
  if (ids.length <= most) return { ids };
  if (truncate) return { ids: ids.slice(0, most) };
  throw tooLong(subject, ids.length, most);
}

/** The question about a query and a text; what is too long loses its end, and not that of the question. */
export function encodedQuestion(
  tokenizer: Tokenizer,
  [query, text]: readonly [string, string],
  asks: RankPrompt,
  instruction: string,
  most: number,
  { truncate, subject }: LengthRule,
): Encoded {
  // What the caller's texts spell is no control token, but what the question spells is.
  const [before, after] = [asks.before, asks.after].map((part) => tokenizer.encode(part, { addSpecialTokens: false }));
  const literal = tokenizer.literal(asks.between(query, text, instruction));
  const between = tokenizer.encode(literal, { addSpecialTokens: false, literals: true });
  const room = most - before!.length - after!.length;
  if (between.length <= room) return { ids: [...before!, ...between, ...after!] };
  if (!truncate || room < 0) throw tooLong(subject, between.length + most - room, most);
  return { ids: [...before!, ...between.slice(0, room), ...after!] };
}

function fitted(tokenizer: Tokenizer, text: string, most: number, { truncate, subject }: LengthRule): Encoded {
  const ids = tokenizer.encode(text);
  if (ids.length <= most) return { ids };
  if (!truncate) throw tooLong(subject, ids.length, most);
  // The special tokens around the text stay.
  const body = tokenizer.encode(text, { addSpecialTokens: false });
  const before = Math.max(
    0,
    ids.findIndex((_, at) => body.every((id, i) => ids[at + i] === id)),
  );
  const around = ids.length - body.length;
  return { ids: [...ids.slice(0, before), ...body.slice(0, most - around), ...ids.slice(before + body.length)] };
}

const tooLong = (subject: string, length: number, most: number): RangeError =>
  new RangeError(`${subject} has ${length} tokens, more than the model's ${most}: shorten it, or set 'truncate'`);

/** How a query and a text reach the model. */
export function encodedForRanker(
  tokenizer: Tokenizer,
  pair: readonly [string, string],
  { asks }: Ranker,
  instruction: string | undefined,
  most: number,
  rule: LengthRule,
): Encoded {
  if (!asks) throw new Error('rank: pairs of texts for a cross-encoder must be given as token ids');
  return encodedQuestion(tokenizer, pair, asks, instruction ?? asks.instruction, most, rule);
}

/** Tokens of the longest text that the model and what it is made for take. */
export const longestText = ({ contextLength }: DecoderConfig, head: Embedder | Ranker): number =>
  Math.min(head.maxLength ?? contextLength, contextLength);
