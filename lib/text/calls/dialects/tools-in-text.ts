// For models whose chat template knows no calls, or writes them in a way that no other dialect reads: tools, calls and
// results become text of the messages, in the words and tags that most models have seen in training.

import type { ChatMessage } from '../../template.js';
import { textOf, withSystemText } from '../history.js';
import { taggedObjects } from '../tagged-objects.js';
import type { Dialect, ModelFacts } from './dialect.js';

export const toolsInText: Dialect = {
  name: 'tools-in-text',
  ...taggedObjects('<tool_call>', '</tool_call>'),
  recognises: () => true,
  describesTools: true,
  messages: (messages, tools, model) => withInstructions(writtenOut(messages), tools, model),
};

/** Calls and results as text. The results of parallel calls are one message: many templates want roles to alternate. */
function writtenOut(messages: readonly ChatMessage[]): ChatMessage[] {
  const result: ChatMessage[] = [];
  for (const [at, message] of messages.entries()) {
    const { tool_calls: calls, tool_call_id: _, name: __, ...rest } = message;
    if (message.role === 'tool') {
      const content = `<tool_response>\n${textOf(message.content)}\n</tool_response>`;
      if (messages[at - 1]?.role !== 'tool') result.push({ role: 'user', content });
      else result.push({ role: 'user', content: `${textOf(result.pop()!.content)}\n${content}` });
    } else if (!calls || calls.length === 0) {
      result.push(message);
    } else {
      const written = calls.map(({ function: { name, arguments: given } }) => {
        const values = typeof given === 'string' ? given : JSON.stringify(given);
        return `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${values || '{}'}}\n</tool_call>`;
      });
      result.push({ ...rest, content: [textOf(message.content), ...written].filter((part) => part !== '').join('\n') });
    }
  }
  return result;
}

function withInstructions(
  messages: readonly ChatMessage[],
  tools: readonly unknown[],
  model: ModelFacts,
): readonly ChatMessage[] {
  if (tools.length === 0) return messages;
  const instructions =
    '# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function ' +
    `signatures within <tools></tools> XML tags:\n<tools>\n${tools.map((tool) => JSON.stringify(tool)).join('\n')}\n` +
    '</tools>\n\nFor each function call, return a json object with function name and arguments within ' +
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n' +
    '</tool_call>';
  return withSystemText(messages, instructions, model);
}
