// Qwen1.5's and Qwen2's mixtures of experts: Qwen2's attention, experts in all or some layers, and beside them an expert
// that every token has, with a gate.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { experts } from '../../../parts/experts.js';
import { gatedMlp } from '../../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  lateWindowSchema,
  layerKinds,
  only,
  optional,
  preNorm,
  ropeOf,
  size,
  sizes,
} from '../../architecture.js';
import { ggufMixture, isSparse, mixtureSchema, mixtureSizes } from '../../mixture.js';

export const qwen2Moe = architecture({
  types: ['qwen2_moe'],
  gguf: {
    name: 'qwen2moe',
    experts: true,
    config: (keys) => ({
      ...ggufMixture(keys),
      shared_expert_intermediate_size: keys.size('expert_shared_feed_forward_length'),
      norm_topk_prob: false,
      qkv_bias: keys.gguf.tensors.has('blk.0.attn_q.bias'),
    }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mixtureSchema.shape,
    ...lateWindowSchema.shape,
    shared_expert_intermediate_size: optional(size),
    qkv_bias: optional(z.boolean()),
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 60, chosen: 4 });
    const rope = ropeOf(file, json, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const { sliding_window: given = 4096, max_window_layers: first } = json;
    const window = json.use_sliding_window ? (given ?? undefined) : undefined;
    // As transformers has it: every other layer, up to `max_window_layers`.
    const kinds = layerKinds(file, json, (i) =>
      i % 2 === 0 && i < (first ?? 28) ? 'sliding_attention' : 'full_attention',
    );
    const normalize = json.norm_topk_prob ? {} : undefined;
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 32768,
      layer: (layer, i) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, {
            ...sized,
            rope,
            bias: json.qkv_bias ?? true,
            window: kinds[i] === 'sliding_attention' ? window : undefined,
          }),
          isSparse(json, i)
            ? experts(layer, {
                ...sized,
                intermediateSize: json.moe_intermediate_size ?? 1408,
                experts: count,
                routing: { chosen, score: 'softmax', normalize },
                activation: 'silu',
                shared: { intermediateSize: json.shared_expert_intermediate_size ?? 5632, gated: true },
              })
            : gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
