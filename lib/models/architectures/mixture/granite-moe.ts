// Granite 3's mixtures of experts: Granite's multipliers, and experts, stored as one tensor each way, in every layer.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { scaled } from '../../../parts/block.js';
import { type ExpertNames, experts } from '../../../parts/experts.js';
import { architecture, decoderOf, denseSchema, only, preNorm, ropeOf, sizes } from '../../architecture.js';
import { ggufMixture, mixtureSchema, mixtureSizes } from '../../mixture.js';
import { ggufMultipliers, multiplierSchema } from '../granite.js';

const names: ExpertNames = {
  router: 'block_sparse_moe.router.layer.weight',
  gateUp: 'block_sparse_moe.input_linear.weight',
  down: 'block_sparse_moe.output_linear.weight',
};

export const graniteMoe = architecture({
  types: ['granitemoe'],
  gguf: {
    name: 'granitemoe',
    experts: true,
    config: (keys) => ({ ...ggufMixture(keys), ...ggufMultipliers(keys) }),
  },
  schema: z.looseObject({ ...denseSchema.shape, ...mixtureSchema.shape, ...multiplierSchema.shape }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 8, chosen: 2 });
    const rope = ropeOf(file, json, sized.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const scale = json.attention_multiplier ?? 1;
    const residual = json.residual_multiplier ?? 1;
    // The softmax is over the logits of the chosen, which is the same as over all with the sum of the chosen made 1.
    const routing = { chosen, score: 'softmax', normalize: {} } as const;
    return decoderOf(json, {
      norm: rms,
      embedding: { scale: json.embedding_multiplier ?? 1 },
      head: { scale: 1 / (json.logits_scaling ?? 1) },
      tied: false,
      contextLength: 2048,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          scaled(attention(layer, { ...sized, scale, rope, bias, outputBias: bias, ggufPairs: true }), residual),
          scaled(experts(layer, { ...sized, experts: count, routing, activation: 'silu', names }), residual),
        ),
    });
  },
});
