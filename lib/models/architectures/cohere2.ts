// Cohere 2 (Command R7B, Command A): as Cohere, and most layers have a window; the others have no rope.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { branch, parallel } from '../../parts/block.js';
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
  layer_norm_eps: optional(z.number().positive()),
  logit_scale: optional(z.number().positive()),
  sliding_window: optional(size),
  sliding_window_pattern: optional(size),
  layer_types: optional(z.array(z.string())),
  // Keys of old configs, of which the models have these values.
  rotary_pct: optional(z.literal(1)),
  use_parallel_block: optional(z.literal(true)),
  use_gated_activation: optional(z.literal(true)),
  use_qk_norm: optional(z.literal(false)),
  position_embedding_type: optional(z.string()),
});

export const cohere2 = architecture({
  types: ['cohere2'],
  gguf: {
    name: 'cohere2',
    config: ({ number }) => ({
      layer_norm_eps: number('attention.layer_norm_epsilon'),
      logit_scale: number('logit_scale'),
      sliding_window: number('attention.sliding_window'),
    }),
  },
  schema,
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    only(file, 'position_embedding_type', json.position_embedding_type, 'rope_gptj');
    const rope = { ...ropeOf(file, json, sized.headDim), interleaved: true };
    const kind = { eps: json.layer_norm_eps ?? 1e-5, layer: { bias: false } };
    const bias = json.attention_bias ?? false;
    const period = json.sliding_window_pattern ?? 4;
    const kinds = layerKinds(file, json, (i) => ((i + 1) % period === 0 ? 'full_attention' : 'sliding_attention'));
    const { sliding_window: size = 4096 } = json;
    return decoderOf(json, {
      norm: kind,
      head: { scale: json.logit_scale ?? 0.0625 },
      tied: true,
      contextLength: 8192,
      layer: (layer, i) => {
        const window = kinds[i] === 'sliding_attention' ? (size ?? undefined) : undefined;
        return branch(
          norm(layer('input_layernorm', 'attn_norm'), { ...kind, size: sized.hiddenSize }),
          parallel(
            attention(layer, {
              ...sized,
              window,
              rope: window === undefined ? undefined : rope,
              bias,
              outputBias: bias,
            }),
            gatedMlp(layer, { ...sized, activation: 'silu' }),
          ),
        );
      },
    });
  },
});
