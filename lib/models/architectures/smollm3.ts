// SmolLM 3: Llama without rotation in every fourth layer. Some checkpoints have windows there.
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

const schema = z.looseObject({
  ...denseSchema.shape,
  no_rope_layers: optional(z.array(z.number().int().min(0).max(1))), // 1 where there is a rope
  no_rope_layer_interval: optional(size),
  use_sliding_window: optional(z.boolean()),
  sliding_window: optional(size),
  layer_types: optional(z.array(z.string())),
});

export const smollm3 = architecture({
  types: ['smollm3'],
  gguf: { name: 'smollm3' },
  schema,
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { num_hidden_layers: count, no_rope_layers: given, no_rope_layer_interval: interval } = json;
    if (given && given.length !== count)
      throw new Error(
        `${file}: no_rope_layers must have ${count} entries, as num_hidden_layers says, got ${given.length}`,
      );
    const rotates = (i: number): boolean => (given ? given[i] === 1 : (i + 1) % (interval ?? 4) !== 0);
    const window = json.use_sliding_window ? json.sliding_window : undefined;
    const kinds = layerKinds(file, json, (i) => (window && !rotates(i) ? 'sliding_attention' : 'full_attention'));
    const windows = windowsOf(file, kinds, window);
    const rope = ropeOf(file, json, sized.headDim, 2e6);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    return decoderOf(json, {
      norm: rms,
      tied: true,
      contextLength: 32768,
      layer: (layer, i) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, {
            ...sized,
            rope: rotates(i) ? rope : undefined,
            window: windows[i],
            bias,
            outputBias: bias,
            ggufPairs: true,
          }),
          gatedMlp(layer, { ...sized, activation: 'silu', bias: json.mlp_bias ?? false }),
        ),
    });
  },
});
