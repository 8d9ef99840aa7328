// Gemma 2: norms before and after both branches, windows in every other layer, soft caps of scores and logits, weights of
// norms stored as differences from 1, an embedding that is multiplied by √hidden.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { gatedMlp } from '../../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  type GgufKeys,
  layerKinds,
  only,
  optional,
  ropeOf,
  sandwich,
  size,
  sizes,
  windowsOf,
} from '../../architecture.js';

const cap = optional(z.number().positive());

const schema = z.looseObject({
  ...denseSchema.shape,
  hidden_activation: optional(z.string()),
  query_pre_attn_scalar: optional(z.number().positive()),
  sliding_window: optional(size),
  layer_types: optional(z.array(z.string())),
  attn_logit_softcapping: cap,
  final_logit_softcapping: cap,
  use_bidirectional_attention: optional(z.literal(false)),
});

/**
 * What a GGUF file does not say and llama.cpp takes for it: the activation, and the scale of scores, which is that of
 * hidden / heads in the 27B model alone.
 */
export function ggufUnsaid({ size }: GgufKeys, blocksOf27B: number) {
  const large = size('block_count') === blocksOf27B;
  return {
    hidden_act: null,
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: large
      ? size('embedding_length') / size('attention.head_count')
      : size('attention.key_length', 256),
  };
}

export const gemma2 = architecture({
  types: ['gemma2'],
  gguf: {
    name: 'gemma2',
    config: (keys) => ({
      ...ggufUnsaid(keys, 46),
      sliding_window: keys.number('attention.sliding_window'),
      layer_types: keys.kinds(2),
      attn_logit_softcapping: keys.number('attn_logit_softcapping'),
      final_logit_softcapping: keys.number('final_logit_softcapping'),
    }),
  },
  schema,
  decoder(file, json) {
    const sized = sizes(file, json, 256);
    only(file, 'hidden_activation', json.hidden_activation ?? json.hidden_act, 'gelu_pytorch_tanh');
    const rope = ropeOf(file, json, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-6, shift: 1 };
    const bias = json.attention_bias ?? false;
    const kinds = layerKinds(file, json, (i) => (i % 2 === 0 ? 'sliding_attention' : 'full_attention'));
    const { sliding_window: window = 4096 } = json;
    const windows = windowsOf(file, kinds, window);
    const { attn_logit_softcapping: softcap = 50, final_logit_softcapping: finalSoftcap = 30 } = json;
    return decoderOf(json, {
      norm: rms,
      embedding: { scale: Math.sqrt(sized.hiddenSize) },
      head: { softcap: finalSoftcap ?? undefined },
      tied: true,
      contextLength: 8192,
      layer: (layer, i) =>
        sandwich(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, {
            ...sized,
            scale: (json.query_pre_attn_scalar ?? 256) ** -0.5,
            window: windows[i],
            softcap: softcap ?? undefined,
            rope,
            bias,
            outputBias: bias,
          }),
          gatedMlp(layer, { ...sized, activation: 'geluTanh' }),
        ),
    });
  },
});
