// GLM-4.7-Flash: DeepSeek V3's layers in GLM's sizes. Its GGUF files have DeepSeek's name, and are read as such.
import { z } from 'zod';
import { gatedMlp } from '../../../parts/mlp.js';
import { architecture, optional } from '../../architecture.js';
import { latentDecoder, latentSchema } from '../../latent.js';

export const glm4MoeLite = architecture({
  types: ['glm4_moe_lite'],
  schema: z.looseObject({
    ...latentSchema.shape,
    scoring_func: optional(z.literal('sigmoid')),
    topk_method: optional(z.literal('noaux_tc')),
  }),
  decoder: (file, json) =>
    latentDecoder(
      file,
      json,
      {
        queryLatent: 768,
        latent: 512,
        nope: 192,
        turned: 64,
        value: 256,
        eps: 1e-5,
        contextLength: 202752,
        experts: 64,
        chosen: 4,
        expertSize: 1536,
        shared: 1,
        scale: 1.8,
        groups: 1,
        keptGroups: 1,
        dense: 1,
      },
      { score: 'sigmoid', normalize: json.norm_topk_prob ?? true, grouped: true, best: 2, bias: true },
      { mlp: gatedMlp },
    ),
});
