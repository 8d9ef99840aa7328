// DeepSeek V2 and V2 Lite: latent attention, and experts chosen by a softmax, perhaps among the best groups alone.
import { z } from 'zod';
import { gatedMlp } from '../../../parts/mlp.js';
import { architecture, optional } from '../../architecture.js';
import { latentDecoder, latentSchema, plainLatentKeys, takesSigmoids } from '../../latent.js';

/** Files of both have one name; their routers tell them apart. */
export const deepseekFiles = { name: 'deepseek2', experts: true, ownValueLength: true } as const;

export const deepseekV2 = architecture({
  types: ['deepseek_v2'],
  gguf: {
    ...deepseekFiles,
    is: (keys) => !takesSigmoids(keys),
    config(keys, shared) {
      const found = plainLatentKeys(keys, shared);
      return { ...found, topk_method: found.n_group > 1 ? 'group_limited_greedy' : 'greedy' };
    },
  },
  schema: z.looseObject({
    ...latentSchema.shape,
    scoring_func: optional(z.literal('softmax')),
    topk_method: optional(z.enum(['greedy', 'group_limited_greedy'])),
    // Implementations differ in whether weights that are divided by their sum are scaled too; no published model asks.
    norm_topk_prob: optional(z.literal(false)),
    rope_interleave: optional(z.literal(true)),
  }),
  decoder(file, json) {
    const grouped = json.topk_method === 'group_limited_greedy';
    if (json.num_experts_per_tok === undefined || json.num_experts_per_tok === null)
      throw new Error(`${file}: field 'num_experts_per_tok' is missing, expected a positive integer`);
    return latentDecoder(
      file,
      json,
      {
        queryLatent: 1536,
        latent: 512,
        nope: 128,
        turned: 64,
        value: 128,
        eps: 1e-6,
        contextLength: 2048,
        experts: 64,
        chosen: 6,
        expertSize: 1407,
        shared: 2,
        scale: 1,
        groups: 1,
        keptGroups: 1,
        dense: 0,
      },
      { score: 'softmax', normalize: false, grouped, best: 1, bias: false },
      { mlp: gatedMlp },
    );
  },
});
