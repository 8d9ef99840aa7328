// GLM-4.5 to 4.7: rope in half of each head, experts behind the first layers, chosen by sigmoids with a learned term that is
// no part of the weights, and an expert that every token has.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { branch, chain } from '../../../parts/block.js';
import { experts } from '../../../parts/experts.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { norm } from '../../../parts/norm.js';
import { architecture, decoderOf, denseSchema, only, optional, ropeOf, size, sizes } from '../../architecture.js';
import { mixtureSchema, mixtureSizes } from '../../mixture.js';

export const glm4Moe = architecture({
  types: ['glm4_moe'],
  gguf: {
    name: 'glm4moe',
    experts: true,
    config: ({ gguf, number, size }) => ({
      // The blocks behind these are for drafting.
      num_hidden_layers: size('block_count') - (number('nextn_predict_layers') ?? 0),
      n_routed_experts: size('expert_count'),
      num_experts_per_tok: size('expert_used_count'),
      n_shared_experts: number('expert_shared_count') ?? 1,
      moe_intermediate_size: size('expert_feed_forward_length'),
      routed_scaling_factor: number('expert_weights_scale') ?? 1,
      n_group: number('expert_group_count') ?? 1,
      topk_group: number('expert_group_used_count') ?? 1,
      norm_topk_prob: gguf.metadata.get('glm4moe.expert_weights_norm') ?? true,
      first_k_dense_replace: number('leading_dense_block_count') ?? 0,
      use_qk_norm: gguf.tensors.has('blk.0.attn_q_norm.weight'),
    }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mixtureSchema.shape,
    n_routed_experts: optional(size),
    n_shared_experts: optional(z.number().int().min(0)),
    routed_scaling_factor: optional(z.number().positive()),
    n_group: optional(size),
    topk_group: optional(size),
    first_k_dense_replace: optional(z.number().int().min(0)),
    use_qk_norm: optional(z.boolean()),
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(
      file,
      { ...json, num_experts: json.n_routed_experts ?? json.num_experts },
      { experts: 128, chosen: 8 },
    );
    const partial = { partial_rotary_factor: json.partial_rotary_factor ?? 0.5 };
    const rope = ropeOf(file, { ...json, ...partial }, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    const inner = json.moe_intermediate_size ?? 1408;
    const shared = (json.n_shared_experts ?? 1) * inner;
    const [groups, kept] = [json.n_group ?? 1, json.topk_group ?? 1];
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 131072,
      layer: (layer, i) => {
        const normed = (path: string, gguf: string) => norm(layer(path, gguf), { ...rms, size: sized.hiddenSize });
        return chain(
          branch(
            normed('input_layernorm', 'attn_norm'),
            attention(layer, {
              ...sized,
              rope,
              bias: json.attention_bias ?? false,
              headNorm: json.use_qk_norm ? rms : undefined,
            }),
          ),
          branch(
            normed('post_attention_layernorm', 'post_attention_norm'),
            i < (json.first_k_dense_replace ?? 1)
              ? gatedMlp(layer, { ...sized, activation: 'silu' })
              : experts(layer, {
                  ...sized,
                  intermediateSize: inner,
                  experts: count,
                  routing: {
                    chosen,
                    score: 'sigmoid',
                    normalize: (json.norm_topk_prob ?? true) ? { epsilon: 1e-20 } : undefined,
                    scale: json.routed_scaling_factor ?? 1,
                    groups: groups > 1 ? { count: groups, kept, best: 2 } : undefined,
                  },
                  activation: 'silu',
                  bias: { name: 'mlp.gate.e_score_correction_bias' },
                  shared: shared > 0 ? { intermediateSize: shared, path: 'mlp.shared_experts' } : undefined,
                }),
          ),
        );
      },
    });
  },
});
