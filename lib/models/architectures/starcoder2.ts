// StarCoder2: LayerNorms, an MLP without a gate, biases everywhere.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { activationNames, plainMlp } from '../../parts/mlp.js';
import { architecture, decoderOf, denseSchema, only, optional, preNorm, ropeOf, size, sizes } from '../architecture.js';

export const starcoder2 = architecture({
  types: ['starcoder2'],
  gguf: {
    name: 'starcoder2',
    config: ({ number }) => ({
      norm_epsilon: number('attention.layer_norm_epsilon'),
      hidden_act: 'gelu_pytorch_tanh',
      use_bias: true,
    }),
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    hidden_act: optional(z.enum(activationNames)),
    norm_epsilon: optional(z.number().positive()),
    norm_type: optional(z.string()),
    mlp_type: optional(z.string()),
    sliding_window: optional(size),
    use_bias: optional(z.boolean()),
  }),
  decoder(file, json) {
    const sized = sizes(file, { ...json, num_key_value_heads: json.num_key_value_heads ?? 2 });
    only(file, 'norm_type', json.norm_type, 'layer_norm');
    only(file, 'mlp_type', json.mlp_type, 'default');
    const rope = ropeOf(file, json, sized.headDim);
    const bias = json.use_bias ?? true;
    const kind = { eps: json.norm_epsilon ?? 1e-5, layer: { bias: true } };
    return decoderOf(json, {
      norm: kind,
      tied: true,
      contextLength: 4096,
      layer: (layer) =>
        preNorm(
          layer,
          { ...kind, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias, window: json.sliding_window ?? undefined }),
          plainMlp(layer, {
            ...sized,
            activation: json.hidden_act ?? 'gelu_pytorch_tanh',
            bias,
            names: { up: 'mlp.c_fc', down: 'mlp.c_proj' },
          }),
        ),
    });
  },
});
