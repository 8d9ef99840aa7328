// GPT-2: learned positions instead of rope, matrices stored as [in, out], one projection for queries, keys and values.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { branch, chain } from '../../parts/block.js';
import { linearLayer } from '../../parts/linear.js';
import { activationNames, plainMlp } from '../../parts/mlp.js';
import { norm } from '../../parts/norm.js';
import { fused } from '../../parts/projections.js';
import { architecture, decoderOf, denseSchema, optional, size } from '../architecture.js';

const { vocab_size, num_hidden_layers, tie_word_embeddings, bos_token_id, eos_token_id } = denseSchema.shape;

export const gpt2 = architecture({
  types: ['gpt2'],
  gguf: {
    name: 'gpt2',
    config: ({ number, size }) => ({
      n_embd: size('embedding_length'),
      n_layer: size('block_count'),
      n_head: size('attention.head_count'),
      n_positions: size('context_length'),
      n_inner: size('feed_forward_length'),
      layer_norm_epsilon: number('attention.layer_norm_epsilon'),
    }),
  },
  schema: z.looseObject({
    vocab_size,
    n_embd: size,
    n_layer: num_hidden_layers,
    n_head: size,
    n_positions: size,
    n_inner: optional(size),
    layer_norm_epsilon: optional(z.number().positive()),
    activation_function: optional(z.enum(activationNames)),
    scale_attn_weights: optional(z.boolean()),
    scale_attn_by_inverse_layer_idx: optional(z.boolean()),
    add_cross_attention: optional(z.literal(false)),
    tie_word_embeddings,
    bos_token_id,
    eos_token_id,
  }),
  decoder(file, json) {
    const { n_embd: hiddenSize, n_head: heads, n_layer: layers, n_positions: positions } = json;
    if (hiddenSize % heads !== 0)
      throw new Error(`${file}: n_embd (${hiddenSize}) must be a multiple of n_head (${heads})`);
    const intermediateSize = json.n_inner ?? 4 * hiddenSize;
    const sized = { hiddenSize, heads, kvHeads: heads, headDim: hiddenSize / heads, intermediateSize };
    const kind = { eps: json.layer_norm_epsilon ?? 1e-5, layer: { bias: true } };
    const stored = { bias: true, transposed: true };
    const scale = json.scale_attn_weights === false ? 1 : sized.headDim ** -0.5;
    const outline = { ...json, hidden_size: hiddenSize, num_hidden_layers: layers, max_position_embeddings: positions };
    return decoderOf(outline, {
      names: { embedding: 'transformer.wte', layers: 'transformer.h', norm: 'transformer.ln_f', head: 'lm_head' },
      norm: kind,
      embedding: { positions: { path: 'transformer.wpe', gguf: 'position_embd', count: positions } },
      tied: true,
      contextLength: positions,
      unused: (name) => /(^|\.)h\.\d+\.attn\.bias$/.test(name), // the causal mask
      layer: (layer, i) => {
        const normed = (path: string, gguf: string) => norm(layer(path, gguf), { ...kind, size: hiddenSize });
        const output = layer('attn.c_proj', 'attn_output');
        return chain(
          branch(
            normed('ln_1', 'attn_norm'),
            attention(layer, {
              ...sized,
              scale: json.scale_attn_by_inverse_layer_idx ? scale / (i + 1) : scale,
              rope: undefined,
              projections: fused(layer('attn.c_attn', 'attn_qkv'), { ...sized, ...stored }),
              output: linearLayer(output, { out: hiddenSize, in: hiddenSize, ...stored }),
            }),
          ),
          branch(
            normed('ln_2', 'ffn_norm'),
            plainMlp(layer, {
              ...sized,
              ...stored,
              activation: json.activation_function ?? 'gelu_new',
              names: { up: 'mlp.c_fc', down: 'mlp.c_proj' },
            }),
          ),
        );
      },
    });
  },
});
