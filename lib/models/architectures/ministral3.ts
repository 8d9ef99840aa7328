// Ministral 3: Llama with YaRN, and queries that grow with their position.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  only,
  optional,
  preNorm,
  ropeOf,
  ropeSchema,
  size,
  sizes,
} from '../architecture.js';

const growing = optional(
  z.looseObject({ ...ropeSchema.shape, llama_4_scaling_beta: z.number(), original_max_position_embeddings: size }),
);

const schema = z.looseObject({
  ...denseSchema.shape,
  sliding_window: optional(size),
  rope_parameters: growing,
  rope_scaling: growing,
});

/** What a config without any has. */
const published = {
  rope_type: 'yarn',
  rope_theta: 1e6,
  factor: 16,
  original_max_position_embeddings: 16384,
  mscale: 1,
  mscale_all_dim: 1,
  llama_4_scaling_beta: 0.1,
};

export const ministral3 = architecture({
  types: ['ministral3'],
  gguf: {
    name: 'mistral3',
    config({ number }, { rope_scaling, rope_theta, max_position_embeddings }) {
      const multiplier = number('rope.scaling.yarn_log_multiplier');
      return {
        rope_scaling: null,
        rope_parameters: {
          rope_theta,
          original_max_position_embeddings: max_position_embeddings,
          ...(rope_scaling as object | null),
          ...(multiplier === undefined ? {} : { mscale: 1, mscale_all_dim: multiplier }),
          llama_4_scaling_beta: number('attention.temperature_scale') ?? 0,
        },
      };
    },
  },
  schema,
  decoder(file, json) {
    const sized = sizes(file, json, 128);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const settings = json.rope_parameters ?? json.rope_scaling ?? published;
    const rope = ropeOf(file, { ...json, rope_parameters: settings }, sized.headDim);
    const growth = { beta: settings.llama_4_scaling_beta, every: settings.original_max_position_embeddings };
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 262144,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, growth, window: json.sliding_window ?? undefined, ggufPairs: true }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
