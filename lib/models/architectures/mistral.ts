// Mistral (7B, Nemo, Small): Llama with a window, where config.json gives one.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import { architecture, decoderOf, denseSchema, only, optional, preNorm, ropeOf, size, sizes } from '../architecture.js';

export const mistral = architecture({
  types: ['mistral'],
  // Files of these models say `llama`, and are read as such.
  schema: z.looseObject({ ...denseSchema.shape, sliding_window: optional(size) }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const { sliding_window: window = 4096 } = json;
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 131072,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, window: window ?? undefined }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
