// The body of POST /v1/responses. Clients send null for what they leave out, items with and without ids, and fields of
// hosted services: what changes no answer here is let through.
import { z } from 'zod';
import { anyObject, list } from '../http/sized.js';

const most = { items: 4096, parts: 2048, tools: 512, include: 16 };

/** Looked at where it is turned into messages. */
const part = z.looseObject({ type: z.string() });
export type Part = z.infer<typeof part>;

const parts = z.union([z.string(), list(part, most.parts)], { error: 'expected a string or an array of parts' });

const item = z.looseObject({
  type: z.string().nullish(),
  id: z.string().nullish(),
  role: z.string().nullish(),
  content: parts.nullish(),
  call_id: z.string().nullish(),
  name: z.string().nullish(),
  namespace: z.string().nullish(),
  arguments: z.string().nullish(),
  output: parts.nullish(),
  summary: list(part, most.parts).nullish(),
  encrypted_content: z.string().nullish(),
});
export type InputItem = z.infer<typeof item>;

const functionTool = z.looseObject({
  type: z.string(),
  name: z.string().nullish(),
  description: z.string().nullish(),
  parameters: anyObject.nullish(),
  strict: z.boolean().nullish(),
});
export type FunctionTool = z.infer<typeof functionTool>;

const tool = functionTool.extend({ tools: list(functionTool, most.tools).nullish() });
export type Tool = z.infer<typeof tool>;

const toolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.looseObject({
    type: z.string(),
    name: z.string().nullish(),
    mode: z.enum(['auto', 'required']).nullish(),
    tools: list(z.looseObject({ type: z.string(), name: z.string().nullish() }), most.tools).nullish(),
  }),
]);

const format = z.looseObject({
  type: z.enum(['text', 'json_object', 'json_schema']),
  name: z.string().nullish(),
  schema: anyObject.nullish(),
  strict: z.boolean().nullish(),
});

const absent = (why: string) => z.null({ error: why }).optional();

/** What a prompt is made of: all that /v1/responses/input_tokens takes. */
const promptFields = {
  model: z.string().min(1).nullish(),
  input: z.union([z.string(), list(item, most.items)], { error: 'expected a string or an array of items' }).nullish(),
  instructions: z.string().nullish(),
  previous_response_id: z.string().nullish(),
  tools: list(tool, most.tools).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z.looseObject({ format: format.nullish(), verbosity: z.string().nullish() }).nullish(),
  reasoning: z
    .looseObject({
      effort: z.string().max(32).nullish(),
      summary: z.string().nullish(),
      generate_summary: z.string().nullish(),
    })
    .nullish(),
  truncation: z.enum(['auto', 'disabled']).nullish(),
  prompt: absent('is not supported: there are no stored prompts here'),
  conversation: absent("is not supported: send 'previous_response_id'"),
};

export const inputBody = z.looseObject(promptFields);

export const responsesBody = z.looseObject({
  ...promptFields,
  stream: z.boolean().nullish(),
  store: z.boolean().nullish(),
  background: z.boolean().nullish(),
  include: list(z.string(), most.include).nullish(),
  max_output_tokens: z.number().int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_logprobs: z.number().int().min(0).max(20).nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  max_tool_calls: z.number().int().min(1).nullish(),
  user: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
  safety_identifier: z.string().nullish(),
  // Of servers of open models, as chat completions take them.
  top_k: z.number().int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().max(10).nullish(),
  seed: z.number().int().nullish(),
  thinking_token_budget: z.number().int().min(0).nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
});

export type InputBody = z.infer<typeof inputBody>;
export type ResponsesBody = z.infer<typeof responsesBody>;
