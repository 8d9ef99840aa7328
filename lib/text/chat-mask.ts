// Chats as training rows: the token ids of a whole chat, and which of them the assistant wrote.
//
// The template is asked twice for each of the assistant's messages: with all before it and the words that begin a
// turn, and with the message itself; what the second has more is what the model would have had to write. Its
// end-of-turn token belongs to it, white space that the template puts behind that does not. Templates that write a
// message otherwise once more follow (thinking is dropped, ends of turns change) allow this for the last turn only.

import { type ChatMessage, TemplateError, type TemplateOptions } from './template.js';
import type { Tokenizer } from './tokenizer.js';

export interface RenderedChat {
  ids: number[];
  /** True at the tokens to train on. */
  mask: boolean[];
  /** Why less is trained on than the messages ask for, in one sentence. */
  warning?: string;
}

interface Span {
  start: number;
  end: number;
}

/**
 * The ids of a chat, and a mask of the assistant's words. A message with `weight: 0` is left out of the mask.
 *
 * @throws TemplateError where the template refuses the messages, or the assistant's words can't be told apart.
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: TemplateOptions = {},
): RenderedChat {
  const text = tokenizer.applyChatTemplate(messages, { ...options, addGenerationPrompt: false });
  const turns = [...messages.keys()].filter((index) => messages[index]!.role === 'assistant');
  const wanted = turns.filter((index) => messages[index]!.weight !== 0);
  const found = wanted.map((index) => assistantSpan(tokenizer, messages, index, text, options));
  const spans = found.filter((span) => span !== undefined);
  if (spans.length === wanted.length) return { ...maskedIds(tokenizer, text, spans) };
  const last = wanted.at(-1) === turns.at(-1) ? found.at(-1) : undefined;
  if (last === undefined) {
    throw new TemplateError(
      "chat template: the assistant's words can't be told from the rest, as the template writes them differently " +
        'within the whole chat',
    );
  }
  const warning =
    "the chat template changes the assistant's earlier turns once more follow, so only the last turn is trained on";
  return { ...maskedIds(tokenizer, text, [last]), warning };
}

/** Undefined where the text up to this message is not how the whole chat begins. */
function assistantSpan(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  index: number,
  whole: string,
  options: TemplateOptions,
): Span | undefined {
  const upTo = (count: number, addGenerationPrompt: boolean): string | undefined => {
    try {
      return tokenizer.applyChatTemplate(messages.slice(0, count), { ...options, addGenerationPrompt });
    } catch (error) {
      // Some templates want a user's message first, or last.
      if (error instanceof TemplateError) return undefined;
      throw error;
    }
  };
  const after = index + 1 === messages.length ? whole : upTo(index + 1, false);
  if (after === undefined || !whole.startsWith(after)) return undefined;
  const prompt = upTo(index, true);
  if (prompt === undefined) return undefined;
  let start = prompt.length;
  if (!after.startsWith(prompt)) {
    // A prompt may open a block, such as <think>, that a message without it doesn't have: its common part counts.
    start = commonLength(prompt, after);
    const before = upTo(index, false);
    if (before === undefined || start <= before.length || !after.startsWith(before)) return undefined;
  }
  return { start, end: endOfTurn(tokenizer, after, start) };
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

/** Leaves white space out that follows a closing special token. */
function endOfTurn(tokenizer: Tokenizer, text: string, start: number): number {
  const end = text.trimEnd().length;
  if (end <= start) return text.length;
  for (const id of tokenizer.specialIds) {
    const token = tokenizer.idToToken(id);
    if (token && end - token.length >= start && text.endsWith(token, end)) return end;
  }
  return text.length;
}

/** Encodes a text and finds the tokens within `spans` (in order, none overlapping). */
export function maskedIds(
  tokenizer: Tokenizer,
  text: string,
  spans: readonly Span[],
): { ids: number[]; mask: boolean[] } {
  const encode = (part: string): number[] => tokenizer.encode(part, { addSpecialTokens: false });
  const ids = encode(text);
  const parts: { ids: number[]; inside: boolean }[] = [];
  let at = 0;
  for (const { start, end } of spans) {
    parts.push(
      { ids: encode(text.slice(at, start)), inside: false },
      { ids: encode(text.slice(start, end)), inside: true },
    );
    at = end;
  }
  parts.push({ ids: encode(text.slice(at)), inside: false });
  const joined = parts.flatMap((part) => part.ids);
  const mask = parts.flatMap((part) => part.ids.map(() => part.inside));
  // Special tokens at the borders make the parts add up; where words run across them, places are counted instead.
  if (joined.length === ids.length && joined.every((id, index) => id === ids[index])) return { ids, mask };
  const places = tokenPlaces(tokenizer, text, ids);
  // Normalization may have moved everything: then the parts' own tokens are taken, which mean the same text.
  if (!places) return { ids: joined, mask };
  const bytesBefore = (offset: number): number => Buffer.byteLength(text.slice(0, offset));
  const wanted = spans.map(({ start, end }) => ({ start: bytesBefore(start), end: bytesBefore(end) }));
  return { ids, mask: places.map((place) => wanted.some(({ start, end }) => place.end > start && place.start < end)) };
}

/**
 * Which bytes of the text (in UTF-8) each token spells; undefined where the tokens don't spell it.
 *
 * A space before a token that the text doesn't have is SentencePiece's own; white space in the text that no token has
 * was swallowed by a special token.
 */
export function tokenPlaces(tokenizer: Tokenizer, text: string, ids: readonly number[]): Span[] | undefined {
  const bytes = Buffer.from(text);
  const space = 0x20;
  const places: Span[] = [];
  let at = 0;
  for (const id of ids) {
    const token = tokenizer.tokenBytes(id);
    const spells = (from: number, skipped: number): boolean =>
      bytes.subarray(from, from + token.length - skipped).equals(token.subarray(skipped));
    const added = !spells(at, 0) && token[0] === space && spells(at, 1) ? 1 : 0;
    while (added === 0 && !spells(at, 0) && at < bytes.length && bytes[at]! <= space) at += 1;
    if (!spells(at, added)) return undefined;
    places.push({ start: at, end: at + token.length - added });
    at += token.length - added;
  }
  return bytes.subarray(at).some((byte) => byte > space) ? undefined : places;
}
