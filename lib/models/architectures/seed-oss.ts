// Seed-OSS: Llama with biases of q, k and v, and a head size of its own.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import { architecture, decoderOf, denseSchema, only, optional, preNorm, ropeOf, sizes } from '../architecture.js';

export const seedOss = architecture({
  types: ['seed_oss'],
  gguf: {
    name: 'seed_oss',
    config: ({ gguf }) => ({ attention_out_bias: gguf.tensors.has('blk.0.attn_output.bias') }),
  },
  schema: z.looseObject({ ...denseSchema.shape, attention_out_bias: optional(z.boolean()) }),
  decoder(file, json) {
    const sized = sizes(file, json, json.head_dim === null ? undefined : 128);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const { attention_bias: bias, attention_out_bias: outputBias, mlp_bias: mlpBias } = json;
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 524288,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias: bias ?? true, outputBias: outputBias ?? false }),
          gatedMlp(layer, { ...sized, activation: 'silu', bias: mlpBias ?? false }),
          'post_attention_norm',
        ),
    });
  },
});
