// ERNIE 4.5's mixtures of experts: ERNIE's attention, experts in a range of layers, chosen by scores with a learned term that
// is no part of the weights.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { experts } from '../../../parts/experts.js';
import { gatedMlp } from '../../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  only,
  optional,
  preNorm,
  ropeOf,
  size,
  sizes,
} from '../../architecture.js';
import { mixtureSizes } from '../../mixture.js';

const whole = optional(z.number().int().min(0));

export const ernieMoe = architecture({
  types: ['ernie4_5_moe'],
  gguf: {
    name: 'ernie4_5-moe',
    experts: true,
    config({ number, size }, { attention_bias }) {
      const inner = size('expert_feed_forward_length');
      return {
        use_bias: attention_bias,
        moe_num_experts: size('expert_count'),
        moe_k: size('expert_used_count'),
        moe_intermediate_size: inner,
        moe_num_shared_experts: (number('expert_shared_feed_forward_length') ?? 0) / inner,
        moe_layer_start_index: number('leading_dense_block_count') ?? 0,
        moe_layer_interval: number('interleave_moe_layer_step') ?? 1,
      };
    },
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    // Its output would have a bias too, as no published model has.
    use_bias: optional(z.literal(false)),
    moe_num_experts: optional(size),
    moe_k: optional(size),
    moe_intermediate_size: optional(size),
    moe_num_shared_experts: whole,
    moe_layer_start_index: whole,
    moe_layer_end_index: optional(z.number().int().min(-1)),
    moe_layer_interval: optional(size),
    moe_norm_min: optional(z.number().min(0)),
    moe_use_aux_free: optional(z.literal(true)),
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(
      file,
      { num_experts: json.moe_num_experts, num_experts_per_tok: json.moe_k },
      { experts: 64, chosen: 6 },
    );
    const rope = { ...ropeOf(file, json, sized.headDim, 500000), interleaved: true };
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    const { moe_layer_start_index: first = 1, moe_layer_end_index: last = -1, moe_layer_interval: interval = 1 } = json;
    const end = last === null || last < 0 ? json.num_hidden_layers - 1 : last;
    const isSparse = (i: number): boolean => (i + 1) % (interval ?? 1) === 0 && i >= (first ?? 1) && i <= end;
    const inner = json.moe_intermediate_size ?? 1536;
    const shared = (json.moe_num_shared_experts ?? 2) * inner;
    return decoderOf(json, {
      norm: rms,
      tied: true,
      contextLength: 131072,
      layer: (layer, i) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope }),
          isSparse(i)
            ? experts(layer, {
                ...sized,
                intermediateSize: inner,
                experts: count,
                routing: { chosen, score: 'softmax', normalize: { least: json.moe_norm_min ?? 1e-12 } },
                activation: 'silu',
                bias: {
                  name: 'mlp.gate.moe_statics.e_score_correction_bias',
                  other: 'mlp.moe_statics.e_score_correction_bias',
                  shape: [1, count],
                },
                shared: shared > 0 ? { intermediateSize: shared, path: 'mlp.shared_experts' } : undefined,
              })
            : gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
