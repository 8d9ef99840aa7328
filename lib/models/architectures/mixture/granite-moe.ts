// Granite 3's mixtures of experts: Granite's multipliers, and experts, stored as one tensor each way, in every layer; perhaps
// beside them one that every token has.
import { z } from 'zod';
import { type ExpertNames, experts } from '../../../parts/experts.js';
import { architecture, denseSchema, optional } from '../../architecture.js';
import { ggufMixture, mixtureSchema, mixtureSizes } from '../../mixture.js';
import { ggufMultipliers, graniteDecoder, multiplierSchema } from '../granite.js';

const names: ExpertNames = {
  router: 'block_sparse_moe.router.layer.weight',
  gateUp: 'block_sparse_moe.input_linear.weight',
  down: 'block_sparse_moe.output_linear.weight',
  parameters: {
    router: 'block_sparse_moe.router.weight',
    gateUp: 'block_sparse_moe.experts.gate_up_proj',
    down: 'block_sparse_moe.experts.down_proj',
  },
};

export const graniteMoe = architecture({
  types: ['granitemoe', 'granitemoeshared'],
  gguf: {
    name: 'granitemoe',
    experts: true,
    config: (keys) => ({
      ...ggufMixture(keys),
      ...ggufMultipliers(keys),
      shared_intermediate_size: keys.number('expert_shared_feed_forward_length'),
    }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mixtureSchema.shape,
    ...multiplierSchema.shape,
    shared_intermediate_size: optional(z.number().int().min(0)),
  }),
  decoder(file, json) {
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 8, chosen: 2 });
    // The softmax is over the logits of the chosen, which is the same as over all with the sum of the chosen made 1.
    const routing = { chosen, score: 'softmax', normalize: {} } as const;
    const fused = { into: 'mlp.input_linear', down: 'mlp.output_linear', apart: true };
    const { shared_intermediate_size: intermediateSize } = json;
    const shared = intermediateSize ? { intermediateSize, path: 'shared_mlp', fused } : undefined;
    return graniteDecoder(file, json, (layer, sized) =>
      experts(layer, { ...sized, experts: count, routing, activation: 'silu', names, shared }),
    );
  },
});
