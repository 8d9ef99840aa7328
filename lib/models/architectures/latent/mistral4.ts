// Mistral Small 4: latent attention with queries that grow with their position, and experts chosen by a softmax.
import { z } from 'zod';
import { stackedNames } from '../../../parts/experts.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { architecture } from '../../architecture.js';
import { latentDecoder, latentKeys, latentSchema, ropeWithGrowth } from '../../latent.js';

/** What a config without any has. */
const published = {
  rope_type: 'yarn',
  rope_theta: 10000,
  factor: 128,
  original_max_position_embeddings: 8192,
  mscale: 1,
  mscale_all_dim: 1,
  llama_4_scaling_beta: 0.1,
};

type Settings = NonNullable<z.output<typeof ropeWithGrowth>>;

const defaults = {
  queryLatent: 1024,
  latent: 256,
  nope: 64,
  turned: 64,
  value: 128,
  eps: 1e-6,
  contextLength: 1048576,
  experts: 128,
  chosen: 4,
  expertSize: 2048,
  shared: 1,
  scale: 1,
  groups: 1,
  keptGroups: 1,
  dense: 0,
};

export const mistral4 = architecture({
  types: ['mistral4'],
  gguf: {
    name: 'mistral4',
    experts: true,
    ownValueLength: true,
    config(keys, shared) {
      const { rope_scaling, ...found } = latentKeys(keys, shared);
      return {
        ...found,
        rope_scaling: null,
        rope_parameters: {
          rope_theta: shared.rope_theta,
          original_max_position_embeddings: shared.max_position_embeddings,
          ...rope_scaling,
          llama_4_scaling_beta: keys.number('attention.temperature_scale') ?? 0,
        },
      };
    },
  },
  schema: z.looseObject({ ...latentSchema.shape, rope_parameters: ropeWithGrowth, rope_scaling: ropeWithGrowth }),
  decoder(file, json) {
    const given: Settings = json.rope_parameters ?? json.rope_scaling ?? published;
    const { partial_rotary_factor: share, ...settings } = given;
    const [nope, turned] = [json.qk_nope_head_dim ?? defaults.nope, json.qk_rope_head_dim ?? defaults.turned];
    if (share !== undefined && share !== null && Math.floor(share * (nope + turned)) !== turned)
      throw new Error(
        `${file}: partial_rotary_factor (${share}) must leave qk_rope_head_dim, ${turned} of ${nope + turned} channels`,
      );
    const { llama_4_scaling_beta: beta, original_max_position_embeddings: every } = settings;
    if (typeof beta !== 'number' || typeof every !== 'number')
      throw new Error(
        `${file}: rope_parameters needs the numbers llama_4_scaling_beta and original_max_position_embeddings`,
      );
    return latentDecoder(
      file,
      { ...json, rope_parameters: settings, rope_scaling: null },
      defaults,
      {
        score: 'softmax',
        normalize: json.norm_topk_prob ?? true,
        grouped: true,
        best: 2,
        bias: false,
        names: stackedNames,
      },
      { mlp: gatedMlp, growth: { beta, every } },
    );
  },
});
