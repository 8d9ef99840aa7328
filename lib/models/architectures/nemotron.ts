// Nemotron-4 and Minitron: LayerNorms whose weights are stored as differences from 1, an MLP without a gate whose activation
// is relu squared, rope in half of each head.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { activationNames, plainMlp } from '../../parts/mlp.js';
import { architecture, decoderOf, denseSchema, optional, preNorm, ropeOf, sizes } from '../architecture.js';

export const nemotron = architecture({
  types: ['nemotron'],
  gguf: {
    name: 'nemotron',
    config: ({ number }) => ({ norm_eps: number('attention.layer_norm_epsilon'), hidden_act: 'relu2' }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    hidden_act: optional(z.enum(activationNames)),
    norm_eps: optional(z.number().positive()),
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    const partial = { partial_rotary_factor: json.partial_rotary_factor ?? 0.5 };
    const rope = ropeOf(file, { ...json, ...partial }, sized.headDim);
    const bias = json.attention_bias ?? false;
    const kind = { eps: json.norm_eps ?? 1e-5, shift: 1, layer: { bias: true } };
    return decoderOf(json, {
      norm: kind,
      tied: false,
      contextLength: 4096,
      layer: (layer) =>
        preNorm(
          layer,
          { ...kind, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias }),
          plainMlp(layer, {
            ...sized,
            activation: json.hidden_act ?? 'relu2',
            bias: json.mlp_bias ?? false,
            names: { up: 'mlp.up_proj', down: 'mlp.down_proj' },
          }),
        ),
    });
  },
});
