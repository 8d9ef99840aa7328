// LFM2 (Liquid AI): most layers are gated short convolutions, the others attention with norms of queries and keys.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { branch, chain } from '../../../parts/block.js';
import { linearLayer } from '../../../parts/linear.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { norm } from '../../../parts/norm.js';
import type { Inside, Part } from '../../../parts/part.js';
import { shortConv } from '../../../parts/recurrent/conv.js';
import {
  architecture,
  type DenseConfig,
  decoderOf,
  denseSchema,
  type GgufKeys,
  layerKinds,
  optional,
  ropeOf,
  size,
  sizes,
} from '../../architecture.js';

/** The keys of models with short convolutions. */
export const shortConvSchema = z.looseObject({
  norm_eps: optional(z.number().positive()),
  conv_bias: optional(z.boolean()),
  conv_L_cache: optional(size),
  full_attn_idxs: optional(z.array(z.number().int().min(0))),
  layer_types: optional(z.array(z.string())),
  tie_embedding: optional(z.boolean()),
});

/** Those keys from the metadata of a GGUF file; its tensors tell which layers are convolutions. */
export const ggufShortConv = ({ gguf, number, size }: GgufKeys): Record<string, unknown> => ({
  norm_eps: number('attention.layer_norm_rms_epsilon'),
  conv_L_cache: size('shortconv.l_cache'),
  layer_types: Array.from({ length: size('block_count') }, (_, i) =>
    gguf.tensors.has(`blk.${i}.shortconv.conv.weight`) ? 'conv' : 'full_attention',
  ),
});

export const shortConvNames = { gate: 'feed_forward.w1', up: 'feed_forward.w3', down: 'feed_forward.w2' };

export const lfm2 = architecture({
  types: ['lfm2'],
  gguf: { name: 'lfm2', config: (keys) => ({ ...ggufShortConv(keys), block_auto_adjust_ff_dim: false }) },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...shortConvSchema.shape,
    intermediate_size: optional(size),
    block_ff_dim: optional(size),
    block_auto_adjust_ff_dim: optional(z.boolean()),
    block_ffn_dim_multiplier: optional(z.number().positive()),
    block_multiple_of: optional(size),
  }),
  decoder(file, json) {
    const given = json.block_ff_dim ?? json.intermediate_size ?? 12288;
    const multiple = json.block_multiple_of ?? 256;
    const scaled = Math.trunc((json.block_ffn_dim_multiplier ?? 1) * Math.trunc((2 * given) / 3));
    const adjusted = multiple * Math.ceil(scaled / multiple);
    const intermediateSize = (json.block_auto_adjust_ff_dim ?? true) ? adjusted : given;
    return shortConvDecoder(file, { ...json, intermediate_size: intermediateSize }, (layer) =>
      gatedMlp(layer, { hiddenSize: json.hidden_size, intermediateSize, activation: 'silu', names: shortConvNames }),
    );
  },
});

/**
 * A decoder of short convolutions and attention.
 *
 * @throws Error that names the file and the field.
 */
export function shortConvDecoder(
  file: string,
  json: DenseConfig & z.output<typeof shortConvSchema>,
  mlp: (layer: Inside, index: number) => Part,
): ReturnType<typeof decoderOf> {
  const sized = sizes(file, { num_key_value_heads: 8, ...json });
  const { hiddenSize, heads, headDim } = sized;
  const rope = ropeOf(file, json, headDim, 1_000_000);
  const rms = { eps: json.norm_eps ?? 1e-5 };
  const attending = json.full_attn_idxs;
  const kinds = layerKinds(file, json, (i) => ((attending?.includes(i) ?? true) ? 'full_attention' : 'conv'), [
    'full_attention',
    'conv',
  ]);
  const headNorm = { ...rms, names: { q: 'q_layernorm', k: 'k_layernorm' } };
  const mixer = (layer: Inside, i: number): Part =>
    kinds[i] === 'conv'
      ? shortConv(layer, { hiddenSize, width: json.conv_L_cache ?? 3, bias: json.conv_bias ?? false })
      : attention(layer, {
          ...sized,
          rope,
          headNorm,
          output: linearLayer(layer('self_attn.out_proj', 'attn_output'), { out: hiddenSize, in: heads * headDim }),
        });
  const tied = json.tie_embedding ?? json.tie_word_embeddings;
  return decoderOf(
    { ...json, tie_word_embeddings: tied },
    {
      names: {
        embedding: 'model.embed_tokens',
        layers: 'model.layers',
        norm: 'model.embedding_norm',
        ggufNorm: 'token_embd_norm',
        head: 'lm_head',
      },
      norm: rms,
      tied: true,
      contextLength: 128000,
      layer: (layer, i) =>
        chain(
          branch(norm(layer('operator_norm', 'attn_norm'), { ...rms, size: hiddenSize }), mixer(layer, i)),
          branch(norm(layer('ffn_norm', 'ffn_norm'), { ...rms, size: hiddenSize }), mlp(layer, i)),
        ),
    },
  );
}
