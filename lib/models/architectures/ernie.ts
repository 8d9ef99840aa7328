// ERNIE 4.5, dense: Llama whose rope turns channels that lie side by side.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import { architecture, decoderOf, denseSchema, only, optional, preNorm, ropeOf, sizes } from '../architecture.js';

export const ernie = architecture({
  types: ['ernie4_5'],
  gguf: { name: 'ernie4_5', config: (_, { attention_bias }) => ({ use_bias: attention_bias }) },
  schema: z.looseObject({ ...denseSchema.shape, use_bias: optional(z.boolean()) }),
  decoder(file, json) {
    const sized = sizes(file, json, json.head_dim === null ? undefined : 128);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = { ...ropeOf(file, json, sized.headDim, 500000), interleaved: true };
    const bias = json.use_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    return decoderOf(json, {
      norm: rms,
      tied: true,
      contextLength: 131072,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias }),
          gatedMlp(layer, { ...sized, activation: 'silu', bias }),
        ),
    });
  },
});
