// The items of a response's input as a conversation of chat completions, which the models' templates are written for.
// Reasoning, text and calls of the assistant in a row are one message.
import { badRequest } from '../http/errors.js';
import type { ChatBody } from '../openai/chat-request.js';
import { openedReasoning } from './items.js';
import type { FunctionTool, InputBody, InputItem, Part, Tool } from './request.js';

type ChatMessages = ChatBody['messages'];
type ChatMessage = ChatMessages[number];

export interface Conversation {
  body: ChatBody;
  /** Namespaces of tools, by the name under which they are offered. */
  namespaces: ReadonlyMap<string, { name: string; namespace: string }>;
  warnings: readonly string[];
}

/**
 * @param items of earlier responses and of this one, references resolved
 * @throws ApiError 400 for items and tools that no text model takes
 */
export function conversationOf(body: InputBody, items: readonly InputItem[]): Conversation {
  const { tools, namespaces, warnings } = toolsOf(body.tools ?? []);
  const { effort } = body.reasoning ?? {};
  const messages = messagesOf(body.instructions, items, namespaces);
  if (messages.length === 0) throw badRequest("'input': is missing, expected a string or an array of items.", 'input');
  const choice = choiceOf(body.tool_choice, tools);
  return {
    body: {
      model: body.model ?? null,
      messages,
      ...(tools.length > 0 ? { tools, parallel_tool_calls: body.parallel_tool_calls ?? true } : {}),
      ...(choice === undefined || tools.length === 0 ? {} : { tool_choice: choice }),
      ...(effort ? { reasoning_effort: effort } : {}),
      ...formatOf(body.text?.format),
    },
    namespaces,
    warnings,
  };
}

function messagesOf(
  instructions: string | null | undefined,
  items: readonly InputItem[],
  namespaces: Conversation['namespaces'],
): ChatMessages {
  const messages: ChatMessages = instructions ? [{ role: 'system', content: instructions }] : [];
  /** The assistant's message that is being put together. */
  let turn: ChatMessage | undefined;
  const assistant = (): ChatMessage => {
    if (!turn) {
      turn = { role: 'assistant', content: '' };
      messages.push(turn);
    }
    return turn;
  };
  for (const [at, item] of items.entries()) {
    const param = `input[${at}]`;
    const type = item.type ?? 'message';
    if (type === 'message') {
      const text = textOf(item.content, `${param}.content`);
      const role = roleOf(item.role, param);
      if (role === 'assistant') {
        const message = assistant();
        message.content = [message.content, text].filter((one) => one !== '').join('\n\n');
      } else {
        turn = undefined;
        messages.push({ role, content: text });
      }
    } else if (type === 'reasoning') {
      const text = reasoningOf(item);
      const message = assistant();
      // What follows text or calls belongs to the next message.
      if (message.content !== '' || message.tool_calls?.length) turn = undefined;
      const into = assistant();
      if (text !== '') into.reasoning_content = [into.reasoning_content, text].filter(Boolean).join('\n');
    } else if (type === 'function_call') {
      const { call_id: id, arguments: given } = item;
      const name = offeredName(item, namespaces, param);
      const message = assistant();
      const call = {
        id: id ?? item.id ?? null,
        type: 'function' as const,
        function: { name, arguments: given ?? '{}' },
      };
      message.tool_calls = [...(message.tool_calls ?? []), call];
    } else if (type === 'function_call_output') {
      turn = undefined;
      const content = textOf(item.output, `${param}.output`);
      messages.push({ role: 'tool', content, tool_call_id: item.call_id ?? null, name: item.name ?? null });
    } else if (!hosted.test(type)) {
      throw badRequest(
        `'${param}.type': items of type ${JSON.stringify(type.slice(0, 40))} are not supported here.`,
        `${param}.type`,
      );
    }
  }
  return messages;
}

/** Items of tools that run on hosted services: their results are not for these models. */
const hosted =
  /^(compaction|web_search_call|file_search_call|computer_call(_output)?|code_interpreter_call|image_generation_call|(local_)?shell_call(_output)?|mcp_\w+|custom_tool_call(_output)?|tool_search_\w+)$/;

const roles = new Map([
  ['user', 'user'],
  ['assistant', 'assistant'],
  ['system', 'system'],
  ['developer', 'system'],
] as const);

function roleOf(role: string | null | undefined, param: string): 'user' | 'assistant' | 'system' {
  const known = roles.get((role ?? '') as 'user');
  if (known) return known;
  throw badRequest(`'${param}.role': expected 'user', 'assistant', 'system' or 'developer'.`, `${param}.role`);
}

function textOf(content: InputItem['content'], param: string): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part, at) => partText(part, `${param}[${at}]`)).join('\n');
}

function partText(part: Part, param: string): string {
  const text = part.type === 'refusal' ? part.refusal : part.text;
  const known = ['input_text', 'output_text', 'text', 'refusal', 'summary_text', 'reasoning_text'].includes(part.type);
  if (known && typeof text === 'string') return text;
  const what = known
    ? `has no text`
    : `parts of type ${JSON.stringify(part.type.slice(0, 40))} are not supported here, only text`;
  throw badRequest(`'${param}': ${what}.`, param);
}

/** The text itself, else what was sealed here, else its summary. */
function reasoningOf({ content, encrypted_content: sealed, summary }: InputItem): string {
  const whole = textOf(content, 'content');
  if (whole !== '') return whole;
  return (sealed ? openedReasoning(sealed) : undefined) ?? textOf(summary, 'summary');
}

const qualified = (namespace: string, name: string): string => `${namespace}.${name}`;

function offeredName({ name, namespace }: InputItem, namespaces: Conversation['namespaces'], param: string): string {
  if (!name) throw badRequest(`'${param}.name': is missing, expected the name of a function.`, `${param}.name`);
  if (!namespace) return name;
  const whole = qualified(namespace, name);
  return namespaces.has(whole) ? whole : name;
}

function toolsOf(tools: readonly Tool[]): {
  tools: NonNullable<ChatBody['tools']>;
  namespaces: Map<string, { name: string; namespace: string }>;
  warnings: string[];
} {
  const offered: NonNullable<ChatBody['tools']> = [];
  const namespaces = new Map<string, { name: string; namespace: string }>();
  const skipped = new Set<string>();
  const add = ({ name, description, parameters }: FunctionTool, param: string, namespace?: string): void => {
    const whole = namespace === undefined ? (name ?? '') : qualified(namespace, name ?? '');
    if (!/^[\w.-]{1,128}$/.test(whole)) {
      throw badRequest(`'${param}.name': expected 1 to 128 letters, digits, _, . or -.`, `${param}.name`);
    }
    if (namespace !== undefined) namespaces.set(whole, { name: name ?? '', namespace });
    // Strictness is an effort here: clients send null and mean OpenAI's default.
    offered.push({
      type: 'function',
      function: { name: whole, description: description ?? null, parameters: parameters ?? null },
    });
  };
  for (const [at, tool] of tools.entries()) {
    if (tool.type === 'function') add(tool, `tools[${at}]`);
    else if (tool.type === 'namespace' && tool.tools) {
      for (const [i, inner] of tool.tools.entries()) {
        if (inner.type === 'function') add(inner, `tools[${at}].tools[${i}]`, tool.name ?? undefined);
        else skipped.add(inner.type);
      }
    } else skipped.add(tool.type);
  }
  const warnings = [...skipped].map(
    (type) => `tools of type '${type.slice(0, 40)}' are not run here and were left out`,
  );
  return { tools: offered, namespaces, warnings };
}

function choiceOf(
  choice: InputBody['tool_choice'],
  tools: NonNullable<ChatBody['tools']>,
): ChatBody['tool_choice'] | undefined {
  if (choice === null || choice === undefined) return undefined;
  if (typeof choice === 'string') {
    if (choice === 'required' && tools.length === 0)
      throw badRequest("'tool_choice': there is no function to call.", 'tool_choice');
    return choice;
  }
  if (choice.type === 'function' && choice.name) return { type: 'function', function: { name: choice.name } };
  if (choice.type === 'allowed_tools') {
    const named = (choice.tools ?? []).flatMap(({ type, name }) =>
      type === 'function' && name ? [{ type: 'function' as const, function: { name } }] : [],
    );
    if (named.length > 0)
      return { type: 'allowed_tools', allowed_tools: { mode: choice.mode ?? 'auto', tools: named } };
  }
  throw badRequest(
    `'tool_choice': tools of type ${JSON.stringify(choice.type.slice(0, 40))} cannot be called here.`,
    'tool_choice',
  );
}

function formatOf(format: NonNullable<InputBody['text']>['format']): Pick<ChatBody, 'response_format'> {
  if (!format || format.type === 'text') return {};
  if (format.type === 'json_object' || !format.schema) return { response_format: { type: 'json_object' } };
  const { name, schema, strict } = format;
  return {
    response_format: { type: 'json_schema', json_schema: { name: name ?? 'output', schema, strict: strict ?? null } },
  };
}
