// Checks of the messages and tools of training rows. Errors name fields as the caller wrote them.
import type { ChatMessage } from '../../text/template.js';

/** Throws an Error that begins with the row's file and line. */
export type Wrong = (what: string) => never;

const roles = ['system', 'developer', 'user', 'assistant', 'tool', 'function'];
// A template renders the whole list in one stretch, which blocks the event loop.
const mostMessages = 1024;

export function checkedMessages(value: unknown, field: string, wrong: Wrong): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0)
    return wrong(`'${field}' must be a list of messages, got ${kind(value)}`);
  if (value.length > mostMessages) wrong(`'${field}' must have at most ${mostMessages} messages, got ${value.length}`);
  return value.map((message: unknown, i) => {
    const at = `'${field}[${i}]`;
    if (!isObject(message)) return wrong(`${at}' must be an object, got ${kind(message)}`);
    const { role, content, weight, tool_calls: calls } = message;
    if (typeof role !== 'string') return wrong(`${at}.role' must be a string, got ${kind(role)}`);
    if (!roles.includes(role)) wrong(`${at}.role' must be one of ${roles.join(', ')}, got ${kind(role)}`);
    if (weight !== undefined && weight !== 0 && weight !== 1)
      wrong(`${at}.weight' must be 0 or 1, got ${kind(weight)}`);
    checkContent(content, `${at}.content`, wrong);
    checkCalls(calls ?? undefined, `${at}.tool_calls`, wrong);
    const says = (content !== undefined && content !== null) || (Array.isArray(calls) && calls.length > 0);
    if (role === 'assistant' && !says) wrong(`${at}' must have 'content' or 'tool_calls'`);
    return message as ChatMessage;
  });
}

function checkContent(content: unknown, at: string, wrong: Wrong): void {
  if (Array.isArray(content)) {
    const odd = content.findIndex((part) => !isObject(part) || typeof part.text !== 'string');
    if (odd >= 0) wrong(`${at}[${odd}]' must be a text part: only text can be trained on`);
  } else if (content !== undefined && content !== null && typeof content !== 'string') {
    wrong(`${at}' must be a string or a list of text parts, got ${kind(content)}`);
  }
}

function checkCalls(calls: unknown, at: string, wrong: Wrong): void {
  if (calls === undefined) return;
  const list: readonly unknown[] = Array.isArray(calls) ? calls : wrong(`${at}' must be a list, got ${kind(calls)}`);
  for (const [i, call] of list.entries()) {
    const called = isObject(call) ? call.function : undefined;
    if (!isObject(called)) {
      wrong(`${at}[${i}]' must be an object with a 'function', got ${kind(call)}`);
    } else if (typeof called.name !== 'string') {
      wrong(`${at}[${i}].function.name' must be a string, got ${kind(called.name)}`);
    } else if (typeof called.arguments !== 'string' && !isObject(called.arguments)) {
      wrong(`${at}[${i}].function.arguments' must be JSON in a string, got ${kind(called.arguments)}`);
    }
  }
}

export function checkedTools(value: unknown, field: string, wrong: Wrong): unknown[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) return wrong(`'${field}' must be a list, got ${kind(value)}`);
  for (const [i, tool] of value.entries()) {
    // Some templates take bare functions as tools.
    const described = isObject(tool) && isObject(tool.function) ? tool.function : tool;
    if (!isObject(described) || typeof described.name !== 'string')
      wrong(`'${field}[${i}]' must be an object with a 'function' that has a 'name', got ${kind(tool)}`);
  }
  return value;
}

/** Whether a string somewhere in a value has half of a surrogate pair: UTF-8 has none, so it would become U+FFFD. */
export function hasHalfCharacter(value: unknown): boolean {
  const waiting = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next === 'string' && /\p{Surrogate}/u.test(next)) return true;
    if (typeof next === 'object' && next !== null) for (const entry of Object.entries(next).flat()) waiting.push(entry);
  }
  return false;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function kind(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const shown = JSON.stringify(value) ?? String(value);
  return shown.length > 40 ? `${shown.slice(0, 37)}…` : shown;
}
