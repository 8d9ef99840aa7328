// Qwen3-Next: Gated DeltaNet in three layers of four, with projections fused by key head; experts in all or some layers, and
// one that every token has.
import { z } from 'zod';
import { experts } from '../../../parts/experts.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { architecture, denseSchema } from '../../architecture.js';
import { isSparse, mixtureSizes } from '../../mixture.js';
import { deltaDecoder, deltaMixtureSchema, ggufDeltaMixture } from '../../recurrent.js';

export const qwen3Next = architecture({
  types: ['qwen3_next'],
  gguf: {
    name: 'qwen3next',
    experts: true,
    config: ggufDeltaMixture,
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...deltaMixtureSchema.shape,
  }),
  decoder(file, json) {
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 512, chosen: 10 });
    const hiddenSize = json.hidden_size;
    const routing = { chosen, score: 'softmax', normalize: (json.norm_topk_prob ?? true) ? {} : undefined } as const;
    return deltaDecoder(file, json, {
      byHead: true,
      mlp: (layer, i) =>
        isSparse(json, i)
          ? experts(layer, {
              hiddenSize,
              intermediateSize: json.moe_intermediate_size ?? 512,
              experts: count,
              routing,
              activation: 'silu',
              shared: { intermediateSize: json.shared_expert_intermediate_size ?? 512, gated: true },
            })
          : gatedMlp(layer, { hiddenSize, intermediateSize: json.intermediate_size, activation: 'silu' }),
    });
  },
});
