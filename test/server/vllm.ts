// The bodies that vLLM's clients expect, where OpenAI has none.
import { z } from 'zod';

const tokens = z.array(z.number().int().min(0));

export const vllm = {
  tokenized: z.strictObject({
    count: z.number().int().min(0),
    max_model_len: z.number().int().min(1),
    tokens,
    token_strs: z.array(z.string()).nullable(),
  }),
  detokenized: z.strictObject({ prompt: z.string() }),
  model: z.strictObject({
    id: z.string().min(1),
    object: z.literal('model'),
    created: z.number().int().min(1_000_000_000),
    owned_by: z.string(),
    /** OpenAI's. */
    shutdown_date: z.null(),
    root: z.string(),
    /** The base of an adapter. */
    parent: z.string().nullable(),
    max_model_len: z.number().int().min(1),
    context_length: z.number().int().min(1),
    max_context_length: z.number().int().min(1),
    permission: z.array(z.looseObject({})),
  }),
};
