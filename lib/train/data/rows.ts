// Training rows as token ids with labels. A row has one of four forms:
//
//   { messages, tools? }       OpenAI's chat form; the assistant's messages are learned, but for those of weight 0
//   { prompt, completion }     two strings, or two lists of messages; the completion is learned
//   { text }                   all of it is learned
//   { input_ids, labels? }     tokens; labels lie beside the ids as in Hugging Face, -100 where nothing is learned
//
// Other fields of a row are left alone.

import { type ChatMessage, TemplateError } from '../../text/template.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import { encodeStart, labelChat, type RenderPace } from './chat-labels.js';
import { checkedMessages, checkedTools, hasHalfCharacter, isObject, kind, type Wrong } from './row-messages.js';

/** A chat, as OpenAI's fine-tuning takes it. */
export interface ChatRow {
  messages: readonly ChatMessage[];
  tools?: readonly unknown[] | null;
}

export interface CompletionRow {
  prompt: string | readonly ChatMessage[];
  completion: string | readonly ChatMessage[];
  tools?: readonly unknown[] | null;
}

export interface TextRow {
  text: string;
}

export interface TokenRow {
  input_ids: ArrayLike<number>;
  /** Default: all ids. */
  labels?: ArrayLike<number>;
  /** 0 at padding, which is left out. */
  attention_mask?: ArrayLike<number>;
}

export type Row = ChatRow | CompletionRow | TextRow | TokenRow;

/** One row's tokens. Position t learns `labels[t + 1]`, unless that is negative. */
export interface Example {
  ids: Int32Array;
  labels: Int32Array;
  /** A positive number that the training method keeps with the example, such as the border between two sequences. */
  mark?: number;
}

export const ignored = -100;

export interface EncodeOptions {
  tokenizer: Tokenizer | undefined;
  vocabSize: number;
  /** Tokens of a row beyond this are cut off. */
  seqLength: number;
  /** Default `encodeRow`. */
  encode?: (row: unknown, where: string, options: EncodeOptions) => Promise<Encoded>;
  pause?: RenderPace['pause'];
}

export interface Encoded {
  example: Example;
  /** Further examples of the row: a chat's pieces, where its template writes earlier turns otherwise. */
  others?: readonly Example[];
  truncated: boolean;
  warning?: string | undefined;
}

/** The caller's names for the fields of a row with a prompt. */
export interface FieldNames {
  prompt: string;
  completion: string;
  tools: string;
}

const ownNames: FieldNames = { prompt: 'prompt', completion: 'completion', tools: 'tools' };

/**
 * Turns a row into tokens.
 *
 * A row that is well-formed but cannot be learned, as its chat template refuses it, gives no tokens and a warning.
 *
 * @throws Error that begins with `where` (the file and line) and names the field and what was expected.
 */
export async function encodeRow(
  row: unknown,
  where: string,
  options: EncodeOptions,
  names: FieldNames = ownNames,
): Promise<Encoded> {
  const wrong = (what: string): never => {
    throw new Error(`${where}: ${what}`);
  };
  if (!isObject(row)) return wrong(`a row must be an object, got ${kind(row)}`);
  const { pieces, warning } = await taught(row, wrong, options, names);
  let truncated = false;
  const [example, ...others] = pieces.map(({ ids, labels }) => {
    if (ids.length !== labels.length) {
      wrong(`'input_ids' and 'labels' must be of one length, got ${ids.length} and ${labels.length}`);
    }
    checkIds(ids, labels, options.vocabSize, wrong);
    const length = Math.min(ids.length, options.seqLength);
    truncated ||= ids.length > length;
    return { ids: Int32Array.from(ids.slice(0, length)), labels: Int32Array.from(labels.slice(0, length)) };
  });
  return { example: example!, ...(others.length > 0 ? { others } : {}), truncated, warning };
}

/** A row that is well-formed, and teaches nothing all the same; the message says why. */
class Untaught extends Error {}

/** A row's tokens: none, with a warning, where it is well-formed but cannot be learned. */
async function taught(...given: Parameters<typeof tokens>): Promise<Taught> {
  const nothing = { ids: [], labels: [] };
  try {
    return await tokens(...given);
  } catch (error) {
    if (!(error instanceof TemplateError || error instanceof Untaught)) throw error;
    return { pieces: [nothing], warning: error.message };
  }
}

/** How many positions have something to learn. */
export function learned({ labels }: Example): number {
  let count = 0;
  for (let t = 1; t < labels.length; t++) if (labels[t]! >= 0) count++;
  return count;
}

interface Tokens {
  ids: number[];
  labels: number[];
}

interface Taught {
  pieces: Tokens[];
  warning?: string | undefined;
}

async function tokens(
  row: Record<string, unknown>,
  wrong: Wrong,
  options: EncodeOptions,
  names: FieldNames,
): Promise<Taught> {
  if (row.input_ids !== undefined) return { pieces: [given(row, wrong)] };
  const form = ['messages', 'prompt', 'completion', 'text'].find((field) => row[field] !== undefined);
  if (form === undefined) {
    const found = Object.keys(row)
      .slice(0, 5)
      .map((key) => `'${key}'`)
      .join(', ');
    return wrong(
      `a row must have 'messages', 'prompt' and 'completion', 'text' or 'input_ids', got ${found || 'no fields'}`,
    );
  }
  const { tokenizer } = options;
  if (!tokenizer) {
    return wrong(`this model has no tokenizer, so rows must be tokens ('input_ids', 'labels'), got '${form}'`);
  }
  const half = ['messages', 'prompt', 'completion', 'text', 'tools'].find((field) => hasHalfCharacter(row[field]));
  if (half !== undefined)
    throw new Untaught(`'${half}' holds half of a surrogate pair, as cut emoji leave it, which is no character`);
  if (form === 'text') return { pieces: [text(row.text, tokenizer, wrong, options.seqLength)] };
  const encoding = { ...options, tokenizer };
  const tools = checkedTools(row.tools ?? undefined, names.tools, wrong);
  if (form === 'messages') return chat(checkedMessages(row.messages, 'messages', wrong), tools, encoding);
  return completion(row, tools, encoding, wrong, names);
}

type Encoding = EncodeOptions & { tokenizer: Tokenizer };

function text(value: unknown, tokenizer: Tokenizer, wrong: Wrong, seqLength: number): Tokens {
  if (typeof value !== 'string') return wrong(`'text' must be a string, got ${kind(value)}`);
  const ids = closed(once(encodeStart(tokenizer, value, seqLength).ids, tokenizer), tokenizer);
  return { ids, labels: ids };
}

/** Removes a second beginning-of-text token, where the text spells the one that `encode` adds. */
function once(ids: number[], { bosId }: Tokenizer): number[] {
  return bosId !== undefined && ids[0] === bosId && ids[1] === bosId ? ids.slice(1) : ids;
}

/** Appends the end-of-text token, which teaches the model to stop. */
function closed(ids: number[], { eosId }: Tokenizer): number[] {
  return eosId === undefined || ids.at(-1) === eosId ? ids : [...ids, eosId];
}

async function chat(
  list: readonly ChatMessage[],
  tools: unknown[] | undefined,
  { tokenizer, seqLength, pause }: Encoding,
): Promise<Taught> {
  const pace = { tokens: seqLength, pause };
  const { warning, others = [], ...first } = await labelChat(tokenizer, list, tools ? { tools } : {}, pace);
  const pieces = [first, ...others].map(({ ids, mask }) => ({
    ids,
    labels: ids.map((id, t) => (mask[t] ? id : ignored)),
  }));
  return { pieces, warning };
}

async function completion(
  row: Record<string, unknown>,
  tools: unknown[] | undefined,
  encoding: Encoding,
  wrong: Wrong,
  names: FieldNames,
): Promise<Taught> {
  const { prompt, completion } = row;
  const { tokenizer, seqLength } = encoding;
  if (prompt === undefined) wrong(`a row with a '${names.completion}' must have a '${names.prompt}'`);
  if (completion === undefined) wrong(`a row with a '${names.prompt}' must have a '${names.completion}'`);
  if (typeof prompt === 'string' && typeof completion === 'string') {
    const before = promptIds(prompt, tokenizer, seqLength);
    const whole = once(encodeStart(tokenizer, prompt + completion, seqLength).ids, tokenizer);
    // Prompt and completion are encoded apart where a token would span their border, as generation encodes the prompt alone.
    const joined = before.every((id, t) => id === whole[t] || t >= seqLength)
      ? whole
      : [...before, ...encodeStart(tokenizer, completion, seqLength, { addSpecialTokens: false }).ids];
    const ids = closed(joined, tokenizer);
    return { pieces: [{ ids, labels: ids.map((id, t) => (t < before.length ? ignored : id)) }] };
  }
  if (typeof prompt === 'string' || typeof completion === 'string') {
    wrong(`'${names.prompt}' and '${names.completion}' must both be strings or both lists of messages`);
  }
  const asked = checkedMessages(prompt, names.prompt, wrong).map((message) => ({ ...message, weight: 0 }));
  return chat([...asked, ...checkedMessages(completion, names.completion, wrong)], tools, encoding);
}

function promptIds(prompt: string, tokenizer: Tokenizer, seqLength: number): number[] {
  const ids = once(encodeStart(tokenizer, prompt, seqLength).ids, tokenizer);
  const plain = encodeStart(tokenizer, prompt, seqLength, { addSpecialTokens: false }).ids;
  const addsEos = ids.at(-1) === tokenizer.eosId && plain.at(-1) !== tokenizer.eosId && ids.length > 0;
  return addsEos ? ids.slice(0, -1) : ids;
}

function given(row: Record<string, unknown>, wrong: Wrong): Tokens {
  const ids = integers(row.input_ids, 'input_ids', wrong);
  const labels = row.labels === undefined ? ids : integers(row.labels, 'labels', wrong);
  if (row.attention_mask === undefined) return { ids, labels };
  const mask = integers(row.attention_mask, 'attention_mask', wrong);
  if (mask.length !== ids.length) {
    wrong(`'input_ids' and 'attention_mask' must be of one length, got ${ids.length} and ${mask.length}`);
  }
  const real = (_: number, t: number): boolean => mask[t] !== 0;
  return { ids: ids.filter(real), labels: labels.length === ids.length ? labels.filter(real) : labels };
}

function integers(value: unknown, field: string, wrong: Wrong): number[] {
  const list = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  if (!list) return wrong(`'${field}' must be a list of integers, got ${kind(value)}`);
  const out: number[] = Array.from(value as unknown as ArrayLike<number>);
  const bad = out.findIndex((x) => !Number.isInteger(x));
  if (bad >= 0) wrong(`'${field}[${bad}]' must be an integer, got ${kind(out[bad])}`);
  return out;
}

function checkIds(ids: readonly number[], labels: readonly number[], vocabSize: number, wrong: Wrong): void {
  const outside = (id: number): boolean => id < 0 || id >= vocabSize;
  const badId = ids.findIndex(outside);
  if (badId >= 0) wrong(`token ${badId} is ${ids[badId]}, outside the model's vocabulary of ${vocabSize}`);
  const badLabel = labels.findIndex((id) => id !== ignored && outside(id));
  if (badLabel >= 0) {
    wrong(`label ${badLabel} is ${labels[badLabel]}, neither ${ignored} nor in the model's vocabulary of ${vocabSize}`);
  }
}
