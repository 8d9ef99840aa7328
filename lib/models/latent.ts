// What architectures with multi-head latent attention share: the keys of their configs, their attention and experts, and the
// metadata of GGUF files.
import { z } from 'zod';
import { type ExpertNames, experts } from '../parts/experts.js';
import { latentAttention } from '../parts/latent-attention.js';
import type { GatedMlpOptions } from '../parts/mlp.js';
import type { Inside, Part } from '../parts/part.js';
import type { QueryGrowth } from '../parts/query-growth.js';
import {
  type DenseConfig,
  decoderOf,
  denseSchema,
  draftBlocks,
  type GgufKeys,
  only,
  optional,
  preNorm,
  ropeOf,
  ropeSchema,
  size,
} from './architecture.js';
import type { DecoderConfig } from './config.js';
import { mixtureSchema, mixtureSizes } from './mixture.js';

const whole = optional(z.number().int().min(0));

export const latentSchema = z.looseObject({
  ...denseSchema.shape,
  ...mixtureSchema.shape,
  kv_lora_rank: optional(size),
  q_lora_rank: optional(size),
  qk_nope_head_dim: optional(size),
  qk_rope_head_dim: optional(size.multipleOf(2)),
  v_head_dim: optional(size),
  rope_interleave: optional(z.boolean()),
  n_routed_experts: optional(size),
  n_shared_experts: whole,
  routed_scaling_factor: optional(z.number().positive()),
  n_group: optional(size),
  topk_group: optional(size),
  first_k_dense_replace: whole,
  mlp_layer_types: optional(z.array(z.enum(['dense', 'sparse']))),
  moe_layer_freq: optional(z.literal(1)),
  mlp_bias: optional(z.literal(false)),
});

export type LatentConfig = z.output<typeof latentSchema>;

/** What a config without the keys has. */
export interface LatentDefaults {
  queryLatent: number;
  latent: number;
  nope: number;
  turned: number;
  value: number;
  eps: number;
  contextLength: number;
  experts: number;
  chosen: number;
  expertSize: number;
  shared: number;
  scale: number;
  groups: number;
  keptGroups: number;
  /** Layers without experts, from the first on. */
  dense: number;
}

/** How a router scores, and what its groups are ranked by. */
export interface LatentRouter {
  score: 'softmax' | 'sigmoid';
  normalize: boolean;
  /** Whether groups of experts count. */
  grouped: boolean;
  /** So many of a group's largest scores. */
  best: number;
  /** A learned term for the choice alone. */
  bias: boolean;
  /** Of the experts' tensors. Default: those of most models. */
  names?: ExpertNames;
}

export interface LatentParts {
  /** Of the layers without experts. */
  mlp(layer: Inside, options: GatedMlpOptions): Part;
  growth?: QueryGrowth;
}

/** Both latents' norms have it, whatever `rms_norm_eps` is. */
const latentEps = 1e-6;

/**
 * A decoder whose layers have latent attention, and experts behind the first layers.
 *
 * @throws Error that names the file and the field.
 */
export function latentDecoder(
  file: string,
  json: LatentConfig,
  defaults: LatentDefaults,
  router: LatentRouter,
  { mlp, growth }: LatentParts,
): Omit<DecoderConfig, 'modelType'> {
  const { hidden_size: hiddenSize, num_attention_heads: heads, num_hidden_layers: layers } = json;
  only(file, 'hidden_act', json.hidden_act, 'silu');
  if ((json.num_key_value_heads ?? heads) !== heads)
    throw new Error(
      `${file}: num_key_value_heads must be num_attention_heads, ${heads}, got ${json.num_key_value_heads}`,
    );
  const [nope, turned] = [json.qk_nope_head_dim ?? defaults.nope, json.qk_rope_head_dim ?? defaults.turned];
  const interleaved = json.rope_interleave ?? true;
  const rope = { ...ropeOf(file, json, turned), interleaved };
  const rms = { eps: json.rms_norm_eps ?? defaults.eps };
  const sized = { hiddenSize, intermediateSize: json.intermediate_size, activation: 'silu' } as const;
  const isSparse = sparseLayers(file, json, defaults.dense);
  const mixture = mixtureOf(file, json, defaults, router);
  return decoderOf(json, {
    norm: rms,
    tied: false,
    contextLength: defaults.contextLength,
    unused: draftBlocks(layers),
    layer: (layer, i) =>
      preNorm(
        layer,
        { ...rms, size: hiddenSize },
        latentAttention(layer, {
          hiddenSize,
          heads,
          nope,
          turned,
          value: json.v_head_dim ?? defaults.value,
          latent: json.kv_lora_rank ?? defaults.latent,
          queryLatent: json.q_lora_rank === undefined ? defaults.queryLatent : (json.q_lora_rank ?? undefined),
          rope,
          scale: (nope + turned) ** -0.5 * yarnGain(json) ** 2,
          eps: latentEps,
          bias: json.attention_bias ?? false,
          growth,
        }),
        isSparse[i] ? mixture(layer) : mlp(layer, sized),
      ),
  });
}

/** What YaRN multiplies queries and keys by, beside its factor of cosine and sine. */
function yarnGain({ rope_parameters, rope_scaling }: Pick<DenseConfig, 'rope_parameters' | 'rope_scaling'>): number {
  const { rope_type, type, factor, mscale_all_dim: all } = rope_parameters ?? rope_scaling ?? {};
  if ((rope_type ?? type ?? 'default') === 'default' || !all || !factor || factor <= 1) return 1;
  return 0.1 * all * Math.log(factor) + 1;
}

/** @throws Error that names the file, for a list of another length. */
function sparseLayers(file: string, json: LatentConfig, dense: number): boolean[] {
  const { num_hidden_layers: layers, mlp_layer_types: types, first_k_dense_replace: first } = json;
  if (!types) return Array.from({ length: layers }, (_, i) => i >= (first ?? dense));
  if (types.length !== layers)
    throw new Error(
      `${file}: mlp_layer_types must have ${layers} entries, as num_hidden_layers says, got ${types.length}`,
    );
  return types.map((type) => type === 'sparse');
}

function mixtureOf(
  file: string,
  json: LatentConfig,
  defaults: LatentDefaults,
  router: LatentRouter,
): (layer: Inside) => Part {
  const { experts: count, chosen } = mixtureSizes(
    file,
    { ...json, num_experts: json.n_routed_experts ?? json.num_experts },
    { experts: defaults.experts, chosen: defaults.chosen },
  );
  const inner = json.moe_intermediate_size ?? defaults.expertSize;
  const shared = (json.n_shared_experts ?? defaults.shared) * inner;
  const [groups, kept] = [json.n_group ?? defaults.groups, json.topk_group ?? defaults.keptGroups];
  return (layer) =>
    experts(layer, {
      hiddenSize: json.hidden_size,
      intermediateSize: inner,
      experts: count,
      routing: {
        chosen,
        score: router.score,
        normalize: router.normalize ? { epsilon: 1e-20 } : undefined,
        scale: json.routed_scaling_factor ?? defaults.scale,
        groups: router.grouped && groups > 1 ? { count: groups, kept, best: router.best } : undefined,
      },
      activation: 'silu',
      names: router.names,
      bias: router.bias ? { name: 'mlp.gate.e_score_correction_bias' } : undefined,
      shared: shared > 0 ? { intermediateSize: shared, path: 'mlp.shared_experts' } : undefined,
    });
}

export const ropeWithGrowth = optional(
  z.looseObject({ ...ropeSchema.shape, llama_4_scaling_beta: optional(z.number()) }),
);

/**
 * The keys of a GGUF file. Heads are as wide as `key_length_mla` says, or `key_length` in files that have the up-projection
 * whole; `yarn_log_multiplier` is a tenth of `mscale_all_dim`, and `mscale` is the same, or cosine and sine would be scaled.
 */
export function latentKeys({ gguf, number, size: sizeAt }: GgufKeys, shared: Record<string, unknown>) {
  const split = number('attention.key_length_mla') !== undefined;
  const turned = sizeAt('rope.dimension_count');
  const queryLatent = number('attention.q_lora_rank');
  const multiplier = number('rope.scaling.yarn_log_multiplier');
  const gain = multiplier === undefined ? undefined : Math.round(multiplier * 1e7) / 1e6;
  const scaling = shared.rope_scaling as object | null;
  const name = String(gguf.metadata.get('general.architecture'));
  return {
    head_dim: null,
    partial_rotary_factor: null,
    num_key_value_heads: null,
    // Blocks behind these are for drafting.
    num_hidden_layers: sizeAt('block_count') - (number('nextn_predict_layers') ?? 0),
    q_lora_rank: queryLatent === undefined || queryLatent === 0 ? null : queryLatent,
    kv_lora_rank: sizeAt('attention.kv_lora_rank'),
    qk_rope_head_dim: turned,
    qk_nope_head_dim: sizeAt(split ? 'attention.key_length_mla' : 'attention.key_length') - turned,
    v_head_dim: sizeAt(split ? 'attention.value_length_mla' : 'attention.value_length'),
    rope_scaling: scaling && { ...scaling, ...(gain === undefined ? {} : { mscale: gain, mscale_all_dim: gain }) },
    attention_bias: gguf.tensors.has('blk.0.attn_output.bias'),
    n_routed_experts: sizeAt('expert_count'),
    num_experts_per_tok: sizeAt('expert_used_count'),
    n_shared_experts: number('expert_shared_count') ?? 0,
    moe_intermediate_size: sizeAt('expert_feed_forward_length'),
    routed_scaling_factor: number('expert_weights_scale') || 1,
    norm_topk_prob: gguf.metadata.get(`${name}.expert_weights_norm`) ?? false,
    n_group: number('expert_group_count') ?? 1,
    topk_group: number('expert_group_used_count') ?? 1,
    first_k_dense_replace: number('leading_dense_block_count') ?? 0,
  };
}

/** The same of models whose queries do not grow with their position. @throws Error that names the file and the key, if they do. */
export function plainLatentKeys(keys: GgufKeys, shared: Record<string, unknown>) {
  const growth = keys.number('attention.temperature_scale');
  if (growth !== undefined && growth !== 0)
    throw new Error(
      `${keys.gguf.path}: attention.temperature_scale is ${growth}, which is supported for mistral3 and mistral4 alone`,
    );
  return latentKeys(keys, shared);
}

/**
 * Whether a file's router takes sigmoids. Old files do not say: of them only GLM-4.7-Flash does, which llama.cpp tells by
 * its size.
 */
export function takesSigmoids({ number, size: sizeAt, gguf }: GgufKeys): boolean {
  const kind = number('expert_gating_func');
  if (kind !== undefined) return kind === 2;
  const tokens = gguf.metadata.get('tokenizer.ggml.tokens');
  const blocks = sizeAt('block_count');
  return (blocks === 47 || blocks === 48) && Array.isArray(tokens) && tokens.length === 154880;
}
