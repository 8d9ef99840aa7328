// gpt-oss: attention with sinks and, in every other layer, a window; experts with biases and a clamped gate. Checkpoints may
// have the experts as MXFP4, which is unpacked as it is loaded.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { branch, chain } from '../../../parts/block.js';
import { experts, gptOssNames } from '../../../parts/experts.js';
import { norm } from '../../../parts/norm.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  layerKinds,
  only,
  optional,
  ropeOf,
  size,
  sizes,
  windowsOf,
} from '../../architecture.js';
import { ggufMixture, mixtureSchema, mixtureSizes } from '../../mixture.js';

const defaultRope = {
  rope_type: 'yarn',
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
};

export const gptOss = architecture({
  types: ['gpt_oss'],
  gguf: {
    name: 'gpt-oss',
    experts: true,
    config(keys, { rope_scaling: scaling }) {
      const mixture = ggufMixture(keys);
      return {
        ...mixture,
        intermediate_size: mixture.moe_intermediate_size,
        sliding_window: keys.number('attention.sliding_window'),
        // The converter leaves out that the bounds of YaRN's blend are not rounded.
        rope_scaling: scaling ? { ...scaling, truncate: false } : { rope_type: 'default' },
      };
    },
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mixtureSchema.shape,
    sliding_window: optional(size),
    layer_types: optional(z.array(z.string())),
    swiglu_limit: optional(z.literal(7)),
  }),
  decoder(file, json) {
    const sized = sizes(file, json, 64);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { experts: count, chosen } = mixtureSizes(file, json, { experts: 128, chosen: 4 });
    const given = json.rope_parameters ?? json.rope_scaling;
    const rope = ropeOf(file, given ? json : { ...json, rope_scaling: defaultRope }, sized.headDim, 150000);
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    const bias = json.attention_bias ?? true;
    const { sliding_window: window = 128 } = json;
    const kinds = layerKinds(file, json, (i) => (i % 2 === 0 ? 'sliding_attention' : 'full_attention'));
    const windows = windowsOf(file, kinds, window);
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 131072,
      layer: (layer, i) => {
        const normed = (path: string, gguf: string) => norm(layer(path, gguf), { ...rms, size: sized.hiddenSize });
        return chain(
          branch(
            normed('input_layernorm', 'attn_norm'),
            attention(layer, { ...sized, rope, bias, outputBias: bias, sinks: true, window: windows[i] }),
          ),
          branch(
            normed('post_attention_layernorm', 'post_attention_norm'),
            experts(layer, {
              ...sized,
              experts: count,
              routing: { chosen, score: 'softmax', normalize: {} },
              activation: { alpha: 1.702, limit: 7 },
              biases: true,
              names: gptOssNames,
            }),
          ),
        );
      },
    });
  },
});
