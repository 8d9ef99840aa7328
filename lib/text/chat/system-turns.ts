// System messages behind the first turn, for chat templates that refuse or drop them: each becomes text of the user's
// message that follows it, or that came before.

import { textOf } from '../calls/history.js';
import type { ChatMessage } from '../template.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { perTokenizer, probed } from './probe.js';

/** The messages as the model's template takes them. */
export function withSystemTurns(tokenizer: Tokenizer, messages: readonly ChatMessage[]): readonly ChatMessage[] {
  if (!messages.some(({ role }, at) => at > 0 && role === 'system')) return messages;
  return keepsThem(tokenizer) ? messages : moved(messages);
}

const keepsThem = perTokenizer((tokenizer) => {
  const messages: ChatMessage[] = [
    { role: 'system', content: 'probe_first' },
    { role: 'user', content: 'q' },
    { role: 'assistant', content: 'a' },
    { role: 'system', content: 'probe_second' },
    { role: 'user', content: 'q' },
  ];
  const text = probed(tokenizer, messages, { addGenerationPrompt: true });
  return text.includes('probe_first') && text.includes('probe_second');
});

function moved(messages: readonly ChatMessage[]): ChatMessage[] {
  const result: ChatMessage[] = [];
  /** Instructions that wait for the user's next message. */
  let waiting: string[] = [];
  for (const [at, message] of messages.entries()) {
    const { role, content } = message;
    if (role === 'system') {
      const last = result.at(-1);
      if (result.length === 0) result.push(message);
      // Several at the beginning are one.
      else if (result.length === 1 && last?.role === 'system') result[0] = { ...last, content: joined(last, message) };
      else waiting.push(textOf(content));
    } else if (role === 'user' && waiting.length > 0) {
      result.push({ ...message, content: [...waiting, textOf(content)].join('\n\n') });
      waiting = [];
    } else if (waiting.length > 0 && role === 'assistant') {
      place(result, waiting);
      waiting = [];
      result.push(message);
    } else {
      result.push(message);
    }
    if (at === messages.length - 1 && waiting.length > 0) place(result, waiting);
  }
  return result;
}

/** Behind the user's last message, or as one of its own behind the result of a call. */
function place(result: ChatMessage[], waiting: readonly string[]): void {
  const last = result.at(-1);
  if (last?.role === 'user') {
    result[result.length - 1] = { ...last, content: [textOf(last.content), ...waiting].join('\n\n') };
  } else {
    result.push({ role: 'user', content: waiting.join('\n\n') });
  }
}

const joined = (first: ChatMessage, second: ChatMessage): string =>
  [textOf(first.content), textOf(second.content)].filter((text) => text !== '').join('\n\n');
