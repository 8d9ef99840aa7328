// Granite 3's mixtures of experts: Granite's multipliers, and experts, stored as one tensor each way, in every layer.
import { z } from 'zod';
import { type ExpertNames, experts } from '../../../parts/experts.js';
import { architecture, denseSchema } from '../../architecture.js';
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
  types: ['granitemoe'],
  gguf: {
    name: 'granitemoe',
    experts: true,
    config: (keys) => ({ ...ggufMixture(keys), ...ggufMultipliers(keys) }),
  },
  schema: z.looseObject({ ...denseSchema.shape, ...mixtureSchema.shape, ...multiplierSchema.shape }),
  decoder(file, json) {
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 8, chosen: 2 });
    // The softmax is over the logits of the chosen, which is the same as over all with the sum of the chosen made 1.
    const routing = { chosen, score: 'softmax', normalize: {} } as const;
    return graniteDecoder(file, json, (layer, sized) =>
      experts(layer, { ...sized, experts: count, routing, activation: 'silu', names }),
    );
  },
});
