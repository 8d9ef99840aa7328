// Qwen2 and Qwen2.5, dense: biases of q, k and v, which no key of config.json mentions. Some checkpoints have windows in
// their last layers.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  lateWindowSchema,
  lateWindows,
  only,
  preNorm,
  ropeOf,
  sizes,
} from '../architecture.js';

export const qwen2 = architecture({
  types: ['qwen2'],
  gguf: { name: 'qwen2' },
  schema: z.looseObject({ ...denseSchema.shape, ...lateWindowSchema.shape }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const windows = lateWindows(file, json);
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 32768,
      layer: (layer, i) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias: true, window: windows[i] }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
