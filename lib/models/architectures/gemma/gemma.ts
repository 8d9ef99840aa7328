// Gemma: weights of norms stored as differences from 1, an embedding that is multiplied by √hidden, GELU in its MLP.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { architecture, decoderOf, denseSchema, only, optional, preNorm, ropeOf, sizes } from '../../architecture.js';

export const gemma = architecture({
  types: ['gemma'],
  gguf: { name: 'gemma', config: () => ({ hidden_act: 'gelu_pytorch_tanh' }) },
  schema: z.looseObject({
    ...denseSchema.shape,
    hidden_activation: optional(z.string()),
    use_bidirectional_attention: optional(z.literal(false)),
  }),
  decoder(file, json) {
    const sized = sizes(file, json, 256);
    const bias = json.attention_bias ?? false;
    // Its first configs say `gelu` and mean this one: transformers has no other for them, and no use for the newer key.
    const activation = json.hidden_act === 'gelu' ? 'gelu_pytorch_tanh' : json.hidden_act;
    only(file, 'hidden_act', activation, 'gelu_pytorch_tanh');
    const rope = ropeOf(file, json, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-6, shift: 1 };
    return decoderOf(json, {
      norm: rms,
      embedding: { scale: Math.sqrt(sized.hiddenSize) },
      tied: true,
      contextLength: 8192,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias }),
          gatedMlp(layer, { ...sized, activation: 'geluTanh' }),
        ),
    });
  },
});
