// Qwen3, dense: RMSNorm of each head's queries and keys before rope. Some checkpoints have windows in their last layers.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { branch, chain } from '../../parts/block.js';
import { gatedMlp } from '../../parts/mlp.js';
import { norm } from '../../parts/norm.js';
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
} from '../architecture.js';

const schema = z.looseObject({
  ...denseSchema.shape,
  use_sliding_window: optional(z.boolean()),
  sliding_window: optional(size),
  max_window_layers: optional(z.number().int().min(0)),
  layer_types: optional(z.array(z.string())),
});

export const qwen3 = architecture({
  types: ['qwen3'],
  gguf: { name: 'qwen3' },
  schema,
  decoder(file, json) {
    const sized = sizes(file, json, 128);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, sized.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const window = json.use_sliding_window ? (json.sliding_window ?? undefined) : undefined;
    const firstWindowed = window === undefined ? json.num_hidden_layers : (json.max_window_layers ?? 28);
    const kinds = layerKinds(file, json, (i) => (i >= firstWindowed ? 'sliding_attention' : 'full_attention'));
    return decoderOf(json, {
      modelType: 'qwen3',
      norm: rms,
      tied: false,
      contextLength: 32768,
      layer: (layer, i) =>
        chain(
          branch(
            norm(layer('input_layernorm', 'attn_norm'), { ...rms, size: sized.hiddenSize }),
            attention(layer, {
              ...sized,
              rope,
              bias,
              outputBias: bias,
              headNorm: rms,
              window: kinds[i] === 'sliding_attention' ? window : undefined,
            }),
          ),
          branch(
            norm(layer('post_attention_layernorm', 'ffn_norm'), { ...rms, size: sized.hiddenSize }),
            gatedMlp(layer, { ...sized, activation: 'silu' }),
          ),
        ),
    });
  },
});
