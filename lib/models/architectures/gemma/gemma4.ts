// Gemma 4 (text): norms before and after both branches, windows in most layers with heads and a rope of their own, values
// with a norm, scores that are not scaled, a factor for each layer's output. The small ones have per-layer embeddings, and
// their last layers read the keys and values of earlier ones; in the large ones keys are values where all is seen.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { branch, chain, parallel } from '../../../parts/block.js';
import { experts, gemma4Names } from '../../../parts/experts.js';
import { perLayerInput, perLayerInputs } from '../../../parts/gemma/per-layer.js';
import { scaledRouter } from '../../../parts/gemma/scaled-router.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { norm, normOf, scaledBy } from '../../../parts/norm.js';
import type { Inside, Part } from '../../../parts/part.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  type GgufKeys,
  type LayerKind,
  layerKinds,
  only,
  optional,
  ropeOf,
  ropesSchema,
  size,
  sizes,
  windowsOf,
} from '../../architecture.js';
import { mixtureSizes } from '../../mixture.js';
import { sharedSources, sharing, unusedKeys } from '../../sharing.js';

export const gemma4Schema = z.looseObject({
  ...denseSchema.shape,
  hidden_activation: optional(z.string()),
  sliding_window: optional(size),
  layer_types: optional(z.array(z.string())),
  rope_parameters: ropesSchema,
  rope_scaling: z.null().optional(),
  global_head_dim: optional(size),
  num_global_key_value_heads: optional(size),
  per_layer_config: optional(
    z.record(z.string(), z.strictObject({ head_dim: optional(size), num_key_value_heads: optional(size) })),
  ),
  attention_k_eq_v: optional(z.boolean()),
  num_kv_shared_layers: optional(z.number().int().min(0)),
  use_double_wide_mlp: optional(z.boolean()),
  hidden_size_per_layer_input: optional(z.number().int().min(0)),
  vocab_size_per_layer_input: optional(size),
  enable_moe_block: optional(z.boolean()),
  num_experts: optional(size),
  top_k_experts: optional(size),
  moe_intermediate_size: optional(size),
  final_logit_softcapping: optional(z.number().positive()),
  use_bidirectional_attention: optional(z.literal('vision')), // among the tokens of a picture, which there are none of
});

type Config = z.output<typeof gemma4Schema>;

/** What a config has where it does not say. */
interface Defaults {
  window: number;
  contextLength: number;
  perLayerSize: number;
}

const usualRopes = {
  sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
  full_attention: { rope_type: 'proportional', rope_theta: 1_000_000, partial_rotary_factor: 0.25 },
};

/** @throws Error that names the file and the field. */
export function gemma4Decoder(file: string, json: Config, defaults: Defaults) {
  const { hidden_size: hiddenSize, num_hidden_layers: count, intermediate_size: inner } = json;
  only(file, 'hidden_activation', json.hidden_activation, 'gelu_pytorch_tanh');
  const eps = json.rms_norm_eps ?? 1e-6;
  const rms = { eps };
  const sizedNorm = { eps, size: hiddenSize };
  const bias = json.attention_bias ?? false;
  const kinds = layerKinds(file, json, (i) => ((i + 1) % 6 === 0 ? 'full_attention' : 'sliding_attention'));
  kinds[count - 1] = 'full_attention'; // whatever the config says
  const windows = windowsOf(file, kinds, json.sliding_window ?? defaults.window);
  const sized = kinds.map((kind, i) => sizesOf(file, json, kind, i));
  const ropes = new Map<string, ReturnType<typeof ropeOf>>();
  const ropeFor = (kind: LayerKind, headDim: number) => {
    const key = `${kind} ${headDim}`;
    const rope = ropes.get(key) ?? ropeOfKind(file, json, kind, headDim);
    ropes.set(key, rope);
    return rope;
  };
  const mixture = json.enable_moe_block ? { ...mixtureOf(file, json), hiddenSize, eps } : undefined;
  const first = sharing(file, kinds, json.num_kv_shared_layers ?? 0);
  const keysOf = sharedSources(first);
  const perLayerSize = json.hidden_size_per_layer_input ?? defaults.perLayerSize;
  const rows = json.vocab_size_per_layer_input ?? 262_144;
  const perLayer =
    perLayerSize === 0
      ? undefined
      : perLayerInputs(
          (path, gguf) => ({ path: `model.${path}`, gguf }),
          { hiddenSize, size: perLayerSize, layers: count, vocabSize: rows, eps },
          json.vocab_size,
        );
  return decoderOf(json, {
    norm: rms,
    embedding: { scale: Math.sqrt(hiddenSize) },
    head: { softcap: json.final_logit_softcapping ?? undefined },
    tied: true,
    contextLength: defaults.contextLength,
    unused: unusedKeys(first.from, count),
    layer(layer, i): Part {
      const [own, kind, window] = [sized[i]!, kinds[i]!, windows[i]];
      const wide = i >= first.from && (json.use_double_wide_mlp ?? false) ? 2 : 1;
      const mlp = gatedMlp(layer, { hiddenSize, intermediateSize: wide * inner, activation: 'geluTanh' });
      const body = chain(
        branch(
          norm(layer('input_layernorm', 'attn_norm'), sizedNorm),
          attention(layer, {
            ...own,
            scale: 1,
            window,
            rope: ropeFor(kind, own.headDim),
            bias,
            outputBias: bias,
            headNorm: rms,
            valueNorm: rms,
            keysAreValues: kind === 'full_attention' && (json.attention_k_eq_v ?? false),
            shared: keysOf(i, { ...own, window }),
          }),
          norm(layer('post_attention_layernorm', 'post_attention_norm'), sizedNorm),
        ),
        branch(
          ...(mixture
            ? [parallel(...besideExperts(layer, mlp, mixture))]
            : [norm(layer('pre_feedforward_layernorm', 'ffn_norm'), sizedNorm), mlp]),
          norm(layer('post_feedforward_layernorm', 'post_ffw_norm'), sizedNorm),
        ),
        ...(perLayer ? [branch(perLayerInput(layer, i, perLayer, { hiddenSize, eps }))] : []),
        scaledBy(layer('layer_scalar', 'layer_output_scale.weight')),
      );
      return i === 0 && perLayer ? chain(perLayer.part, body) : body;
    },
  });
}

/** @throws Error that names the file and the field. */
function sizesOf(file: string, json: Config, kind: LayerKind, index: number) {
  const { per_layer_config: own } = json;
  const full = kind === 'full_attention';
  const heads = json.attention_k_eq_v ? json.num_global_key_value_heads : undefined;
  const usual = full
    ? { head_dim: json.global_head_dim ?? 512, num_key_value_heads: heads ?? json.num_key_value_heads ?? 4 }
    : { head_dim: json.head_dim ?? 256, num_key_value_heads: json.num_key_value_heads ?? 4 };
  const said = own
    ? {
        head_dim: own[index]?.head_dim ?? json.head_dim ?? 256,
        num_key_value_heads: own[index]?.num_key_value_heads ?? json.num_key_value_heads ?? 4,
      }
    : usual;
  const { intermediateSize: _, ...sized } = sizes(file, { ...json, ...said });
  return sized;
}

/** @throws Error that names the file and the field. */
function ropeOfKind(file: string, json: Config, kind: LayerKind, headDim: number) {
  const settings = (json.rope_parameters ?? usualRopes)[kind];
  if (!settings) throw new Error(`${file}: rope_parameters must have settings for ${kind} layers`);
  return ropeOf(file, { rope_parameters: settings, max_position_embeddings: json.max_position_embeddings }, headDim);
}

/**
 * The keys beyond those that all decoders share: of a GGUF file, whose divisors of frequencies and wide heads are those of
 * layers that see all.
 *
 * @throws Error that names the file and the key.
 */
function ggufKeys(keys: GgufKeys, shared: Record<string, unknown>) {
  const { gguf, number, size, sizes } = keys;
  const kinds = keys.kinds(6);
  const kvHeads = sizes('attention.head_count_kv');
  const headDim = { full_attention: shared.head_dim, sliding_attention: size('attention.key_length_swa') };
  const readers = number('attention.shared_kv_layers') ?? 0;
  const inner = sizes('feed_forward_length');
  const full = kinds.indexOf('full_attention');
  const table = gguf.tensors.get('per_layer_token_embd.weight');
  if (!gguf.tensors.has('rope_freqs.weight')) throw new Error(`${gguf.path}: tensor 'rope_freqs.weight' is missing`);
  return {
    hidden_act: null,
    hidden_activation: 'gelu_pytorch_tanh',
    head_dim: headDim.sliding_attention,
    layer_types: kinds,
    per_layer_config: Object.fromEntries(
      kinds.map((kind, i) => [i, { head_dim: headDim[kind], num_key_value_heads: kvHeads[i] }]),
    ),
    intermediate_size: inner[0],
    num_kv_shared_layers: readers,
    use_double_wide_mlp: readers > 0 && inner.at(-1) !== inner[0],
    attention_k_eq_v: full >= 0 && !gguf.tensors.has(`blk.${full}.attn_v.weight`),
    sliding_window: size('attention.sliding_window'),
    hidden_size_per_layer_input: number('embedding_length_per_layer_input') ?? 0,
    vocab_size_per_layer_input: table?.shape[0],
    final_logit_softcapping: number('final_logit_softcapping'),
    ...((number('expert_count') ?? 0) > 0
      ? {
          enable_moe_block: true,
          num_experts: size('expert_count'),
          top_k_experts: size('expert_used_count'),
          moe_intermediate_size: size('expert_feed_forward_length'),
        }
      : {}),
    rope_scaling: null,
    rope_parameters: {
      full_attention: { ...(shared.rope_scaling as object), rope_theta: shared.rope_theta },
      sliding_attention: { rope_type: 'default', rope_theta: size('rope.freq_base_swa', 10_000) },
    },
  };
}

interface Mixture {
  hiddenSize: number;
  eps: number;
  experts: number;
  chosen: number;
  intermediateSize: number;
}

/** @throws Error that names the file and the key. */
function mixtureOf(file: string, json: Config): Pick<Mixture, 'experts' | 'chosen' | 'intermediateSize'> {
  const need = (key: 'num_experts' | 'top_k_experts' | 'moe_intermediate_size'): number => {
    const value = json[key];
    if (!value) throw new Error(`${file}: enable_moe_block needs ${key}`);
    return value;
  };
  const keys = { num_experts: need('num_experts'), num_experts_per_tok: need('top_k_experts') };
  return { ...mixtureSizes(file, keys, { experts: 0, chosen: 0 }), intermediateSize: need('moe_intermediate_size') };
}

/**
 * The MLP and the experts beside it, each with a norm behind. The norm before the MLP is not for the experts, which get the
 * residual stream through one of their own.
 */
function besideExperts(layer: Inside, mlp: Part, mixture: Mixture): Part[] {
  const { hiddenSize, eps, experts: count, chosen, intermediateSize } = mixture;
  const options = { size: hiddenSize, eps };
  const mixed = experts(layer, {
    hiddenSize,
    intermediateSize,
    experts: count,
    routing: { chosen, score: 'softmax', normalize: {} },
    activation: 'geluTanh',
    names: gemma4Names,
    router: scaledRouter(layer, { hiddenSize, experts: count, eps }),
    inputNorm: normOf(layer('pre_feedforward_layernorm_2', 'pre_ffw_norm_2'), options),
  });
  return [
    chain(
      norm(layer('pre_feedforward_layernorm', 'ffn_norm'), options),
      mlp,
      norm(layer('post_feedforward_layernorm_1', 'post_ffw_norm_1'), options),
    ),
    chain(mixed, norm(layer('post_feedforward_layernorm_2', 'post_ffw_norm_2'), options)),
  ];
}

export const gemma4 = architecture({
  types: ['gemma4_text'],
  gguf: { name: 'gemma4', experts: 'maybe', perLayer: true, config: ggufKeys },
  schema: gemma4Schema,
  decoder: (file, json) => gemma4Decoder(file, json, { window: 512, contextLength: 131_072, perLayerSize: 256 }),
});
