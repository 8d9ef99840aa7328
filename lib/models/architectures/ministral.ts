// Ministral (8B of 2024): Llama with windows in some of its layers.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  layerKinds,
  only,
  optional,
  preNorm,
  ropeOf,
  size,
  sizes,
  windowsOf,
} from '../architecture.js';

export const ministral = architecture({
  types: ['ministral'],
  schema: z.looseObject({
    ...denseSchema.shape,
    sliding_window: optional(size),
    layer_types: optional(z.array(z.string())),
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const { sliding_window: window = 4096 } = json;
    const kinds = layerKinds(file, json, () => (window === null ? 'full_attention' : 'sliding_attention'));
    const windows = windowsOf(file, kinds, window);
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 131072,
      layer: (layer, i) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, window: windows[i] }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
