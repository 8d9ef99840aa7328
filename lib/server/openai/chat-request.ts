// The body of POST /v1/chat/completions. Parameters that change nothing here (user, metadata, store, …) are let through;
// what would be answered wrongly without being understood is refused.
import { z } from 'zod';
import { type ChatMessage, reservedVariables, type ToolCall } from '../../text/template.js';
import { badRequest } from '../http/errors.js';
import { anyObject, list, record } from '../http/sized.js';
import { reasoningFields } from './reasoning.js';
import { samplingFields } from './sampling.js';

const part = z.looseObject({
  type: z.string(),
  text: z.string().optional(),
  refusal: z.string().optional(),
  thinking: z.unknown().optional(),
});
// OpenAI's own limit of messages; agents with many servers of tools offer more than its 128.
const most = { messages: 2048, parts: 2048, calls: 128, tools: 512, variables: 64, modalities: 8 };

const content = z.union([z.string(), list(part, most.parts)], { error: 'expected a string or an array of parts' });

const toolName = z.string().regex(/^[\w.-]{1,128}$/, 'expected 1 to 128 letters, digits, _, . or -');

// Histories of other servers and clients leave out ids, and have arguments as objects.
const toolCall = z.looseObject({
  id: z.string().nullish(),
  type: z.literal('function', { error: "only calls of type 'function' are supported" }).nullish(),
  function: z.looseObject({ name: z.string(), arguments: z.union([z.string(), anyObject]).nullish() }),
});

const message = z.looseObject({
  role: z.enum(['developer', 'system', 'user', 'assistant', 'tool', 'function']),
  content: content.nullish(),
  name: z.string().nullish(),
  tool_calls: list(toolCall, most.calls).nullish(),
  tool_call_id: z.string().nullish(),
  reasoning_content: z.string().nullish(),
  reasoning: z.string().nullish(),
});

const tool = z.looseObject({
  type: z.literal('function', { error: "only tools of type 'function' are supported" }),
  function: z.looseObject({
    name: toolName,
    description: z.string().nullish(),
    parameters: anyObject.nullish(),
    strict: z.boolean().nullish(),
  }),
});

const namedTool = z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) });

const toolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  namedTool,
  z.looseObject({
    type: z.literal('allowed_tools'),
    allowed_tools: z.looseObject({ mode: z.enum(['auto', 'required']), tools: list(namedTool, most.tools, 1) }),
  }),
]);

const responseFormat = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text') }),
  z.looseObject({ type: z.literal('json_object'), schema: anyObject.nullish() }),
  z.looseObject({
    type: z.literal('json_schema'),
    json_schema: z.looseObject({
      name: z.string(),
      schema: anyObject.nullish(),
      strict: z.boolean().nullish(),
    }),
  }),
]);

/** What a request may say to its chat template. The template itself is the model's. */
const templateVariables = record(z.unknown(), most.variables).superRefine((variables, { addIssue }) => {
  for (const name of Object.keys(variables)) {
    if (reservedVariables.has(name)) addIssue({ code: 'custom', path: [name], message: 'cannot be set by a request' });
  }
});

const absent = (why: string) => z.null({ error: why }).optional();

export const chatBody = z.looseObject({
  ...samplingFields,
  ...reasoningFields,
  messages: list(message, most.messages, 1),
  max_tokens: z.number().int().min(1).nullish(),
  max_completion_tokens: z.number().int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().int().min(0).max(20).nullish(),
  response_format: responseFormat.nullish(),
  tools: list(tool, most.tools).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  modalities: list(z.literal('text', { error: "only 'text' is supported" }), most.modalities).nullish(),
  /** For the chat template, such as `{ "enable_thinking": false }`. */
  chat_template_kwargs: templateVariables.nullish(),
  chat_template: absent("is not supported: the model's own is used"),
  functions: absent("is no longer supported: send 'tools'"),
  function_call: absent("is no longer supported: send 'tool_choice'"),
  audio: absent('is not supported'),
  /** As in vLLM: the answer goes on with the last message, which is the assistant's. */
  continue_final_message: z.boolean().nullish(),
  add_generation_prompt: z.boolean().nullish(),
  best_of: z.union([z.null(), z.literal(1)], { error: "is not supported: send 'n'" }).optional(),
  echo: z.literal(false, { error: 'is not supported here: /v1/completions has it' }).nullish(),
});

export type ChatBody = z.infer<typeof chatBody>;

/** The messages as chat templates know them; earlier reasoning is `reasoning_content`. */
export function templateMessages(messages: ChatBody['messages']): ChatMessage[] {
  const ids = new CallIds();
  return messages.map((given, i) => {
    const { name, tool_calls: calls, tool_call_id: callId, reasoning_content, reasoning, ...message } = given;
    const thoughts = reasoning_content || reasoning || thinkingOf(message.content);
    const written = calls?.length ? calls.map((call) => templateCall(call, ids)) : undefined;
    const answered = message.role === 'tool' || message.role === 'function' ? ids.answered(callId, name) : callId;
    return {
      ...message,
      role: templateRole(message.role),
      content: textOf(message.role, message.content, `messages[${i}].content`, written !== undefined),
      ...(typeof name === 'string' ? { name } : {}),
      ...(thoughts ? { reasoning_content: thoughts } : {}),
      ...(written ? { tool_calls: written } : {}),
      ...(typeof answered === 'string' ? { tool_call_id: answered } : {}),
    };
  });
}

type GivenCall = z.infer<typeof toolCall>;

function templateCall(call: GivenCall, ids: CallIds): ToolCall {
  const { name, arguments: given } = call.function;
  const id = ids.called(call.id, name);
  const written = typeof given === 'string' ? given || '{}' : JSON.stringify(given ?? {});
  return { ...call, id, type: 'function', function: { ...call.function, name, arguments: written } };
}

/** Ids of calls that a history leaves out, and the results that answer them in their order. */
class CallIds {
  #count = 0;
  /** Calls that wait for a result. */
  readonly #open: { id: string; name: string }[] = [];

  called(given: string | null | undefined, name: string): string {
    const id = given || `call_${this.#count}`;
    this.#count += 1;
    this.#open.push({ id, name });
    return id;
  }

  answered(given: string | null | undefined, name: string | null | undefined): string | undefined {
    const byId = this.#open.findIndex(({ id }) => id === given);
    const byName = given ? byId : this.#open.findIndex((call) => call.name === name);
    const [found] = this.#open.splice(given ? byId : Math.max(byName, 0), given && byId < 0 ? 0 : 1);
    return given || found?.id;
  }
}

/** Reasoning among the parts of a content, as Mistral and Cohere have it. */
function thinkingOf(content: Content): string | undefined {
  if (!Array.isArray(content)) return undefined;
  const texts = content.flatMap(({ type, thinking }) => (type === 'thinking' ? [thinkingText(thinking)] : []));
  return texts.length > 0 ? texts.join('\n') : undefined;
}

function thinkingText(thinking: unknown): string {
  if (typeof thinking === 'string') return thinking;
  if (!Array.isArray(thinking)) return '';
  return thinking.map((part: unknown) => (isText(part) ? part.text : '')).join('\n');
}

const isText = (part: unknown): part is { text: string } =>
  typeof part === 'object' && part !== null && 'text' in part && typeof part.text === 'string';

/** Templates know neither of the two newest and oldest names. */
function templateRole(role: string): string {
  if (role === 'developer') return 'system';
  return role === 'function' ? 'tool' : role;
}

type Content = ChatBody['messages'][number]['content'];

function textOf(role: string, content: Content, param: string, hasCalls: boolean): string | null {
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) {
    if (role === 'assistant' || role === 'function' || hasCalls) return hasCalls ? null : '';
    throw badRequest(`'${param}': is missing, expected a string or an array of parts.`, param);
  }
  return content
    .filter(({ type }) => type !== 'thinking')
    .map((part, i) => {
      const text = part.type === 'refusal' ? part.refusal : part.type === 'text' ? part.text : undefined;
      if (text !== undefined) return text;
      const wrong = part.type === 'text' || part.type === 'refusal';
      const what = wrong
        ? `has no '${part.type}'`
        : `parts of type ${JSON.stringify(part.type.slice(0, 40))} are not supported, only 'text'`;
      throw badRequest(`'${param}[${i}]': ${what}.`, `${param}[${i}]`);
    })
    .join('\n');
}
