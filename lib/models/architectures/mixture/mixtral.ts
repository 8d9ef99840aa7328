// Mixtral: Mistral's attention, and experts instead of an MLP in every layer.
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
import { ggufName } from '../llama.js';

export const mixtral = architecture({
  types: ['mixtral'],
  gguf: { name: ggufName, experts: true, config: (keys) => ({ ...ggufMixture(keys), sliding_window: null }) },
  schema: z.looseObject({ ...denseSchema.shape, ...mixtureSchema.shape, sliding_window: optional(size) }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 8, chosen: 2 });
    const { rope_theta = 1e6 } = json;
    const rope = ropeOf(file, { ...json, rope_theta }, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 131072,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, window: json.sliding_window ?? undefined, ggufPairs: true }),
          experts(layer, {
            ...sized,
            experts: count,
            routing: { chosen, score: 'softmax', normalize: {} },
            activation: 'silu',
            names: mixtralNames,
          }),
        ),
    });
  },
});
