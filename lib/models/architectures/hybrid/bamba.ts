// Bamba: layers of Mamba-2, and some of attention that rotates half of each head.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { branch, chain } from '../../../parts/block.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { norm } from '../../../parts/norm.js';
import type { Inside, Part } from '../../../parts/part.js';
import { mamba } from '../../../parts/recurrent/mamba.js';
import { architecture, decoderOf, denseSchema, only, optional, ropeOf, sizes } from '../../architecture.js';
import { feedForwardNames, mambaSchema, mambaSizes } from '../../state-space.js';

export const bamba = architecture({
  types: ['bamba'],
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mambaSchema.shape,
    attn_layer_indices: optional(z.array(z.number().int().min(0))),
  }),
  decoder(file, json) {
    const given = json.num_key_value_heads === undefined ? 8 : json.num_key_value_heads;
    const sized = sizes(file, { ...json, num_key_value_heads: given });
    const { hiddenSize } = sized;
    only(file, 'hidden_act', json.hidden_act, 'silu');
    // Half of each head, whatever the config says.
    const parameters = json.rope_parameters && { ...json.rope_parameters, partial_rotary_factor: 0.5 };
    const rope = ropeOf(file, { ...json, rope_parameters: parameters, partial_rotary_factor: 0.5 }, sized.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    const scan = { ...mambaSizes(file, json), norm: { ...rms, grouped: false } };
    const attends = new Set(json.attn_layer_indices ?? []);
    const normed = (layer: Inside, path: string, gguf: string): Part =>
      norm(layer(path, gguf), { ...rms, size: hiddenSize });
    return decoderOf(json, {
      names: {
        embedding: 'model.embed_tokens',
        layers: 'model.layers',
        norm: 'model.final_layernorm',
        head: 'lm_head',
      },
      norm: rms,
      tied: false,
      contextLength: 262144,
      layer: (layer, i) =>
        chain(
          branch(
            normed(layer, 'input_layernorm', 'attn_norm'),
            attends.has(i) ? attention(layer, { ...sized, rope, bias, outputBias: bias }) : mamba(layer, scan),
          ),
          branch(
            normed(layer, 'pre_ff_layernorm', 'ffn_norm'),
            gatedMlp(layer, { ...sized, activation: 'silu', bias: json.mlp_bias ?? false, names: feedForwardNames }),
          ),
        ),
    });
  },
});
