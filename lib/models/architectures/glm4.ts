// GLM-4 (0414): norms before and after both branches, rope over pairs of neighbours in a part of each head, one projection
// for gate and up, biases of q, k and v.
import { attention } from '../../parts/attention.js';
import { branch, chain } from '../../parts/block.js';
import { gatedMlp } from '../../parts/mlp.js';
import { norm } from '../../parts/norm.js';
import { architecture, decoderOf, denseSchema, draftBlocks, only, ropeOf, sizes } from '../architecture.js';

export const glm4 = architecture({
  types: ['glm4'],
  gguf: {
    name: 'glm4',
    config({ gguf, number, size }) {
      // The files of GLM-4V, whose rows are in another order.
      if (gguf.metadata.has('glm4.rope.dimension_sections'))
        throw new Error(`${gguf.path}: a rope by sections (glm4.rope.dimension_sections), which is not supported`);
      // Blocks that only draft tokens come last.
      return { num_hidden_layers: size('block_count') - (number('nextn_predict_layers') ?? 0) };
    },
  },
  schema: denseSchema,
  decoder(file, json) {
    const sized = sizes(file, { ...json, num_key_value_heads: json.num_key_value_heads ?? 2 }, 128);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const partial = { partial_rotary_factor: json.partial_rotary_factor ?? 0.5 };
    const rope = { ...ropeOf(file, { ...json, ...partial }, sized.headDim), interleaved: true };
    const rms = { eps: json.rms_norm_eps ?? 1.5625e-7 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 131072,
      unused: draftBlocks(json.num_hidden_layers),
      layer: (layer) => {
        const normed = (path: string, gguf: string) => norm(layer(path, gguf), { ...rms, size: sized.hiddenSize });
        return chain(
          branch(
            normed('input_layernorm', 'attn_norm'),
            attention(layer, { ...sized, rope, bias: json.attention_bias ?? true }),
            normed('post_self_attn_layernorm', 'post_attention_norm'),
          ),
          branch(
            normed('post_attention_layernorm', 'ffn_norm'),
            gatedMlp(layer, { ...sized, activation: 'silu', fused: true }),
            normed('post_mlp_layernorm', 'post_ffw_norm'),
          ),
        );
      },
    });
  },
});
