// Nomic's BERT: rope instead of learned positions, one projection for queries, keys and values, gated MLPs, no biases but
// those of the norms behind both branches. Its config has GPT-2's keys or the usual ones.
import { z } from 'zod';
import { linearLayer } from '../../../parts/linear.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { fused } from '../../../parts/projections.js';
import { architecture, only, optional, ropeOf, ropeSchema, size } from '../../architecture.js';
import { classifierSchema, encoderOf, encoderSizes, labelsOf, normedSums, readingAttention } from '../../encoder.js';

const off = optional(z.literal(false));

export const nomicBert = architecture({
  types: ['nomic_bert'],
  encoder: true,
  gguf: {
    name: 'nomic-bert',
    config: ({ gguf, number }) => ({
      layer_norm_eps: number('attention.layer_norm_epsilon'),
      type_vocab_size: gguf.tensors.get('token_types.weight')?.shape[0],
      rope_parameters: { rope_theta: number('rope.freq_base') ?? 1000 },
    }),
  },
  schema: z.looseObject({
    ...classifierSchema.shape,
    vocab_size: size,
    hidden_size: optional(size),
    n_embd: optional(size),
    num_hidden_layers: optional(size),
    n_layer: optional(size),
    num_attention_heads: optional(size),
    n_head: optional(size),
    intermediate_size: optional(size),
    n_inner: optional(size),
    max_position_embeddings: optional(size),
    n_positions: optional(size),
    type_vocab_size: optional(size),
    layer_norm_eps: optional(z.number().positive()),
    layer_norm_epsilon: optional(z.number().positive()),
    hidden_act: optional(z.string()),
    activation_function: optional(z.string()),
    rope_parameters: optional(ropeSchema),
    rotary_emb_base: optional(z.number().positive()),
    rotary_emb_fraction: optional(z.literal(1)),
    rotary_emb_interleaved: off,
    rotary_scaling_factor: z.null().optional(),
    qkv_proj_bias: off,
    mlp_fc1_bias: off,
    mlp_fc2_bias: off,
    prenorm: off,
    parallel_block: off,
    use_rms_norm: off,
    causal: off,
    // Mixtures of experts.
    moe_every_n_layers: optional(z.literal(0)),
    num_experts: optional(z.literal(0)),
  }),
  decoder(file, json) {
    const need = (name: string, ...values: (number | null | undefined)[]): number => {
      const value = values.find((one) => one !== null && one !== undefined);
      if (value === undefined) throw new Error(`${file}: field '${name}' is missing`);
      return value;
    };
    const outline = {
      vocab_size: json.vocab_size,
      hidden_size: need('n_embd', json.hidden_size, json.n_embd),
      num_hidden_layers: need('n_layer', json.num_hidden_layers, json.n_layer),
      num_attention_heads: need('n_head', json.num_attention_heads, json.n_head),
      intermediate_size: need('n_inner', json.intermediate_size, json.n_inner),
    };
    const sized = encoderSizes(file, outline);
    const { hiddenSize, headDim } = sized;
    only(file, 'hidden_act', json.hidden_act, 'silu');
    only(file, 'activation_function', json.activation_function, 'swiglu');
    if (labelsOf(json)) throw new Error(`${file}: architectures: rerankers of this model_type are not supported`);
    const kind = { eps: json.layer_norm_eps ?? json.layer_norm_epsilon ?? 1e-12, layer: { bias: true } };
    const rope = ropeOf(
      file,
      { rope_parameters: json.rope_parameters, rope_theta: json.rotary_emb_base },
      headDim,
      1000,
    );
    const types = json.type_vocab_size ?? 2;
    return encoderOf(outline, {
      names: { embedding: 'nomic_bert.embeddings.word_embeddings', layers: 'nomic_bert.encoder.layers' },
      embedding: {
        types: { path: 'nomic_bert.embeddings.token_type_embeddings', gguf: 'token_types', count: types },
        norm: { path: 'nomic_bert.emb_ln', gguf: 'token_embd_norm', ...kind },
      },
      contextLength: need('n_positions', json.max_position_embeddings, json.n_positions, 2048),
      tokenTypes: types,
      ranker: undefined,
      unused: (name) => /(^|\.)pooler\.|^cls\./.test(name),
      layer: (layer) =>
        normedSums(
          layer,
          { ...kind, size: hiddenSize },
          readingAttention(layer, {
            ...sized,
            rope,
            projections: fused(layer('attn.Wqkv', 'attn_qkv'), sized),
            output: linearLayer(layer('attn.out_proj', 'attn_output'), { out: hiddenSize, in: hiddenSize }),
          }),
          gatedMlp(layer, {
            ...sized,
            activation: 'silu',
            names: { gate: 'mlp.fc12', up: 'mlp.fc11', down: 'mlp.fc2' },
          }),
          { attention: 'norm1', mlp: 'norm2' },
        ),
    });
  },
});
