// The body of POST /v1/messages. Fields that say nothing to a model of one's own (metadata, cache_control, betas) are let
// through, whatever they hold.
import { z } from 'zod';
import { anyObject, list } from '../http/sized.js';

const most = { messages: 4096, blocks: 2048, tools: 512, stops: 64 };

/** Blocks are looked at where they are turned into text. */
const block = z.looseObject({ type: z.string() });

export type Block = z.infer<typeof block>;

const content = z.union([z.string(), list(block, most.blocks)], { error: 'expected a string or an array of blocks' });

const message = z.looseObject({
  // The last two are what some releases of Claude Code send.
  role: z.enum(['user', 'assistant', 'system', 'ctx', 'msg']),
  content: content.nullish(),
});

export type Message = z.infer<typeof message>;

const tool = z.looseObject({
  type: z.string().nullish(),
  name: z.string().min(1).max(128),
  description: z.string().nullish(),
  input_schema: anyObject.nullish(),
  strict: z.boolean().nullish(),
});

export type Tool = z.infer<typeof tool>;

const toolChoice = z.looseObject({
  type: z.enum(['auto', 'any', 'tool', 'none']),
  name: z.string().nullish(),
  disable_parallel_tool_use: z.boolean().nullish(),
});

const thinking = z.looseObject({
  type: z.enum(['enabled', 'disabled', 'adaptive']),
  budget_tokens: z.number().int().min(0).nullish(),
  display: z.string().nullish(),
});

/** What a prompt is made of: all that /v1/messages/count_tokens takes. */
const promptFields = {
  model: z.string().min(1),
  messages: list(message, most.messages, 1),
  system: content.nullish(),
  tools: list(tool, most.tools).nullish(),
  tool_choice: toolChoice.nullish(),
  thinking: thinking.nullish(),
  output_config: z
    .looseObject({
      effort: z.string().max(32).nullish(),
      format: z.looseObject({ type: z.string(), schema: anyObject.nullish() }).nullish(),
    })
    .nullish(),
};

export const countBody = z.looseObject(promptFields);

export const messagesBody = z.looseObject({
  ...promptFields,
  max_tokens: z.number().int().min(1),
  stream: z.boolean().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.number().int().min(-1).nullish(),
  stop_sequences: list(z.string().min(1), most.stops).nullish(),
});

export type CountBody = z.infer<typeof countBody>;
export type MessagesBody = z.infer<typeof messagesBody>;
