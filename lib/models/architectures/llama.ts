// Llama and what is built like it (SmolLM2, TinyLlama, …).
import { attention } from '../../parts/attention.js';
import { branch, chain } from '../../parts/block.js';
import { gatedMlp } from '../../parts/mlp.js';
import { norm } from '../../parts/norm.js';
import { architecture, decoderOf, denseSchema, only, ropeOf, sizes } from '../architecture.js';

export const llama = architecture({
  types: ['llama'],
  gguf: { name: 'llama' },
  schema: denseSchema,
  decoder(file, json) {
    const size = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, size.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    return decoderOf(json, {
      modelType: 'llama',
      norm: rms,
      tied: false,
      contextLength: 2048,
      layer: (layer) =>
        chain(
          branch(
            norm(layer('input_layernorm', 'attn_norm'), { ...rms, size: size.hiddenSize }),
            attention(layer, { ...size, rope, bias, outputBias: bias, ggufPairs: true }),
          ),
          branch(
            norm(layer('post_attention_layernorm', 'ffn_norm'), { ...rms, size: size.hiddenSize }),
            gatedMlp(layer, { ...size, activation: 'silu', bias: json.mlp_bias ?? false }),
          ),
        ),
    });
  },
});
