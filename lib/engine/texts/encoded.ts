// Texts as token ids for embeddings and scores: behind a prompt, in pairs, or as a question to a model that answers in words;
// never longer than the model takes. Long texts are encoded slice by slice, so that the event loop runs on.
import type { DecoderConfig } from '../../models/config.js';
import type { Embedder, Ranker, RankPrompt } from '../../parts/text-head.js';
import { encodeInTurns } from '../../text/tokenizer/encode-slices.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';

export interface Encoded {
  ids: readonly number[];
  types?: readonly number[] | undefined;
  /** Tokens at the beginning that no pooling counts. */
  skipped?: number | undefined;
}

export interface LengthRule {
  /** Tokens of a text, special tokens included. */
  most: number;
  /** Whether a text that is too long loses its end, instead of being refused. Default false. */
  truncate?: boolean | undefined;
  /** What the sentence about a text that is too long begins with, such as `embed: text 3`. */
  subject: string;
}

/** A text is longer than the model takes, or than it may be. */
export class TextTooLong extends RangeError {
  override name = 'TextTooLong';

  constructor(
    subject: string,
    /** Tokens, as far as they were counted. */
    readonly given: number,
    readonly most: number,
  ) {
    super(`${subject} has ${given} tokens or more, expected at most ${most}: shorten it, or set 'truncate'`);
  }
}

/** A text for an embedding, behind `prompt`. @throws TextTooLong (as a rejection) */
export async function encodedText(
  tokenizer: Tokenizer,
  text: string,
  prompt: string,
  embedder: Embedder,
  rule: LengthRule,
): Promise<Encoded> {
  const written = (part: string): string => (embedder.lowercases ? part.toLowerCase() : part);
  const body = await bareIds(tokenizer, written(prompt + text), rule.most);
  const { ids } = fitted(rule, (maxLength) => tokenizer.withSpecialTokens(body, undefined, { maxLength }));
  if (embedder.countsPrompt || prompt === '') return { ids };
  const alone = tokenizer.encode(written(prompt));
  const ends = alone.length > 0 && tokenizer.specialIds.has(alone.at(-1)!);
  return { ids, skipped: Math.min(ends ? alone.length - 1 : alone.length, ids.length - 1) };
}

/** Token ids as they are, cut or refused where there are too many. @throws TextTooLong */
export function encodedIds(ids: readonly number[], { most, truncate, subject }: LengthRule): Encoded {
  if (ids.length <= most) return { ids };
  if (truncate) return { ids: ids.slice(0, most) };
  throw new TextTooLong(subject, ids.length, most);
}

/** A query and a text as a cross-encoder takes them. @throws TextTooLong (as a rejection) */
export async function encodedPair(
  tokenizer: Tokenizer,
  first: readonly number[],
  text: string,
  rule: LengthRule,
): Promise<Encoded> {
  const second = await bareIds(tokenizer, text, rule.most);
  const { ids, typeIds } = fitted(rule, (maxLength) => tokenizer.withSpecialTokens(first, second, { maxLength }));
  return { ids, types: typeIds };
}

/** A question to a reranker that answers in words; what is too long loses its end, and not that of the question. */
export async function encodedQuestion(
  tokenizer: Tokenizer,
  asks: RankPrompt,
  question: string,
  { most, truncate, subject }: LengthRule,
): Promise<Encoded> {
  // What the caller's texts spell is no control token, but what the question spells is.
  const [before, after] = [asks.before, asks.after].map((part) => tokenizer.encode(part, { addSpecialTokens: false }));
  const room = most - before!.length - after!.length;
  const options = { addSpecialTokens: false, literals: true };
  const between = await encodeInTurns(tokenizer, tokenizer.literal(question), options, Math.max(room, 0));
  if (between.length > room && (!truncate || room < 0)) {
    throw new TextTooLong(subject, between.length + most - room, most);
  }
  return { ids: [...before!, ...between.slice(0, room), ...after!] };
}

/** Query and text as the chat template writes them, which is never cut. @throws TextTooLong (as a rejection) */
export async function encodedChat(
  tokenizer: Tokenizer,
  [query, text]: readonly [string, string],
  instruction: string | undefined,
  { most, subject }: LengthRule,
): Promise<Encoded> {
  const system = instruction === undefined ? [] : [{ role: 'system', content: instruction }];
  const messages = [...system, { role: 'query', content: query }, { role: 'document', content: text }];
  const options = { addSpecialTokens: false, literals: !tokenizer.controlTokensInMessages };
  const written = tokenizer.applyChatTemplate(tokenizer.literal(messages), { addGenerationPrompt: true });
  const ids = await encodeInTurns(tokenizer, written, options, most);
  if (ids.length > most) throw new TextTooLong(subject, ids.length, most);
  return { ids };
}

/** A text's ids without special tokens; where there are more than `most`, the first of them. */
export const bareIds = (tokenizer: Tokenizer, text: string, most: number): Promise<number[]> =>
  encodeInTurns(tokenizer, text, { addSpecialTokens: false }, most);

function fitted<T extends { ids: readonly number[] }>(
  { most, truncate, subject }: LengthRule,
  made: (maxLength?: number) => T,
): T {
  const whole = made();
  if (whole.ids.length <= most) return whole;
  if (!truncate) throw new TextTooLong(subject, whole.ids.length, most);
  return made(most);
}

/** Tokens of the longest text that the model and what it is made for take. */
export const longestText = ({ contextLength }: DecoderConfig, head: Embedder | Ranker): number =>
  Math.min(head.maxLength ?? contextLength, contextLength);
