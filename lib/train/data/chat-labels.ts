// Chats as training rows: the token ids of a whole chat, and which of them the assistant wrote.
//
// The template is asked twice for each of the assistant's messages: with all before it and the words that begin a
// turn, and with the message itself; what the second has more is what the model would have had to write. Its
// end-of-turn token belongs to it, white space that the template puts behind that does not. Templates that write a
// message otherwise once more follow (thinking is dropped, ends of turns change) allow this for the last turn only.
//
// All before a message need not be written anew for each: most templates write it alike with only the turn before in
// front of it, which shows, as the pieces then add up to the whole text. Of a long chat no more is looked at than the
// tokens that are wanted.

import { type ChatMessage, TemplateError, type TemplateOptions } from '../../text/chat/template.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';

export interface RenderedChat {
  ids: number[];
  /** True at the tokens to train on. */
  mask: boolean[];
  /** Why less is trained on than the messages ask for, in one sentence. */
  warning?: string;
}

export interface RenderPace {
  /** Ids beyond so many are not needed: there may be some, or not. Default: all are. */
  tokens?: number | undefined;
  /** Awaited between stretches of work; ends it by rejecting. */
  pause?: (() => Promise<void>) | undefined;
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
export async function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: TemplateOptions = {},
  { tokens = Number.POSITIVE_INFINITY, pause = async () => {} }: RenderPace = {},
): Promise<RenderedChat> {
  const render = (part: readonly ChatMessage[], addGenerationPrompt = false): string =>
    tokenizer.applyChatTemplate(part, { ...options, addGenerationPrompt });
  const part = await enoughMessages(tokenizer, messages, render, { tokens, pause });
  const whole = render(part);
  await pause();
  const start = encodeStart(tokenizer, whole, tokens, { addSpecialTokens: false });
  await pause();
  const chat = new Chat(part, whole, render, pause);
  const wanted = chat.turns.filter((index) => part[index]!.weight !== 0);
  const spans = await chat.spans(wanted, start.text.length);
  if (spans) return maskedIds(tokenizer, start.text, endsOfTurns(tokenizer, whole, spans), start.ids, pause);
  const warning =
    "the chat template changes the assistant's earlier turns once more follow, so only the last turn is trained on";
  if (part.length < messages.length) return { ids: start.ids, mask: start.ids.map(() => false), warning };
  const last = wanted.at(-1) === chat.turns.at(-1) ? chat.span(wanted.at(-1)!) : undefined;
  if (last === undefined) {
    throw new TemplateError(
      "chat template: the assistant's words can't be told from the rest, as the template writes them differently " +
        'within the whole chat',
    );
  }
  const masked = await maskedIds(tokenizer, start.text, endsOfTurns(tokenizer, whole, [last]), start.ids, pause);
  return { ...masked, warning };
}

// Characters of a token, at most, in nearly every text; where it has more, more text is taken.
const tokenCharacters = 6;

/**
 * A text's first part and its ids, of which the first `tokens` are those of the whole text: the cut is far enough behind
 * them. A book as one row would hold the event loop up for seconds.
 */
export function encodeStart(
  tokenizer: Tokenizer,
  text: string,
  tokens: number,
  options?: { addSpecialTokens?: boolean },
): { text: string; ids: number[] } {
  for (let length = tokenCharacters * tokens + 256; length < text.length; length *= 2) {
    const part = text.slice(0, length);
    const ids = tokenizer.encode(part, options);
    if (ids.length > tokens + 64) return { text: part, ids };
  }
  return { text, ids: tokenizer.encode(text, options) };
}

/** The first messages, as many as give the tokens that are wanted, with a good deal of text behind them. */
async function enoughMessages(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  render: (part: readonly ChatMessage[]) => string,
  { tokens, pause }: { tokens: number; pause: () => Promise<void> },
): Promise<readonly ChatMessage[]> {
  for (let count = 64; count < messages.length && Number.isFinite(tokens); count *= 2) {
    const part = messages.slice(0, count);
    const text = attempt(() => render(part));
    await pause();
    if (text === undefined || text.length < 2 * (tokenCharacters * tokens + 256)) continue;
    if (encodeStart(tokenizer, text.slice(0, text.length / 2), tokens).ids.length > tokens + 64) return part;
    await pause();
  }
  return messages;
}

/** Undefined where the template refuses: some want a user's message first, or last. */
function attempt(render: () => string): string | undefined {
  try {
    return render();
  } catch (error) {
    if (error instanceof TemplateError) return undefined;
    throw error;
  }
}

/** What lies before a message that is looked for: messages, their text, and where it ends in the whole one. */
interface Before {
  messages: readonly ChatMessage[];
  text: string;
  at: number;
}

/** Finds the assistant's messages in the text of a chat. */
class Chat {
  /** The places of the assistant's messages. */
  readonly turns: number[];

  constructor(
    private readonly messages: readonly ChatMessage[],
    private readonly whole: string,
    private readonly render: (part: readonly ChatMessage[], addGenerationPrompt?: boolean) => string,
    private readonly pause: () => Promise<void>,
  ) {
    this.turns = [...messages.keys()].filter((index) => messages[index]!.role === 'assistant');
  }

  /** Of those turns that begin before `limit`; undefined if one of them is not where it should be. */
  async spans(wanted: readonly number[], limit: number): Promise<Span[] | undefined> {
    const { spans, failed } = await this.#nearSpans(limit);
    // The turn that was not found with little before it is the likeliest not to be found with all.
    if (failed !== undefined && wanted.includes(failed) && !this.span(failed)) return undefined;
    const found: Span[] = [];
    for (const index of wanted) {
      let span = spans.get(index);
      if (!span) {
        if (failed === undefined) break; // behind the limit
        span = this.span(index);
        await this.pause();
        if (!span) return undefined;
        if (span.start >= limit) break;
      }
      found.push(span);
    }
    return found;
  }

  /** One turn, with all before it written anew. */
  span(index: number): Span | undefined {
    return this.#find({ messages: [], text: '', at: 0 }, this.messages.slice(0, index + 1));
  }

  /** All turns up to the first that can't be found with no more than the turn before in front of it. */
  async #nearSpans(limit: number): Promise<{ spans: Map<number, Span>; failed?: number }> {
    const { messages } = this;
    const spans = new Map<number, Span>();
    const isHead = ({ role }: ChatMessage): boolean => role === 'system' || role === 'developer';
    const headLength = messages.findIndex((message) => !isHead(message));
    const head = messages.slice(0, headLength);
    let user: ChatMessage | undefined;
    let previous: readonly ChatMessage[] | undefined;
    let begin = 0;
    let at = 0;
    for (const index of this.turns) {
      const own = messages.slice(begin, index + 1);
      let before: Before | undefined = { messages: [], text: '', at };
      if (previous) {
        const asked = previous.some(({ role }) => role === 'user') || !user ? [] : [user];
        const context = [...head, ...asked, ...previous];
        const text = attempt(() => this.render(context));
        before = text === undefined ? undefined : { messages: context, text, at };
      }
      const found = before && this.#find(before, own);
      await this.pause();
      if (!found) return { spans, failed: index };
      spans.set(index, found);
      at = found.next;
      if (at >= limit) break;
      user = previous?.findLast(({ role }) => role === 'user') ?? user;
      previous = previous ? own : own.slice(headLength);
      begin = index + 1;
    }
    return { spans };
  }

  /** The last of `own`, the messages that follow `before`. Undefined where the whole text doesn't have them so. */
  #find(before: Before, own: readonly ChatMessage[]): (Span & { next: number }) | undefined {
    const { whole } = this;
    const { at } = before;
    const known = before.text.length;
    const all = [...before.messages, ...own];
    const isWhole = before.messages.length === 0 && own.length === this.messages.length;
    const after = isWhole ? whole : attempt(() => this.render(all));
    if (after === undefined || !after.startsWith(before.text) || !whole.startsWith(after.slice(known), at)) {
      return undefined;
    }
    const prompt = attempt(() => this.render(all.slice(0, -1), true));
    if (prompt === undefined) return undefined;
    let start = prompt.length;
    if (!after.startsWith(prompt)) {
      // A prompt may open a block, such as <think>, that a message without it doesn't have: its common part counts.
      start = commonLength(prompt, after);
      const text = attempt(() => this.render(all.slice(0, -1)));
      if (text === undefined || start <= text.length || !after.startsWith(text)) return undefined;
    }
    if (start < known) return undefined;
    const next = at + after.length - known;
    return { start: at + start - known, end: next, next };
  }
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

/** Leaves white space out that follows a closing special token. */
function endsOfTurns(tokenizer: Tokenizer, whole: string, spans: readonly Span[]): Span[] {
  const closing = [...tokenizer.specialIds].map((id) => tokenizer.idToToken(id)).filter((token) => token !== undefined);
  return spans.map(({ start, end }) => {
    const written = whole.slice(start, end).trimEnd();
    const closed = closing.some((token) => token !== '' && written.endsWith(token));
    return { start, end: closed ? start + written.length : end };
  });
}

/** Finds the tokens of a text, `ids`, within `spans` (in order, none overlapping; what lies behind the text is cut). */
export async function maskedIds(
  tokenizer: Tokenizer,
  text: string,
  spans: readonly Span[],
  ids: number[] = tokenizer.encode(text, { addSpecialTokens: false }),
  pause: () => Promise<void> = async () => {},
): Promise<{ ids: number[]; mask: boolean[] }> {
  const inside = spans.filter(({ start }) => start < text.length);
  const joined: number[] = [];
  const mask: boolean[] = [];
  const add = async (start: number, end: number, trained: boolean): Promise<void> => {
    for (const id of tokenizer.encode(text.slice(start, end), { addSpecialTokens: false })) {
      joined.push(id);
      mask.push(trained);
    }
    await pause();
  };
  let at = 0;
  for (const { start, end } of inside) {
    await add(at, start, false);
    await add(start, end, true);
    at = end;
  }
  await add(at, text.length, false);
  // Special tokens at the borders make the parts add up; where words run across them, places are counted instead.
  if (joined.length === ids.length && joined.every((id, index) => id === ids[index])) return { ids, mask };
  const places = tokenPlaces(tokenizer, text, ids);
  // Normalization may have moved everything: then the parts' own tokens are taken, which mean the same text.
  if (!places) return { ids: joined, mask };
  const wanted = inByte(text, inside);
  let next = 0;
  return {
    ids,
    mask: places.map((place) => {
      while (next < wanted.length && wanted[next]!.end <= place.start) next += 1;
      const span = wanted[next];
      return span !== undefined && place.end > span.start && place.start < span.end;
    }),
  };
}

/** The same spans in UTF-8. */
function inByte(text: string, spans: readonly Span[]): Span[] {
  let at = 0;
  let bytes = 0;
  const bytesBefore = (offset: number): number => {
    bytes += Buffer.byteLength(text.slice(at, offset));
    at = offset;
    return bytes;
  };
  return spans.map(({ start, end }) => ({ start: bytesBefore(start), end: bytesBefore(end) }));
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
