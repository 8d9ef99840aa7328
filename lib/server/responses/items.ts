// The items of an answer, and what they keep of their response: an item's id names its response and its place there.

export interface ReasoningItem {
  id: string;
  type: 'reasoning';
  summary: { type: 'summary_text'; text: string }[];
  content: { type: 'reasoning_text'; text: string }[];
  encrypted_content?: string;
  status: Status;
}

export interface TextPart {
  type: 'output_text';
  text: string;
  annotations: never[];
  logprobs: unknown[];
}

export interface MessageItem {
  id: string;
  type: 'message';
  role: 'assistant';
  status: Status;
  content: TextPart[];
}

export interface CallItem {
  id: string;
  type: 'function_call';
  call_id: string;
  name: string;
  namespace?: string;
  arguments: string;
  status: Status;
}

export type Status = 'in_progress' | 'completed' | 'incomplete';
export type OutputItem = ReasoningItem | MessageItem | CallItem;

const prefixes = { reasoning: 'rs', message: 'msg', function_call: 'fc' } as const;

/** The id of the item at `place` of a response whose id is `resp_NAME`. */
export function itemId(type: OutputItem['type'], responseId: string, place: number): string {
  return `${prefixes[type]}_${responseId.replace(/^resp_/, '')}_${place}`;
}

/** The response and the place that an item's id names; undefined for an id that was not made here. */
export function placeOf(id: string): { responseId: string; place: number } | undefined {
  const [, name, place] = /^(?:rs|msg|fc)_(\w+)_(\d{1,6})$/.exec(id) ?? [];
  return name === undefined ? undefined : { responseId: `resp_${name}`, place: Number(place) };
}

const sealed = 'helvetia.';

/** Reasoning as a text that a client carries for a server that keeps nothing. It is not secret: it is the client's own. */
export const sealedReasoning = (text: string): string => sealed + Buffer.from(text).toString('base64');

/** What `sealedReasoning` was made of; undefined for another server's. */
export const openedReasoning = (text: string): string | undefined =>
  text.startsWith(sealed) ? Buffer.from(text.slice(sealed.length), 'base64').toString() : undefined;
