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

/** A call of an earlier turn, its arguments as the client sent them: JSON, as a rule. */
export interface EarlierCall {
  name: string;
  given: string;
}

export const callObject = ({ name, given }: EarlierCall): string =>
  `{"name": ${JSON.stringify(name)}, "arguments": ${given}}`;

/** Calls as text behind that of their message, as `write` puts them, for templates that leave calls out. */
export function callsAsText(
  messages: readonly ChatMessage[],
  write: (calls: readonly EarlierCall[]) => string,
): ChatMessage[] {
  return messages.map((message) => {
    const { tool_calls: calls, ...rest } = message;
    if (!calls || calls.length === 0) return message;
    const earlier = calls.map(({ function: { name, arguments: values } }) => ({
      name,
      given: (typeof values === 'string' ? values : JSON.stringify(values)) || '{}',
    }));
    return { ...rest, content: [textOf(message.content), write(earlier)].filter((part) => part !== '').join('\n') };
  });
}

/** Each call's id as `idOf` makes it of its name and its number in the conversation, and each result's. */
export function withIds(
  messages: readonly ChatMessage[],
  idOf: (name: string, count: number) => string,
): ChatMessage[] {
  const known = new Map<string, string>();
  let count = 0;
  return messages.map((message) => {
    const { tool_calls: calls, tool_call_id: answered } = message;
    const written = calls?.map((call) => {
      const id = idOf(call.function.name, count++);
      if (call.id !== undefined) known.set(call.id, id);
      return { ...call, id };
    });
    const answers = answered === undefined ? undefined : known.get(answered);
    return {
      ...message,
      ...(written ? { tool_calls: written } : {}),
      ...(answers === undefined ? {} : { tool_call_id: answers }),
    };
  });
}

/** The conversation with a text at the end of its system message, or before the user's first where there is none. */
export function withSystemText(
  messages: readonly ChatMessage[],
  text: string,
  { system }: { system: boolean },
): readonly ChatMessage[] {
  const role = system ? 'system' : 'user';
  const first = messages[0];
  if (first?.role !== role) return [{ role, content: text }, ...messages];
  const [before, after] = system ? [textOf(first.content), text] : [text, textOf(first.content)];
  return [{ ...first, content: `${before}\n\n${after}` }, ...messages.slice(1)];
}
