// Llama and what is built like it (SmolLM2, TinyLlama, …): config.json as a DecoderConfig.
import { z } from 'zod';
import type { DecoderConfig } from './config.js';
import { ropeFrequencies } from './rope.js';

const size = z.number().int().positive();
const optional = <T extends z.ZodType>(type: T) => type.nullish();

const rope = z.looseObject({
  rope_type: optional(z.string()),
  type: optional(z.string()),
  rope_theta: optional(z.number().positive()),
  partial_rotary_factor: optional(z.number().positive()),
  factor: optional(z.number().positive()),
  low_freq_factor: optional(z.number().positive()),
  high_freq_factor: optional(z.number().positive()),
  original_max_position_embeddings: optional(size),
  beta_fast: optional(z.number()),
  beta_slow: optional(z.number()),
  attention_factor: optional(z.number()),
  mscale: optional(z.number()),
  mscale_all_dim: optional(z.number()),
  truncate: optional(z.boolean()),
});

export const llamaSchema = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: optional(size),
  head_dim: optional(size),
  max_position_embeddings: optional(size),
  rms_norm_eps: optional(z.number().positive()),
  hidden_act: optional(z.string()),
  rope_theta: optional(z.number().positive()),
  rope_scaling: optional(rope),
  rope_parameters: optional(rope), // transformers 5 keeps theta and scaling together
  partial_rotary_factor: optional(z.number().positive()),
  attention_bias: optional(z.boolean()),
  mlp_bias: optional(z.boolean()),
  tie_word_embeddings: optional(z.boolean()),
  bos_token_id: optional(z.number().int()),
  eos_token_id: optional(z.union([z.number().int(), z.array(z.number().int())])),
});

/** @throws Error that names the file and the field, where sizes do not fit each other. */
export function llamaConfig(file: string, json: z.infer<typeof llamaSchema>): DecoderConfig {
  const heads = json.num_attention_heads;
  const kvHeads = json.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) {
    throw new Error(`${file}: num_attention_heads (${heads}) must be a multiple of num_key_value_heads (${kvHeads})`);
  }
  if (!json.head_dim && json.hidden_size % heads !== 0) {
    throw new Error(
      `${file}: hidden_size (${json.hidden_size}) must be a multiple of num_attention_heads (${heads}) where head_dim is not given`,
    );
  }
  const headDim = json.head_dim ?? json.hidden_size / heads;
  if (headDim % 2 !== 0) throw new Error(`${file}: head_dim must be even, got ${headDim}`);
  if ((json.hidden_act ?? 'silu') !== 'silu')
    throw new Error(`${file}: hidden_act must be 'silu', got '${json.hidden_act}'`);

  const settings = json.rope_parameters ?? json.rope_scaling ?? {};
  const present = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
  return {
    modelType: 'llama',
    vocabSize: json.vocab_size,
    hiddenSize: json.hidden_size,
    intermediateSize: json.intermediate_size,
    layers: json.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    contextLength: json.max_position_embeddings ?? 2048,
    normEps: json.rms_norm_eps ?? 1e-6,
    rope: ropeFrequencies(
      file,
      {
        ...(json.partial_rotary_factor ? { partial_rotary_factor: json.partial_rotary_factor } : {}),
        ...present,
        rope_type: settings.rope_type ?? settings.type ?? 'default',
        rope_theta: settings.rope_theta ?? json.rope_theta ?? 10000,
      },
      headDim,
    ),
    attentionScale: headDim ** -0.5,
    qkvBias: json.attention_bias ?? false,
    outputBias: json.attention_bias ?? false,
    mlpBias: json.mlp_bias ?? false,
    tied: json.tie_word_embeddings ?? false,
    bosId: json.bos_token_id ?? undefined,
    eosIds: [json.eos_token_id ?? []].flat(),
  };
}
