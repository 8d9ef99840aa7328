// Falcon-H1: every layer has attention and Mamba-2 side by side, on one norm, and multipliers wherever numbers pass.
import { z } from 'zod';
import { type Tensor, viewOf } from '../../../core/tensor.js';
import { attention } from '../../../parts/attention.js';
import { branch, chain, fed, parallel, scaled } from '../../../parts/block.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { norm } from '../../../parts/norm.js';
import type { Inside, Part } from '../../../parts/part.js';
import { mamba } from '../../../parts/recurrent/mamba.js';
import { architecture, decoderOf, denseSchema, only, optional, ropeOf, size, sizes } from '../../architecture.js';
import { feedForwardNames, ggufMamba, mambaSchema, mambaSizes } from '../../state-space.js';

const factor = optional(z.number());

export const falconH1 = architecture({
  types: ['falcon_h1'],
  gguf: {
    name: 'falcon-h1',
    // The multipliers are in the weights.
    config: (keys) => ({
      ...ggufMamba(keys),
      mamba_d_ssm: keys.size('ssm.inner_size'),
      mamba_rms_norm: keys.gguf.tensors.has('blk.0.ssm_norm.weight'),
      mamba_norm_before_gate: false,
      projectors_bias: keys.gguf.tensors.has('blk.0.ssm_out.bias'),
    }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mambaSchema.shape,
    mamba_d_ssm: size.nullish(),
    mamba_rms_norm: optional(z.boolean()),
    mamba_norm_before_gate: optional(z.boolean()),
    projectors_bias: optional(z.boolean()),
    embedding_multiplier: factor,
    lm_head_multiplier: factor,
    key_multiplier: factor,
    attention_in_multiplier: factor,
    attention_out_multiplier: factor,
    ssm_in_multiplier: factor,
    ssm_out_multiplier: factor,
    ssm_multipliers: optional(z.array(z.number()).length(5)),
    mlp_multipliers: optional(z.array(z.number()).length(2)),
  }),
  decoder(file, json) {
    // A null is as many key heads as heads, no key is 8; a null of mamba_d_ssm is mamba_expand · hidden_size.
    const sized = sizes(file, { ...json, num_key_value_heads: given(json.num_key_value_heads, 8) });
    const { hiddenSize, headDim } = sized;
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    const [gateScale, downScale] = json.mlp_multipliers ?? [1, 1];
    const scan = {
      ...mambaSizes(file, json, given(json.mamba_d_ssm, 1024) ?? undefined),
      outputBias: json.projectors_bias ?? false,
      outputTarget: false, // PEFT refuses it for this architecture
      multipliers: json.ssm_multipliers ?? undefined,
      norm: json.mamba_rms_norm
        ? { ...rms, grouped: true, beforeGate: json.mamba_norm_before_gate ?? true }
        : undefined,
    };
    const normed = (layer: Inside, path: string, gguf: string): Part =>
      norm(layer(path, gguf), { ...rms, size: hiddenSize });
    /** Its files name the norm without the usual ending. */
    const bare = (part: Part, layer: Inside): Part => {
      const { gguf: name } = layer('', 'ffn_norm');
      const pieces = [{ name, shape: [hiddenSize], part: (x: Tensor) => viewOf(x, x.shape, x.strides) }];
      return { ...part, weights: part.weights.map((weight) => ({ ...weight, gguf: { ...weight.gguf, pieces } })) };
    };
    const attending = (layer: Inside): Part =>
      // Keys times a factor are scores times that factor.
      attention(layer, {
        ...sized,
        rope,
        bias,
        outputBias: bias,
        scale: headDim ** -0.5 * (json.key_multiplier ?? 1),
      });
    const both = (layer: Inside): Part =>
      parallel(
        scaled(fed(mamba(layer, scan), json.ssm_in_multiplier ?? 1), json.ssm_out_multiplier ?? 1),
        scaled(fed(attending(layer), json.attention_in_multiplier ?? 1), json.attention_out_multiplier ?? 1),
      );
    const mlp = (layer: Inside): Part =>
      gatedMlp(layer, {
        ...sized,
        activation: 'silu',
        bias: json.mlp_bias ?? false,
        gateScale,
        names: feedForwardNames,
      });
    return decoderOf(json, {
      names: {
        embedding: 'model.embed_tokens',
        layers: 'model.layers',
        norm: 'model.final_layernorm',
        head: 'lm_head',
      },
      norm: rms,
      embedding: { scale: json.embedding_multiplier ?? 1 },
      head: { scale: json.lm_head_multiplier ?? 1 },
      tied: false,
      contextLength: 8192,
      layer: (layer) =>
        chain(
          branch(normed(layer, 'input_layernorm', 'attn_norm'), both(layer)),
          branch(bare(normed(layer, 'pre_ff_layernorm', 'ffn_norm'), layer), scaled(mlp(layer), downScale ?? 1)),
        ),
    });
  },
});

/** `usual` where there is no key. */
const given = <T>(value: T | null | undefined, usual: T): T | null => (value === undefined ? usual : value);
