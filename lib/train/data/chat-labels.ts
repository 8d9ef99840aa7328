// Chats as training rows: the token ids of a whole chat, and which of them the assistant wrote.
//
// Each of the assistant's messages is rendered twice: the prefix with the generation prompt, and the prefix with the
// message; the difference is what the model would have had to write. The end-of-turn token belongs to it, white space
// that the template adds after that does not, nor does the token with which a template closes a finished chat.
//
// Some templates render a message differently once more messages follow: thinking is dropped, ends of turns change. Such
// a chat is unrolled: each turn that the whole text does not hold as the model writes it ends a piece of its own.
//
// Rendering the whole prefix per turn is quadratic. Most templates render a turn the same with only the previous turn
// before it; if the pieces join up to the whole text, that holds. Of a long chat only the wanted tokens are rendered.

import { type ChatMessage, TemplateError, type TemplateOptions } from '../../text/template.js';
import type { EncodeOptions, Tokenizer } from '../../text/tokenizer/tokenizer.js';

export interface LabelledChat {
  ids: number[];
  /** True at the tokens to train on. */
  mask: boolean[];
  /** Further pieces, where the chat was unrolled, in the order of its turns. */
  others?: Labelled[];
  /** Why fewer messages are trained on than asked for, in one sentence. */
  warning?: string;
}

type Labelled = Pick<LabelledChat, 'ids' | 'mask'>;

export interface RenderPace {
  /** The number of ids that are needed; more may be returned. Default: all. */
  tokens?: number | undefined;
  /** Awaited between stretches of work; its rejection ends the work. */
  pause?: (() => Promise<void>) | undefined;
}

interface Span {
  start: number;
  end: number;
}

/**
 * The ids of a chat, and a mask of the assistant's words. A message with `weight: 0` is left out of the mask.
 *
 * @throws TemplateError where the template refuses the messages, does not write a call of a tool, or the assistant's
 *   words can't be told apart.
 */
export async function labelChat(
  tokenizer: Tokenizer,
  given: readonly ChatMessage[],
  templateOptions: TemplateOptions = {},
  { tokens = Number.POSITIVE_INFINITY, pause = async () => {} }: RenderPace = {},
): Promise<LabelledChat> {
  // Control tokens are those of the template: what the messages spell is text.
  const messages = tokenizer.literal(given);
  const { tools, variables } = templateOptions;
  const options = { ...templateOptions, tools: tokenizer.literal(tools), variables: tokenizer.literal(variables) };
  const render = (part: readonly ChatMessage[], addGenerationPrompt = false): string =>
    tokenizer.applyChatTemplate(part, { ...options, addGenerationPrompt });
  const part = await enoughMessages(tokenizer, messages, render, { tokens, pause });
  const whole = render(part);
  await pause();
  const start = encodeStart(tokenizer, whole, tokens, chatText);
  await pause();
  const closing = [...tokenizer.specialIds].flatMap((id) => tokenizer.idToToken(id) || []);
  const chat = new Chat(part, whole, { render, pause, closing });
  const wanted = chat.turns.filter((index) => part[index]!.weight !== 0);
  const spans = await chat.spans(wanted, start.text.length);
  if (spans) return maskedIds(tokenizer, start.text, spans, start.ids, pause);
  const { pieces, lost } = await chat.unrolled(wanted);
  const labelled: Labelled[] = [];
  for (const piece of pieces) {
    const { text, ids } = encodeStart(tokenizer, piece.text, tokens, chatText);
    await pause();
    labelled.push(await maskedIds(tokenizer, text, piece.spans, ids, pause));
  }
  const [first, ...others] = labelled;
  if (!first) throw new TemplateError(untold);
  return { ...first, others, ...(lost > 0 ? { warning: `${lost} of its turns are left out: ${untold}` } : {}) };
}

const untold =
  "chat template: the assistant's words can't be told from the rest, as the template writes them differently within " +
  'the whole chat';

/** Text that a template wrote of what `tokenizer.literal` gave. */
const chatText: EncodeOptions = { addSpecialTokens: false, literals: true };

// Most characters of a token in nearly every text; encodeStart takes more text where tokens are longer.
const tokenCharacters = 6;

/**
 * The beginning of a text and its ids, cut far enough behind the first `tokens` ids that these equal the whole text's.
 * Encoding a book as one row would block the event loop for seconds.
 */
export function encodeStart(
  tokenizer: Tokenizer,
  text: string,
  tokens: number,
  options?: EncodeOptions,
): { text: string; ids: number[] } {
  for (let length = tokenCharacters * tokens + 256; length < text.length; length *= 2) {
    const part = text.slice(0, length);
    const ids = tokenizer.encode(part, options);
    if (ids.length > tokens + 64) return { text: part, ids };
  }
  return { text, ids: tokenizer.encode(text, options) };
}

/** The first messages, enough for the wanted tokens and as much text again. */
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
    if (encodeStart(tokenizer, text.slice(0, text.length / 2), tokens, chatText).ids.length > tokens + 64) return part;
    await pause();
  }
  return messages;
}

/** Undefined where the template refuses: some require a user's message first, or last. */
function attempt(render: () => string): string | undefined {
  try {
    return render();
  } catch (error) {
    if (error instanceof TemplateError) return undefined;
    throw error;
  }
}

/** The context of a message: messages, their text, and the offset in the whole text where it ends. */
interface Before {
  messages: readonly ChatMessage[];
  text: string;
  at: number;
}

/** The last message of a rendered list: the text of all of it, and where the message begins there. */
interface Turn {
  messages: readonly ChatMessage[];
  text: string;
  start: number;
}

interface Means {
  render: (part: readonly ChatMessage[], addGenerationPrompt?: boolean) => string;
  pause: () => Promise<void>;
  /** Special tokens: a turn ends with one. */
  closing: readonly string[];
}

/** Finds the assistant's messages in the text of a chat. */
class Chat {
  /** Indices of the assistant's messages. */
  readonly turns: number[];

  constructor(
    private readonly messages: readonly ChatMessage[],
    private readonly whole: string,
    private readonly means: Means,
  ) {
    this.turns = [...messages.keys()].filter((index) => messages[index]!.role === 'assistant');
  }

  /** Texts that together hold each wanted turn as the model writes it; `lost` turns can't be told apart even so. */
  async unrolled(wanted: readonly number[]): Promise<{ pieces: { text: string; spans: Span[] }[]; lost: number }> {
    const found: Turn[] = [];
    for (const index of wanted) {
      const turn = this.#turn(this.messages.slice(0, index + 1));
      if (turn) found.push(turn);
      await this.means.pause();
    }
    const pieces: { text: string; spans: Span[] }[] = [];
    for (let left = found; left.length > 0; ) {
      const { text } = left.at(-1)!;
      const spans = left.map((turn) => this.#spanIn(text, turn));
      pieces.unshift({ text, spans: spans.filter((span) => span !== undefined) });
      left = left.filter((_, i) => spans[i] === undefined);
      await this.means.pause();
    }
    return { pieces, lost: wanted.length - found.length };
  }

  /** The spans of the wanted turns that begin before `limit`; undefined if one of them is not found. */
  async spans(wanted: readonly number[], limit: number): Promise<Span[] | undefined> {
    const { spans, failed } = await this.#nearSpans(limit);
    // A turn not found with a short context is the likeliest to be missing with the whole one.
    if (failed !== undefined && wanted.includes(failed) && !this.span(failed)) return undefined;
    const found: Span[] = [];
    for (const index of wanted) {
      let span = spans.get(index);
      if (!span) {
        if (failed === undefined) break; // behind the limit
        span = this.span(index);
        await this.means.pause();
        if (!span) return undefined;
        if (span.start >= limit) break;
      }
      found.push(span);
    }
    return found;
  }

  /** The span of one turn, found by rendering its whole prefix. */
  span(index: number): Span | undefined {
    return this.#find({ messages: [], text: '', at: 0 }, this.messages.slice(0, index + 1));
  }

  /** The spans of all turns up to the first that is not found with only the previous turn before it. */
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
        const text = attempt(() => this.means.render(context));
        before = text === undefined ? undefined : { messages: context, text, at };
      }
      const found = before && this.#find(before, own);
      await this.means.pause();
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

  /** The span of the last of `own`, which follow `before`; undefined where the whole text renders them differently. */
  #find(before: Before, own: readonly ChatMessage[]): (Span & { next: number }) | undefined {
    const { at } = before;
    const known = before.text.length;
    const turn = this.#turn([...before.messages, ...own]);
    if (!turn?.text.startsWith(before.text) || turn.start < known) return undefined;
    const span = this.#spanIn(this.whole, turn, known, at);
    return span && { ...span, next: at + turn.text.length - known };
  }

  /** Undefined where the template refuses the messages, or does not show where the last one begins. */
  #turn(all: readonly ChatMessage[]): Turn | undefined {
    const { render } = this.means;
    const isWhole = all.length === this.messages.length && all.every((message, i) => message === this.messages[i]);
    const text = isWhole ? this.whole : attempt(() => render(all));
    if (text === undefined) return undefined;
    const start = all.length === 1 ? this.#firstStart(all[0]!, text) : this.#start(all.slice(0, -1), text);
    return start === undefined ? undefined : { messages: all, text, start };
  }

  #start(before: readonly ChatMessage[], after: string): number | undefined {
    const { render } = this.means;
    const prompt = attempt(() => render(before, true));
    if (prompt === undefined || after.startsWith(prompt)) return prompt?.length;
    // A generation prompt may open a block, such as <think>, that the message lacks: their common prefix counts.
    const start = commonLength(prompt, after);
    const text = attempt(() => render(before));
    return text === undefined || start <= text.length || !after.startsWith(text) ? undefined : start;
  }

  /** Where a chat's first message begins. Templates refuse an empty list, or put a system message in front of others. */
  #firstStart(message: ChatMessage, after: string): number | undefined {
    const { render } = this.means;
    const [one, other] = ['Q', '7'].map((content) => attempt(() => render([{ role: message.role, content }])));
    const asked = attempt(() => render([message], true));
    if (one === undefined || other === undefined || asked === undefined) return undefined;
    const head = one.slice(0, commonLength(one, other));
    const prompt = asked.slice(commonLength(asked, after));
    const at = prompt === '' ? head.length : head.lastIndexOf(prompt) + prompt.length;
    return (prompt === '' || head.includes(prompt)) && after.startsWith(head.slice(0, at)) ? at : undefined;
  }

  /**
   * The span in `whole` of a turn whose text from `known` on stands at `at`; undefined where it stands otherwise there.
   *
   * @throws TemplateError if the template does not write a call that the message has.
   */
  #spanIn(whole: string, { messages, text, start }: Turn, known = 0, at = 0): Span | undefined {
    let end = text.length;
    if (!whole.startsWith(text.slice(known), at)) {
      end = this.#border(text, known + commonLength(text.slice(known), whole.slice(at)));
      if (!this.#closes(text, start, end)) return undefined;
    } else if (this.#closings(text.slice(start)) > 1) {
      // Another message behind it shows what belongs to the end of the chat.
      const { render } = this.means;
      const longer = attempt(() => render([...messages, { role: 'user', content: 'Q' }]));
      const shared = longer === undefined ? 0 : this.#border(text, commonLength(text, longer));
      if (this.#closes(text, start, shared)) end = shared;
    }
    const written = text.slice(start, end);
    for (const { function: called } of messages.at(-1)!.tool_calls ?? []) {
      if (written.includes(called.name)) continue;
      throw new TemplateError(`chat template: it does not write the call of the tool '${called.name}'`);
    }
    // White space behind the token that closes a turn is the template's.
    const closed = this.#closings(written) > 0;
    const offset = at - known;
    return { start: start + offset, end: start + offset + (closed ? written.trimEnd() : written).length };
  }

  /** Whether a turn that begins at `start` is closed before `end`, so that what follows in its text closes the chat. */
  #closes(text: string, start: number, end: number): boolean {
    const rest = text.slice(end);
    return end > start && this.#closings(text.slice(start, end)) > 0 && this.#closings(rest, true) > 0;
  }

  /** Where the special token that `end` lies inside of begins; `end` where it lies in none. */
  #border(text: string, end: number): number {
    for (const token of this.means.closing) {
      for (let inside = 1; inside < token.length; inside++)
        if (text.startsWith(token, end - inside)) return end - inside;
    }
    return end;
  }

  /** How many special tokens end a text, white space aside; with `only`, 0 where it holds anything else. */
  #closings(text: string, only = false): number {
    let count = 0;
    let rest = text.trimEnd();
    for (let token: string | undefined; ; count++) {
      token = this.means.closing.find((other) => rest.endsWith(other));
      if (token === undefined) return only && rest !== '' ? 0 : count;
      rest = rest.slice(0, -token.length).trimEnd();
    }
  }
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

/** Marks the tokens `ids` of a text that lie in `spans`, which are in order and disjoint; spans beyond the text are cut. */
export async function maskedIds(
  tokenizer: Tokenizer,
  text: string,
  spans: readonly Span[],
  ids: number[] = tokenizer.encode(text, chatText),
  pause: () => Promise<void> = async () => {},
): Promise<{ ids: number[]; mask: boolean[] }> {
  const inside = spans.filter(({ start }) => start < text.length);
  const joined: number[] = [];
  const mask: boolean[] = [];
  const add = async (start: number, end: number, trained: boolean): Promise<void> => {
    for (const id of tokenizer.encode(text.slice(start, end), chatText)) {
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
  // Special tokens at the borders make the parts join up; where tokens span a border, byte positions decide.
  if (joined.length === ids.length && joined.every((id, index) => id === ids[index])) return { ids, mask };
  const places = tokenPlaces(tokenizer, text, ids);
  // Normalization may shift all positions; the parts' own tokens then spell the same text.
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

/** The spans in bytes of UTF-8. */
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
 * The bytes of the text (in UTF-8) that each token spells; undefined where the tokens don't spell the text.
 *
 * SentencePiece adds a space before the first token; special tokens may swallow white space of the text.
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
