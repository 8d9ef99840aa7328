// DPO's rows as pairs of token sequences. A row has one of three forms:
//
//   { input: { messages, tools? }, preferred_output, non_preferred_output }    OpenAI's; the outputs are messages
//   { prompt, chosen, rejected }     TRL's; strings, or lists of messages. Without a prompt, what both begin with is it
//   { chosen, rejected }             rows of tokens: { input_ids, labels }
//
// The answers are learned, the prompt is read twice. Each of the two sequences is cut on its own.
import { isDeepStrictEqual } from 'node:util';
import type { ChatMessage } from '../../text/template.js';
import { isObject, kind, type Wrong } from '../data/row-messages.js';
import {
  type Encoded,
  type EncodeOptions,
  type Example,
  encodeRow,
  type FieldNames,
  ignored,
  learned,
  type TokenRow,
} from '../data/rows.js';

/** A preference, as OpenAI's fine-tuning takes it. */
export interface PreferenceRow {
  input: { messages: readonly ChatMessage[]; tools?: readonly unknown[] | null };
  preferred_output: readonly ChatMessage[];
  non_preferred_output: readonly ChatMessage[];
}

export interface ChosenRow {
  prompt?: string | readonly ChatMessage[];
  chosen: string | readonly ChatMessage[];
  rejected: string | readonly ChatMessage[];
}

export interface TokenPairRow {
  chosen: TokenRow;
  rejected: TokenRow;
}

export type DpoRow = PreferenceRow | ChosenRow | TokenPairRow;

/**
 * Turns a preference into one example of two sequences, the chosen one first; its mark is where the second one begins.
 *
 * @throws Error that begins with `where` (the file and line) and names the field and what was expected.
 */
export async function encodePreference(row: unknown, where: string, options: EncodeOptions): Promise<Encoded> {
  const wrong = (what: string): never => {
    throw new Error(`${where}: ${what}`);
  };
  if (!isObject(row)) return wrong(`a row must be an object, got ${kind(row)}`);
  const [one, other] = answers(row, wrong);
  const encode = (answer: Answer): Promise<Encoded> =>
    encodeRow(answer.row, answer.names ? where : `${where}: '${answer.field}'`, options, answer.names);
  const chosen = await encode(one);
  const rejected = await encode(other);
  const pair = [last(chosen), last(rejected)] as const;
  const ids = Int32Array.from(pair.flatMap((part) => [...part.ids]));
  const labels = Int32Array.from(pair.flatMap((part) => [ignored, ...part.labels.subarray(1)]));
  const same = isDeepStrictEqual(pair[0], pair[1]);
  // A pair with no target on one side is skipped.
  if (same || pair.some((part) => learned(part) === 0)) labels.fill(ignored);
  const isUnrolled = chosen.others !== undefined || rejected.others !== undefined;
  const warning =
    chosen.warning ??
    rejected.warning ??
    (isUnrolled
      ? "only the answers' last turns are compared, as the chat template rewrites earlier ones"
      : undefined) ??
    (same ? 'both answers are the same' : undefined);
  return {
    example: { ids, labels, mark: pair[0].ids.length },
    truncated: chosen.truncated || rejected.truncated,
    warning,
  };
}

const last = ({ example, others = [] }: Encoded): Example => others.at(-1) ?? example;

interface Answer {
  field: string;
  row: unknown;
  /** The caller's names, where the row has another form. */
  names?: FieldNames;
}

function answers(row: Record<string, unknown>, wrong: Wrong): [Answer, Answer] {
  if (row.input !== undefined) {
    if (!isObject(row.input)) return wrong(`'input' must be an object with 'messages', got ${kind(row.input)}`);
    const { messages, tools } = row.input;
    if (!Array.isArray(messages)) return wrong(`'input.messages' must be a list of messages, got ${kind(messages)}`);
    const answer = (field: string): Answer => {
      const output = row[field];
      if (!Array.isArray(output)) return wrong(`'${field}' must be a list of messages, got ${kind(output)}`);
      if (
        output.every((message) => isObject(message) && typeof message.role === 'string' && message.role !== 'assistant')
      )
        wrong(`'${field}' must have a message of the role 'assistant'`);
      const names = { prompt: 'input.messages', completion: field, tools: 'input.tools' };
      return { field, row: { prompt: messages, completion: output, tools }, names };
    };
    return [answer('preferred_output'), answer('non_preferred_output')];
  }
  for (const field of ['chosen', 'rejected']) {
    if (row[field] !== undefined) continue;
    return wrong(
      `a preference must have 'input', 'preferred_output' and 'non_preferred_output', or 'chosen' and 'rejected', got ${fields(row)}`,
    );
  }
  const { prompt, chosen, rejected } = row.prompt === undefined ? implied(row.chosen, row.rejected) : row;
  const side = (field: string, answer: unknown): Answer => {
    if (isObject(answer)) return { field, row: answer };
    // Nothing is common: each side is a chat of its own.
    if (prompt === undefined && Array.isArray(answer)) return { field, row: { messages: answer, tools: row.tools } };
    if (prompt === undefined)
      return wrong(`'${field}' must be an object with 'input_ids', or a list of messages, where there is no 'prompt'`);
    const names = { prompt: 'prompt', completion: field, tools: 'tools' };
    return { field, row: { prompt, completion: answer, tools: row.tools }, names };
  };
  return [side('chosen', chosen), side('rejected', rejected)];
}

/** Takes what both answers begin with out of them, as the prompt; at least a message or a word is left of each. */
function implied(chosen: unknown, rejected: unknown): { prompt?: unknown; chosen: unknown; rejected: unknown } {
  const isText = typeof chosen === 'string' && typeof rejected === 'string';
  if (!isText && !(Array.isArray(chosen) && Array.isArray(rejected))) return { chosen, rejected };
  const [one, other] = [chosen, rejected as typeof chosen];
  let length = 0;
  const most = Math.min(one.length, other.length) - (isText ? 0 : 1);
  while (length < most && isDeepStrictEqual(one[length], other[length])) length++;
  if (isText) {
    // The completion begins with the space in front of its first word.
    while (length > 0 && chosen[length - 1]!.trim() !== '') length--;
    while (length > 0 && chosen[length - 1]!.trim() === '') length--;
  }
  if (length === 0) return { chosen, rejected };
  return { prompt: one.slice(0, length), chosen: one.slice(length), rejected: other.slice(length) };
}

const fields = (row: Record<string, unknown>): string =>
  Object.keys(row)
    .slice(0, 5)
    .map((key) => `'${key}'`)
    .join(', ') || 'no fields';
