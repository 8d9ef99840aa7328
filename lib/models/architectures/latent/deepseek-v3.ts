// DeepSeek V3, V3.1 and R1, and Kimi K2: latent attention, and experts chosen by sigmoids with a learned term that is no
// part of the weights, among the groups with the best pairs.
import { z } from 'zod';
import { gatedMlp } from '../../../parts/mlp.js';
import { architecture, optional } from '../../architecture.js';
import { latentDecoder, latentSchema, plainLatentKeys, takesSigmoids } from '../../latent.js';
import { deepseekFiles } from './deepseek-v2.js';

export const deepseekV3 = architecture({
  types: ['deepseek_v3', 'kimi_k2'],
  // Files of GLM-4.7-Flash have the same name and the same numbers.
  gguf: { ...deepseekFiles, is: takesSigmoids, config: plainLatentKeys },
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
        queryLatent: 1536,
        latent: 512,
        nope: 128,
        turned: 64,
        value: 128,
        eps: 1e-6,
        contextLength: 4096,
        experts: 256,
        chosen: 8,
        expertSize: 2048,
        shared: 1,
        scale: 2.5,
        groups: 8,
        keptGroups: 4,
        dense: 3,
      },
      { score: 'sigmoid', normalize: json.norm_topk_prob ?? true, grouped: true, best: 2, bias: true },
      { mlp: gatedMlp },
    ),
});
