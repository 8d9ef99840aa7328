// OLMo 3: norms behind each branch alone, and over all heads of q and k at once; windows in three of four layers, whose
// rope is not scaled.
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
  postNorm,
  ropeOf,
  ropesSchema,
  size,
  sizes,
  windowsOf,
} from '../architecture.js';
import { olmo2 } from './olmo2.js';

const schema = z.looseObject({
  ...denseSchema.shape,
  sliding_window: optional(size),
  layer_types: optional(z.array(z.string())),
  rope_parameters: ropesSchema,
});

export const olmo3 = architecture({
  types: ['olmo3'],
  gguf: {
    // Its files have the name of the family before it, which has no windows.
    name: olmo2.gguf[0]!.name,
    is: ({ number }) => number('attention.sliding_window') !== undefined,
    config: ({ number, kinds }, { rope_theta, rope_scaling }) => ({
      sliding_window: number('attention.sliding_window'),
      layer_types: kinds(4),
      rope_scaling: null,
      rope_parameters: {
        full_attention: { rope_theta, ...(rope_scaling as object | null) },
        sliding_attention: { rope_theta: number('rope.freq_base_swa') ?? rope_theta },
      },
    }),
  },
  schema,
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { full_attention: full, sliding_attention: sliding } = json.rope_parameters ?? {};
    const { rope_theta = 500000, rope_scaling, max_position_embeddings } = json;
    const shared = { rope_theta, max_position_embeddings };
    const ropes = {
      full_attention: ropeOf(file, { ...shared, rope_parameters: full, rope_scaling }, sized.headDim),
      sliding_attention: ropeOf(file, { ...shared, rope_parameters: sliding }, sized.headDim),
    };
    const kinds = layerKinds(file, json, (i) => ((i + 1) % 4 === 0 ? 'full_attention' : 'sliding_attention'));
    const { sliding_window: window = 4096 } = json;
    const windows = windowsOf(file, kinds, window);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 2048,
      layer: (layer, i) =>
        postNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, {
            ...sized,
            rope: ropes[kinds[i]!],
            window: windows[i],
            bias,
            outputBias: bias,
            headNorm: { ...rms, over: 'all' },
          }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
