// OLMoE: norms over all heads of q and k at once, and experts in every layer.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { experts } from '../../../parts/experts.js';
import { architecture, decoderOf, denseSchema, only, preNorm, ropeOf, sizes } from '../../architecture.js';
import { ggufMixture, mixtureSchema, mixtureSizes } from '../../mixture.js';

export const olmoe = architecture({
  types: ['olmoe'],
  gguf: { name: 'olmoe', experts: true, config: (keys) => ({ ...ggufMixture(keys), norm_topk_prob: false }) },
  schema: z.looseObject({ ...denseSchema.shape, ...mixtureSchema.shape, clip_qkv: z.null().optional() }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 64, chosen: 8 });
    const rope = ropeOf(file, json, sized.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 4096,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias, headNorm: { ...rms, over: 'all' } }),
          experts(layer, {
            ...sized,
            experts: count,
            routing: { chosen, score: 'softmax', normalize: json.norm_topk_prob ? {} : undefined },
            activation: 'silu',
          }),
        ),
    });
  },
});
