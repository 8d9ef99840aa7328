// OLMo 2: norms behind each branch alone, and over all heads of q and k at once.
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import { architecture, decoderOf, denseSchema, only, postNorm, ropeOf, sizes } from '../architecture.js';

export const olmo2 = architecture({
  types: ['olmo2'],
  gguf: { name: 'olmo2' },
  schema: denseSchema,
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, sized.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 2048,
      layer: (layer) =>
        postNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias, headNorm: { ...rms, over: 'all' } }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
