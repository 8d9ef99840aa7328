// LFM2's mixtures of experts: the layers of LFM2, of which the first have one MLP and the others experts.
import { z } from 'zod';
import { type ExpertNames, experts } from '../../../parts/experts.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { architecture, denseSchema, optional, size } from '../../architecture.js';
import { ggufMixture, mixtureSchema, mixtureSizes } from '../../mixture.js';
import { ggufShortConv, shortConvDecoder, shortConvNames, shortConvSchema } from './lfm2.js';

const names: ExpertNames = {
  router: 'feed_forward.gate.weight',
  gateUp: 'feed_forward.experts.gate_up_proj',
  down: 'feed_forward.experts.down_proj',
  each: { experts: 'feed_forward.experts', gate: 'w1', up: 'w3', down: 'w2' },
};

export const lfm2Moe = architecture({
  types: ['lfm2_moe'],
  gguf: {
    name: 'lfm2moe',
    experts: true,
    config: (keys) => ({
      ...ggufMixture(keys),
      ...ggufShortConv(keys),
      num_dense_layers: keys.number('leading_dense_block_count') ?? 0,
      routed_scaling_factor: keys.number('expert_weights_scale') ?? 1,
    }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mixtureSchema.shape,
    ...shortConvSchema.shape,
    num_dense_layers: optional(z.number().int().min(0)),
    use_expert_bias: optional(z.boolean()),
    routed_scaling_factor: optional(z.number()),
    intermediate_size: size,
  }),
  decoder(file, json) {
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 32, chosen: 4 });
    const { hidden_size: hiddenSize, intermediate_size: intermediateSize } = json;
    const dense = json.num_dense_layers ?? 2;
    const biased = json.use_expert_bias ?? true;
    return shortConvDecoder(file, json, (layer, i) =>
      i < dense
        ? gatedMlp(layer, { hiddenSize, intermediateSize, activation: 'silu', names: shortConvNames })
        : experts(layer, {
            hiddenSize,
            intermediateSize: json.moe_intermediate_size ?? 1792,
            experts: count,
            routing: {
              chosen,
              score: 'sigmoid',
              normalize: (json.norm_topk_prob ?? true) ? { epsilon: 1e-6 } : undefined,
              scale: json.routed_scaling_factor ?? 1,
            },
            activation: 'silu',
            names,
            bias: biased ? { name: 'feed_forward.expert_bias' } : undefined,
          }),
    );
  },
});
