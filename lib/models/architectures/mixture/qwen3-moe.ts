// Qwen3's mixtures of experts: Qwen3's attention, and experts in all or some layers.
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
import { ggufMixture, isSparse, mixtureSchema, mixtureSizes } from '../../mixture.js';

export const qwen3Moe = architecture({
  types: ['qwen3_moe'],
  // llama.cpp makes the weights of the chosen add up to 1 whatever the file says.
  gguf: { name: 'qwen3moe', experts: true, config: (keys) => ({ ...ggufMixture(keys), norm_topk_prob: true }) },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mixtureSchema.shape,
    use_sliding_window: optional(z.boolean()),
    sliding_window: optional(size),
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 128, chosen: 8 });
    const rope = ropeOf(file, json, sized.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const { sliding_window = 4096 } = json;
    const window = json.use_sliding_window ? (sliding_window ?? undefined) : undefined;
    const normalize = json.norm_topk_prob ? {} : undefined;
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 32768,
      layer: (layer, i) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias, headNorm: rms, window }),
          isSparse(json, i)
            ? experts(layer, {
                ...sized,
                intermediateSize: json.moe_intermediate_size ?? 768,
                experts: count,
                routing: { chosen, score: 'softmax', normalize },
                activation: 'silu',
              })
            : gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
