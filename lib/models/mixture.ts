// What architectures with a mixture of experts share: the keys of their configs, in which layers experts are, and the
// metadata of GGUF files.
import { z } from 'zod';
import { type GgufKeys, optional, size } from './architecture.js';

const share = optional(z.number().min(0));

export const mixtureSchema = z.looseObject({
  num_experts: optional(size),
  num_local_experts: optional(size),
  num_experts_per_tok: optional(size),
  moe_intermediate_size: optional(size),
  norm_topk_prob: optional(z.boolean()),
  decoder_sparse_step: optional(size),
  mlp_only_layers: optional(z.array(z.number().int().min(0))),
  // In training alone, and only where a model is told to give its routers' logits; LoRA leaves routers as they are.
  router_aux_loss_coef: share,
  router_jitter_noise: share,
});

type MixtureKeys = z.output<typeof mixtureSchema>;

/**
 * Experts, and how many a token has.
 *
 * @throws Error that names the file and the key, if one is missing or a token has more than there are.
 */
export function mixtureSizes(
  file: string,
  json: Pick<MixtureKeys, 'num_experts' | 'num_local_experts' | 'num_experts_per_tok'>,
  defaults: { experts: number; chosen: number },
): { experts: number; chosen: number } {
  const experts = json.num_experts ?? json.num_local_experts ?? defaults.experts;
  const chosen = json.num_experts_per_tok ?? defaults.chosen;
  if (chosen > experts)
    throw new Error(`${file}: num_experts_per_tok (${chosen}) must be at most the number of experts (${experts})`);
  return { experts, chosen };
}

/** Whether layer `index` has experts, by Qwen's keys. */
export function isSparse(json: Pick<MixtureKeys, 'decoder_sparse_step' | 'mlp_only_layers'>, index: number): boolean {
  return !json.mlp_only_layers?.includes(index) && (index + 1) % (json.decoder_sparse_step ?? 1) === 0;
}

/** Those keys from the metadata of a GGUF file; its tensors tell which layers have experts. */
export function ggufMixture({ gguf, number, size }: GgufKeys): Record<string, unknown> {
  const dense = Array.from({ length: size('block_count') }, (_, i) => i).filter(
    (i) => !gguf.tensors.has(`blk.${i}.ffn_gate_inp.weight`),
  );
  return {
    num_experts: size('expert_count'),
    num_experts_per_tok: size('expert_used_count'),
    moe_intermediate_size: number('expert_feed_forward_length') ?? size('feed_forward_length'),
    mlp_only_layers: dense,
  };
}
