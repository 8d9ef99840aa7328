// A body of Anthropic's Messages as a conversation of chat completions, which the models' templates are written for.
import { badRequest } from '../http/errors.js';
import type { ChatBody } from '../openai/chat-request.js';
import type { Block, CountBody, Message, MessagesBody, Tool } from './request.js';

type ChatMessages = ChatBody['messages'];
type ChatMessage = ChatMessages[number];

/** @throws ApiError 400 for blocks and tools that no text model takes. */
export function chatBodyOf(body: MessagesBody, model: string): ChatBody {
  const { stop_sequences: stop, top_k: topK, temperature, top_p: topP } = body;
  return {
    ...conversationOf(body, model),
    max_tokens: body.max_tokens,
    ...(stop?.length ? { stop } : {}),
    ...(typeof temperature === 'number' ? { temperature } : {}),
    ...(typeof topP === 'number' ? { top_p: topP } : {}),
    ...(typeof topK === 'number' ? { top_k: topK } : {}),
  };
}

/** What of a body its prompt is made of. */
export function conversationOf(body: CountBody, model: string): ChatBody {
  const { thinking, output_config: output, tool_choice: choice } = body;
  const tools = toolsOf(body.tools ?? [], choice?.type === 'tool' ? choice.name : undefined);
  const schema = output?.format?.type === 'json_schema' ? output.format.schema : undefined;
  const messages = messagesOf(body);
  const last = messages.at(-1);
  // An answer that was begun goes on.
  const continued = last?.role === 'assistant' && !last.tool_calls?.length && last.content !== '';
  return {
    model,
    messages,
    ...(tools.length > 0 ? { tools, tool_choice: choiceOf(choice), parallel_tool_calls: isParallel(choice) } : {}),
    ...(thinking ? { thinking: { type: thinking.type, budget_tokens: thinking.budget_tokens ?? null } } : {}),
    ...(output?.effort ? { reasoning_effort: output.effort } : {}),
    ...(schema ? { response_format: { type: 'json_schema', json_schema: { name: 'output', schema } } } : {}),
    ...(continued ? { continue_final_message: true } : {}),
  };
}

function messagesOf({ system, messages }: CountBody): ChatMessages {
  const result: ChatMessages = [];
  const instructions = systemText(system);
  if (instructions !== '') result.push({ role: 'system', content: instructions });
  for (const [at, message] of messages.entries()) {
    const param = `messages[${at}].content`;
    const { role, content } = message;
    if (role === 'system') result.push({ role, content: texts(content, param).join('\n\n') });
    else if (role === 'assistant') result.push(...assistantTurn(content, param));
    else result.push(...userTurn(content, param));
  }
  return joined(result);
}

// Its number changes with each request, so that no prefix of the prompt would be found in the cache.
const isBilling = (text: string): boolean => text.startsWith('x-anthropic-billing-header:');

function systemText(system: CountBody['system']): string {
  return texts(system, 'system')
    .filter((text) => !isBilling(text))
    .join('\n\n');
}

/** Results of calls come before what else the user says. */
function userTurn(content: Message['content'], param: string): ChatMessages {
  if (typeof content === 'string' || !content) return [{ role: 'user', content: content ?? '' }];
  const results: ChatMessages = [];
  const said: string[] = [];
  for (const [at, block] of content.entries()) {
    const where = `${param}[${at}]`;
    if (block.type === 'tool_result') {
      const text = texts(block.content as Message['content'], `${where}.content`).join('\n');
      const written = block.is_error === true ? `Error: ${text}` : text;
      results.push({ role: 'tool', tool_call_id: stringAt(block, 'tool_use_id', where), content: written });
    } else said.push(...blockTexts(block, where));
  }
  return said.length > 0 || results.length === 0 ? [...results, { role: 'user', content: said.join('\n\n') }] : results;
}

function assistantTurn(content: Message['content'], param: string): ChatMessages {
  if (typeof content === 'string' || !content) return [{ role: 'assistant', content: content ?? '' }];
  const said: string[] = [];
  const thoughts: string[] = [];
  const calls: NonNullable<ChatMessage['tool_calls']> = [];
  for (const [at, block] of content.entries()) {
    const where = `${param}[${at}]`;
    if (block.type === 'thinking') thoughts.push(stringAt(block, 'thinking', where));
    else if (block.type === 'tool_use') {
      const given = typeof block.input === 'object' && block.input !== null ? block.input : {};
      const name = stringAt(block, 'name', where);
      calls.push({
        id: stringAt(block, 'id', where),
        type: 'function',
        function: { name, arguments: JSON.stringify(given) },
      });
    } else said.push(...blockTexts(block, where));
  }
  return [
    {
      role: 'assistant',
      content: said.join('\n\n'),
      ...(thoughts.length > 0 ? { reasoning_content: thoughts.join('\n') } : {}),
      ...(calls.length > 0 ? { tool_calls: calls } : {}),
    },
  ];
}

/** Messages of one role in a row are one turn. */
function joined(messages: ChatMessages): ChatMessages {
  const result: ChatMessages = [];
  for (const message of messages) {
    const last = result.at(-1);
    if (last?.role === 'user' && message.role === 'user') {
      result[result.length - 1] = { ...last, content: `${last.content}\n\n${message.content}` };
    } else result.push(message);
  }
  return result;
}

function texts(content: Message['content'], param: string): string[] {
  if (typeof content === 'string') return [content];
  if (content !== null && content !== undefined && !Array.isArray(content)) {
    throw badRequest(`'${param}': expected a string or an array of blocks.`, param);
  }
  return (content ?? []).flatMap((block, at) => blockTexts(block, `${param}[${at}]`));
}

/** Blocks of hosted tools, and what is only for Anthropic's models to read again. */
const dropped =
  /^(redacted_thinking|thinking|server_tool_use|\w+_tool_result|mcp_\w+|compaction|tool_reference|container_upload)$/;

function blockTexts(block: Block, param: string): string[] {
  const { type } = block;
  if (type === 'text') return [stringAt(block, 'text', param)];
  if (type === 'document' || type === 'search_result') {
    const text = documentText(block);
    if (text !== undefined) return [text];
  } else if (dropped.test(type)) return [];
  const shown = JSON.stringify(type.slice(0, 40));
  throw badRequest(`'${param}': blocks of type ${shown} are not supported here: these models take text only.`, param);
}

/** A document's text, where its source is one. */
function documentText({ source, content, title }: Block): string | undefined {
  const {
    type,
    data,
    content: inside,
  } = (typeof source === 'object' && source !== null ? source : {}) as Record<string, unknown>;
  const parts = [content, inside, type === 'text' ? data : undefined].flatMap((part) => {
    if (typeof part === 'string') return [part];
    if (!Array.isArray(part)) return [];
    return part.flatMap((one: unknown) => (isTextBlock(one) ? [one.text] : []));
  });
  if (parts.length === 0) return undefined;
  return [...(typeof title === 'string' ? [title] : []), ...parts].join('\n');
}

const isTextBlock = (value: unknown): value is { text: string } =>
  typeof value === 'object' && value !== null && 'text' in value && typeof value.text === 'string';

function stringAt(block: Block, field: string, param: string): string {
  const value = block[field];
  if (typeof value === 'string') return value;
  throw badRequest(`'${param}.${field}': expected a string.`, `${param}.${field}`);
}

/** Functions; tools that Anthropic runs itself are left out, unless the answer must call one. */
function toolsOf(tools: readonly Tool[], forced: string | null | undefined): NonNullable<ChatBody['tools']> {
  return tools.flatMap(({ type, name, description, input_schema: parameters, strict }, at) => {
    const own = type === null || type === undefined || type === 'custom';
    if (!own && name === forced) {
      throw badRequest(
        `'tool_choice.name': ${name} is run by Anthropic's servers and cannot be called here.`,
        'tool_choice.name',
      );
    }
    if (!own) return [];
    if (!/^[\w.-]+$/.test(name)) {
      throw badRequest(`'tools[${at}].name': expected 1 to 128 letters, digits, _, . or -.`, `tools[${at}].name`);
    }
    return [
      {
        type: 'function',
        function: { name, description: description ?? null, parameters: parameters ?? null, strict: strict ?? null },
      },
    ];
  });
}

function choiceOf(choice: CountBody['tool_choice']): NonNullable<ChatBody['tool_choice']> {
  if (choice?.type === 'any') return 'required';
  if (choice?.type === 'none') return 'none';
  if (choice?.type !== 'tool') return 'auto';
  if (!choice.name)
    throw badRequest("'tool_choice.name': is missing, expected the name of a tool.", 'tool_choice.name');
  return { type: 'function', function: { name: choice.name } };
}

const isParallel = (choice: CountBody['tool_choice']): boolean => choice?.disable_parallel_tool_use !== true;
