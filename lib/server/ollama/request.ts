// Bodies of Ollama's API. Options that change nothing here, such as num_gpu, are let through.
import { z } from 'zod';
import { anyObject, list, record } from '../http/sized.js';
import { vectorFields } from '../openai/vectors.js';

const most = { messages: 4096, tools: 512, calls: 128, images: 64, options: 64 };

const think = z.union([z.boolean(), z.string().max(32)]);

const shared = {
  model: z.string().min(1),
  /** A schema, or any JSON. */
  format: z
    .union([z.literal('json'), z.literal(''), anyObject], { error: "expected 'json' or a JSON Schema" })
    .nullish(),
  options: record(z.unknown(), most.options).nullish(),
  /** True by default. */
  stream: z.boolean().nullish(),
  think: think.nullish(),
  keep_alive: z.union([z.string(), z.number()]).nullish(),
};

const message = z.looseObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string().nullish(),
  thinking: z.string().nullish(),
  images: list(z.unknown(), most.images).nullish(),
  tool_calls: list(
    z.looseObject({
      id: z.string().nullish(),
      function: z.looseObject({ name: z.string(), arguments: z.union([anyObject, z.string()]).nullish() }),
    }),
    most.calls,
  ).nullish(),
  tool_name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
});

export const chatBody = z.looseObject({
  ...shared,
  messages: list(message, most.messages).nullish(),
  tools: list(
    z.looseObject({
      type: z.literal('function').nullish(),
      function: z.looseObject({ name: z.string(), description: z.string().nullish(), parameters: anyObject.nullish() }),
    }),
    most.tools,
  ).nullish(),
});

export const generateBody = z.looseObject({
  ...shared,
  prompt: z.string().nullish(),
  system: z.string().nullish(),
  raw: z.boolean().nullish(),
  suffix: z.union([z.null(), z.literal('')], { error: 'is not supported: these models do not fill in' }).optional(),
  template: z.union([z.null(), z.literal('')], { error: "is not supported: the model's own is used" }).optional(),
  images: list(z.unknown(), most.images).nullish(),
});

export const embedBody = z.looseObject({
  model: z.string().min(1),
  input: vectorFields.input,
  dimensions: vectorFields.dimensions,
  /** True by default. */
  truncate: z.boolean().nullish(),
  options: record(z.unknown(), most.options).nullish(),
  keep_alive: shared.keep_alive,
});

export const embeddingsBody = z.looseObject({
  model: z.string().min(1),
  prompt: z.string(),
  options: record(z.unknown(), most.options).nullish(),
  keep_alive: shared.keep_alive,
});

export const nameBody = z.looseObject({ model: z.string().min(1).nullish(), name: z.string().min(1).nullish() });

export type OllamaChat = z.infer<typeof chatBody>;
export type OllamaGenerate = z.infer<typeof generateBody>;

/** The options that there are here, as their kinds. */
const number = z.number().nullish().catch(undefined);
export const knownOptions = z.looseObject({
  temperature: number,
  top_p: number,
  top_k: number,
  min_p: number,
  seed: number,
  num_predict: number,
  repeat_penalty: number,
  presence_penalty: number,
  frequency_penalty: number,
  stop: z
    .union([z.string(), z.array(z.string())])
    .nullish()
    .catch(undefined),
});
