// Cohere's Command R and R+: both branches from one LayerNorm without bias, rope over pairs of neighbours, logits with a
// multiplier. R+ has LayerNorms of queries and keys with a weight for each head.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { branch, parallel } from '../../parts/block.js';
import { gatedMlp } from '../../parts/mlp.js';
import { norm } from '../../parts/norm.js';
import { architecture, decoderOf, denseSchema, only, optional, ropeOf, sizes } from '../architecture.js';

export const cohere = architecture({
  types: ['cohere'],
  gguf: {
    name: 'command-r',
    config: ({ gguf, number }) => ({
      layer_norm_eps: number('attention.layer_norm_epsilon'),
      logit_scale: number('logit_scale'),
      use_qk_norm: gguf.tensors.has('blk.0.attn_q_norm.weight'),
    }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    layer_norm_eps: optional(z.number().positive()),
    logit_scale: optional(z.number().positive()),
    use_qk_norm: optional(z.boolean()),
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { rope_theta = 500000, attention_bias } = json;
    const rope = { ...ropeOf(file, { ...json, rope_theta }, sized.headDim), interleaved: true };
    const kind = { eps: json.layer_norm_eps ?? 1e-5, layer: { bias: false } };
    const bias = attention_bias ?? false;
    return decoderOf(json, {
      norm: kind,
      head: { scale: json.logit_scale ?? 0.0625 },
      tied: true,
      contextLength: 8192,
      layer: (layer) =>
        branch(
          norm(layer('input_layernorm', 'attn_norm'), { ...kind, size: sized.hiddenSize }),
          parallel(
            attention(layer, {
              ...sized,
              rope,
              bias,
              outputBias: bias,
              headNorm: json.use_qk_norm ? { ...kind, over: 'each head' } : undefined,
            }),
            gatedMlp(layer, { ...sized, activation: 'silu' }),
          ),
        ),
    });
  },
});
