// GPT-NeoX (Pythia, …): both branches from the residual stream, each after its LayerNorm; queries, keys and values of each
// head side by side in one projection; rope in a part of each head.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { branch, chain, parallel } from '../../parts/block.js';
import { linearLayer } from '../../parts/linear.js';
import { activationNames, plainMlp } from '../../parts/mlp.js';
import { norm } from '../../parts/norm.js';
import { fusedByHead } from '../../parts/projections.js';
import { architecture, decoderOf, denseSchema, optional, ropeOf, sizes } from '../architecture.js';

export const gptNeox = architecture({
  types: ['gpt_neox'],
  gguf: {
    name: 'gptneox',
    config: ({ gguf, number }) => ({
      hidden_act: 'gelu',
      layer_norm_eps: number('attention.layer_norm_epsilon'),
      use_parallel_residual: gguf.metadata.get('gptneox.use_parallel_residual') ?? true,
    }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    hidden_act: optional(z.enum(activationNames)),
    layer_norm_eps: optional(z.number().positive()),
    rotary_pct: optional(z.number().positive()),
    rotary_emb_base: optional(z.number().positive()),
    use_parallel_residual: optional(z.boolean()),
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    if (sized.kvHeads !== sized.heads) {
      throw new Error(
        `${file}: num_key_value_heads (${sized.kvHeads}) must be num_attention_heads (${sized.heads}), as query_key_value has all three of each head`,
      );
    }
    const { rope_theta = json.rotary_emb_base, partial_rotary_factor = json.rotary_pct ?? 0.25 } = json;
    const rope = ropeOf(file, { ...json, rope_theta, partial_rotary_factor }, sized.headDim);
    const kind = { eps: json.layer_norm_eps ?? 1e-5, layer: { bias: true } };
    const bias = json.attention_bias ?? true;
    return decoderOf(json, {
      names: {
        embedding: 'gpt_neox.embed_in',
        layers: 'gpt_neox.layers',
        norm: 'gpt_neox.final_layer_norm',
        head: 'embed_out',
      },
      norm: kind,
      tied: false,
      contextLength: 2048,
      unused: (name) => /\.attention\.bias$/.test(name), // the causal mask
      layer: (layer) => {
        const normed = (path: string, gguf: string) => norm(layer(path, gguf), { ...kind, size: sized.hiddenSize });
        const { hiddenSize, heads, headDim } = sized;
        const output = layer('attention.dense', 'attn_output');
        const mixer = chain(
          normed('input_layernorm', 'attn_norm'),
          attention(layer, {
            ...sized,
            rope,
            projections: fusedByHead(layer('attention.query_key_value', 'attn_qkv'), { ...sized, bias }),
            output: linearLayer(output, { out: hiddenSize, in: heads * headDim, bias }),
          }),
        );
        const mlp = chain(
          normed('post_attention_layernorm', 'ffn_norm'),
          plainMlp(layer, {
            ...sized,
            activation: json.hidden_act ?? 'gelu',
            bias: true,
            names: { up: 'mlp.dense_h_to_4h', down: 'mlp.dense_4h_to_h' },
          }),
        );
        return json.use_parallel_residual === false ? chain(branch(mixer), branch(mlp)) : branch(parallel(mixer, mlp));
      },
    });
  },
});
