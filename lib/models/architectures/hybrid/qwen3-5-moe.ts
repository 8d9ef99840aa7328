// Qwen3.5's and 3.6's mixtures of experts (text): the layers of Qwen3.5 with experts, and one that every token has.
import { z } from 'zod';
import { experts } from '../../../parts/experts.js';
import { architecture, denseSchema, optional, size } from '../../architecture.js';
import { mixtureSizes } from '../../mixture.js';
import { deltaDecoder, deltaMixtureSchema, ggufDeltaMixture } from '../../recurrent.js';

export const qwen35Moe = architecture({
  types: ['qwen3_5_moe_text'],
  gguf: {
    name: 'qwen35moe',
    experts: true,
    config: ggufDeltaMixture,
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...deltaMixtureSchema.shape,
    intermediate_size: optional(size), // no layer has it
  }),
  decoder(file, json) {
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 256, chosen: 8 });
    const inner = json.moe_intermediate_size ?? 512;
    return deltaDecoder(
      file,
      { ...json, intermediate_size: inner },
      {
        byHead: false,
        mlp: (layer) =>
          experts(layer, {
            hiddenSize: json.hidden_size,
            intermediateSize: inner,
            experts: count,
            routing: { chosen, score: 'softmax', normalize: {} },
            activation: 'silu',
            shared: { intermediateSize: json.shared_expert_intermediate_size ?? 512, gated: true },
          }),
      },
    );
  },
});
