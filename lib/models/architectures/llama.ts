// Llama and what is built like it (SmolLM2, TinyLlama, …).
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import { architecture, decoderOf, denseSchema, only, preNorm, ropeOf, sizes } from '../architecture.js';

/** In GGUF files, which call Mixtral so too. */
export const ggufName = 'llama';

export const llama = architecture({
  types: [ggufName],
  gguf: { name: ggufName },
  schema: denseSchema,
  decoder(file, json) {
    const size = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, size.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 2048,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: size.hiddenSize },
          attention(layer, { ...size, rope, bias, outputBias: bias, ggufPairs: true }),
          gatedMlp(layer, { ...size, activation: 'silu', bias: json.mlp_bias ?? false }),
        ),
    });
  },
});
