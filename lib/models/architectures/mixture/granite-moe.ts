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

/** The MLP that all tokens have, where there is one: its module's names, with gate and up apart in GGUF files. */
export const graniteShared = { into: 'mlp.input_linear', down: 'mlp.output_linear', apart: true };

/** The experts of Granite's mixtures, of which a token has so many; `shared` is the size of the one that all tokens have. */
export const graniteExperts = (chosen: number, shared: number | null | undefined) =>
  // The softmax is over the logits of the chosen, which is the same as over all with the sum of the chosen made 1.
  ({
    routing: { chosen, score: 'softmax', normalize: {} },
    activation: 'silu',
    names,
    shared: shared ? { intermediateSize: shared, path: 'shared_mlp', fused: graniteShared } : undefined,
  }) as const;

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
    const { shared_intermediate_size: inner } = json;
    return graniteDecoder(file, json, {
      mlp: (layer, sized) => experts(layer, { ...sized, experts: count, ...graniteExperts(chosen, inner) }),
    });
  },
});
