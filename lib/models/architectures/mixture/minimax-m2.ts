// MiniMax M2: norms over all heads of q and k at once, rope in a part of each head, experts in every layer, chosen by
// sigmoids with a learned term that is no part of the weights.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { experts, mixtralNames } from '../../../parts/experts.js';
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
import { ggufMixture, mixtureSchema, mixtureSizes } from '../../mixture.js';

export const minimaxM2 = architecture({
  types: ['minimax_m2'],
  gguf: {
    name: 'minimax-m2',
    experts: true,
    config(keys) {
      const mixture = ggufMixture(keys);
      return { ...mixture, intermediate_size: mixture.moe_intermediate_size };
    },
  },
  schema: z.looseObject({ ...denseSchema.shape, ...mixtureSchema.shape, rotary_dim: optional(size) }),
  decoder(file, json) {
    const sized = sizes(file, json, 128);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 256, chosen: 8 });
    const partial_rotary_factor = json.rotary_dim ? json.rotary_dim / sized.headDim : json.partial_rotary_factor;
    const rope = ropeOf(file, { ...json, partial_rotary_factor }, sized.headDim, 5e6);
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 196608,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, headNorm: { ...rms, over: 'all' } }),
          experts(layer, {
            ...sized,
            experts: count,
            routing: { chosen, score: 'sigmoid', normalize: {} },
            activation: 'silu',
            names: mixtralNames,
            bias: { name: 'mlp.e_score_correction_bias', other: 'block_sparse_moe.e_score_correction_bias' },
          }),
        ),
    });
  },
});
