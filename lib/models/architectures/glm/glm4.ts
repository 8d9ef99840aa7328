// GLM-4 (0414): norms before and after both branches, rope over pairs of neighbours in a part of each head, one projection
// for gate and up, biases of q, k and v.
import { branch, chain } from '../../../parts/block.js';
import { norm } from '../../../parts/norm.js';
import { architecture, decoderOf, denseSchema, draftBlocks } from '../../architecture.js';
import { glmParts } from './glm.js';

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
    const { outline, rms, mixer, mlp } = glmParts(file, json);
    return decoderOf(json, {
      ...outline,
      unused: draftBlocks(json.num_hidden_layers),
      layer: (layer) => {
        const normed = (path: string, gguf: string) => norm(layer(path, gguf), rms);
        return chain(
          branch(
            normed('input_layernorm', 'attn_norm'),
            mixer(layer),
            normed('post_self_attn_layernorm', 'post_attention_norm'),
          ),
          branch(
            normed('post_attention_layernorm', 'ffn_norm'),
            mlp(layer),
            normed('post_mlp_layernorm', 'post_ffw_norm'),
          ),
        );
      },
    });
  },
});
