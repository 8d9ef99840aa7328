// What architectures with DeltaNet layers share: the keys of their configs, which layers are of that kind, and a decoder of
// such layers and of attention with an output gate. Weights of norms are stored as differences from 1, but for DeltaNet's own.
import { z } from 'zod';
import { attention } from '../parts/attention.js';
import type { Inside, Part } from '../parts/part.js';
import { gated } from '../parts/projections.js';
import { deltaInputsByHead, deltaNet } from '../parts/recurrent/delta.js';
import {
  type DenseConfig,
  decoderOf,
  draftBlocks,
  type GgufKeys,
  layerKinds,
  only,
  optional,
  preNorm,
  ropeOf,
  size,
  sizes,
} from './architecture.js';
import { ggufMixture, mixtureSchema } from './mixture.js';

/** The keys of DeltaNet layers, and which layers are of that kind. */
export const deltaSchema = z.looseObject({
  linear_num_key_heads: optional(size),
  linear_num_value_heads: optional(size),
  linear_key_head_dim: optional(size),
  linear_value_head_dim: optional(size),
  linear_conv_kernel_dim: optional(size),
  layer_types: optional(z.array(z.string())),
  full_attention_interval: optional(size),
});

type DeltaKeys = z.output<typeof deltaSchema> & { hidden_size: number; rms_norm_eps?: number | null | undefined };

/** @throws Error that names the file and the field. */
function deltaSizes(file: string, json: DeltaKeys) {
  const keyHeads = json.linear_num_key_heads ?? 16;
  const heads = json.linear_num_value_heads ?? 32;
  if (heads % keyHeads !== 0) {
    throw new Error(
      `${file}: linear_num_value_heads (${heads}) must be a multiple of linear_num_key_heads (${keyHeads})`,
    );
  }
  return {
    hiddenSize: json.hidden_size,
    keyHeads,
    heads,
    keyDim: json.linear_key_head_dim ?? 128,
    valueDim: json.linear_value_head_dim ?? 128,
    width: json.linear_conv_kernel_dim ?? 4,
    eps: json.rms_norm_eps ?? 1e-6,
  };
}

/** @throws Error that names the file, for a list of another length or with a kind that is not known. */
const deltaKinds = (file: string, json: z.output<typeof deltaSchema> & { num_hidden_layers: number }) =>
  layerKinds(
    file,
    json,
    (i) => ((i + 1) % (json.full_attention_interval ?? 4) === 0 ? 'full_attention' : 'linear_attention'),
    ['full_attention', 'linear_attention'],
  );

/** Those keys from the metadata of a GGUF file; its tensors tell which layers are of that kind. */
export function ggufDelta({ gguf, number, size }: GgufKeys): Record<string, unknown> {
  const heads = size('ssm.time_step_rank');
  const layers = size('block_count') - (number('nextn_predict_layers') ?? 0);
  return {
    num_hidden_layers: layers,
    layer_types: Array.from({ length: layers }, (_, i) =>
      gguf.tensors.has(`blk.${i}.ssm_a`) ? 'linear_attention' : 'full_attention',
    ),
    linear_num_key_heads: size('ssm.group_count'),
    linear_num_value_heads: heads,
    linear_key_head_dim: size('ssm.state_size'),
    linear_value_head_dim: size('ssm.inner_size') / heads,
    linear_conv_kernel_dim: size('ssm.conv_kernel'),
  };
}

/** The keys of such models with experts, and with one that every token has. */
export const deltaMixtureSchema = z.looseObject({
  ...mixtureSchema.shape,
  ...deltaSchema.shape,
  shared_expert_intermediate_size: optional(size),
});

/** Those keys from the metadata of a GGUF file. */
export const ggufDeltaMixture = (keys: GgufKeys): Record<string, unknown> => ({
  ...ggufMixture(keys),
  ...ggufDelta(keys),
  shared_expert_intermediate_size: keys.size('expert_shared_feed_forward_length'),
});

/** For each value head of a checkpoint, the one of a GGUF file: the first of all key heads, then the second, and so on. */
function tiledHeads(keyHeads: number, heads: number): Int32Array | undefined {
  const share = heads / keyHeads;
  if (share === 1) return undefined;
  return Int32Array.from({ length: heads }, (_, head) => (head % share) * keyHeads + Math.floor(head / share));
}

/**
 * A decoder of DeltaNet and attention. `byHead`: DeltaNet's projections are two, fused by key head; otherwise they are four,
 * and GGUF files have value heads in another order.
 *
 * @throws Error that names the file and the field.
 */
export function deltaDecoder(
  file: string,
  json: DenseConfig & z.output<typeof deltaSchema>,
  { byHead, mlp }: { byHead: boolean; mlp(layer: Inside, index: number): Part },
) {
  const sized = sizes(file, json, 256);
  only(file, 'hidden_act', json.hidden_act, 'silu');
  const rope = ropeOf(file, { ...json, partial_rotary_factor: json.partial_rotary_factor ?? 0.25 }, sized.headDim);
  const rms = { eps: json.rms_norm_eps ?? 1e-6, shift: 1 };
  const delta = deltaSizes(file, json);
  const bias = json.attention_bias ?? false;
  const kinds = deltaKinds(file, json);
  const recurrent = (layer: Inside): Part =>
    byHead
      ? deltaNet(layer, { ...delta, inputs: deltaInputsByHead(layer, delta) })
      : deltaNet(layer, { ...delta, ggufHeads: tiledHeads(delta.keyHeads, delta.heads) });
  const attending = (layer: Inside): Part =>
    attention(layer, {
      ...sized,
      rope,
      headNorm: rms,
      projections: gated(layer, { ...sized, bias }),
      outputBias: bias,
    });
  return decoderOf(json, {
    norm: rms,
    tied: false,
    contextLength: 32768,
    unused: draftBlocks(json.num_hidden_layers),
    layer: (layer, i) =>
      preNorm(
        layer,
        { ...rms, size: sized.hiddenSize },
        kinds[i] === 'linear_attention' ? recurrent(layer) : attending(layer),
        mlp(layer, i),
        'post_attention_norm',
      ),
  });
}
