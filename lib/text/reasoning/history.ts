// Reasoning of earlier answers, put where the model's chat template reads it. Messages carry it as `reasoning_content`.

import { perTokenizer, probed } from '../chat/probe.js';
import type { ChatMessage } from '../template.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { reasoningOf } from './recognise.js';

/** Puts the reasoning into a message that had it taken out. */
type Place = (message: ChatMessage, reasoning: string) => ChatMessage;

const keys = ['reasoning_content', 'reasoning', 'thinking', 'thought'];

const inParts: Place = (message, reasoning) => ({
  ...message,
  content: [
    { type: 'thinking', thinking: reasoning },
    ...(typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : (message.content ?? [])),
  ],
});

/** The messages with their reasoning where the template reads it; without, where it reads none. */
export function withReasoning(tokenizer: Tokenizer, messages: readonly ChatMessage[]): readonly ChatMessage[] {
  if (!messages.some(hasReasoning)) return messages;
  const put = placeOf(tokenizer);
  return messages.map((message) => {
    if (!hasReasoning(message)) return message;
    const { reasoning_content: reasoning, ...rest } = message;
    return put(rest as ChatMessage, reasoning);
  });
}

function hasReasoning(message: ChatMessage): message is ChatMessage & { reasoning_content: string } {
  return typeof message.reasoning_content === 'string' && message.reasoning_content !== '';
}

const placeOf = perTokenizer((tokenizer): Place => {
  const byKey = keys.map(
    (key): Place =>
      (message, reasoning) => ({ ...message, [key]: reasoning }),
  );
  const form = reasoningOf(tokenizer)?.form;
  const inText: Place = (message, reasoning) =>
    typeof message.content === 'string' && form
      ? { ...message, content: `${form.open}\n${reasoning}\n${form.close}\n${message.content}` }
      : message;
  return [...byKey, inParts, inText].find((place) => isRead(tokenizer, place)) ?? ((message) => message);
});

const probe = 'probe_reasoning';

/** Whether the template writes the reasoning of an answer, or of a call that was answered. */
function isRead(tokenizer: Tokenizer, place: Place): boolean {
  const question: ChatMessage = { role: 'user', content: 'q' };
  const called = {
    id: 'abcdefghi',
    type: 'function',
    function: { name: 'probe_function', arguments: { probe_argument: 'x' } },
  };
  const conversations: ChatMessage[][] = [
    [
      question,
      place({ role: 'assistant', content: '', tool_calls: [called] }, probe),
      { role: 'tool', content: 'r', name: 'probe_function', tool_call_id: 'abcdefghi' },
    ],
    [question, place({ role: 'assistant', content: 'a' }, probe)],
    [question, place({ role: 'assistant', content: 'a' }, probe), question],
  ];
  return conversations.some((messages) => {
    const text = probed(tokenizer, messages);
    // Some templates write parts that they do not know as they are.
    return text.includes(probe) && !/["']type["']/.test(text);
  });
}
