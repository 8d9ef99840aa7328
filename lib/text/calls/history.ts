// Building blocks of a dialect's template side: conversations with calls as some chat templates want them.

import type { ChatMessage } from '../template.js';

/** Characters of a short id. */
export const shortIdLength = 9;

/** Each call's id, and each result's, as nine letters or digits. */
export function withShortIds(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message) => {
    const { tool_calls: calls, tool_call_id: id } = message;
    return {
      ...message,
      ...(calls ? { tool_calls: calls.map((call) => ({ ...call, id: shortId(call.id ?? '') })) } : {}),
      ...(id === undefined ? {} : { tool_call_id: shortId(id) }),
    };
  });
}

function shortId(id: string): string {
  return id
    .replace(/[^A-Za-z0-9]/g, '')
    .slice(-shortIdLength)
    .padStart(shortIdLength, '0');
}

/** Parallel calls as one turn each, followed by its result. */
export function oneCallEach(messages: readonly ChatMessage[]): ChatMessage[] {
  const result: ChatMessage[] = [];
  for (let at = 0; at < messages.length; ) {
    const message = messages[at]!;
    const calls = message.tool_calls ?? [];
    at += 1;
    if (calls.length < 2) {
      result.push(message);
      continue;
    }
    const answers = new Map<string | undefined, ChatMessage[]>(calls.map(({ id }) => [id, []]));
    const others: ChatMessage[] = [];
    for (; messages[at]?.role === 'tool'; at += 1) {
      const answer = messages[at]!;
      (answers.get(answer.tool_call_id) ?? others).push(answer);
    }
    for (const call of calls) result.push({ ...message, tool_calls: [call] }, ...(answers.get(call.id) ?? []));
    result.push(...others);
  }
  return result;
}

/** A message's text, without its other parts. */
export function textOf(content: ChatMessage['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).flatMap((part) => ('text' in part ? [String(part.text)] : [])).join('\n');
}
