// GLM-4 (9B of 2024) and GLM-Edge: rope over pairs of neighbours in a part of each head, one projection for gate and up,
// biases of q, k and v.
import { attention } from '../../../parts/attention.js';
import { gatedMlp } from '../../../parts/mlp.js';
import type { Inside, Part } from '../../../parts/part.js';
import {
  architecture,
  type DenseConfig,
  decoderOf,
  denseSchema,
  only,
  preNorm,
  ropeOf,
  sizes,
} from '../../architecture.js';

export const glm = architecture({
  types: ['glm'],
  gguf: { name: 'chatglm' },
  schema: denseSchema,
  decoder(file, json) {
    const { outline, rms, mixer, mlp } = glmParts(file, json);
    return decoderOf(json, { ...outline, layer: (layer) => preNorm(layer, rms, mixer(layer), mlp(layer)) });
  },
});

/** What the models of the family share. */
export function glmParts(file: string, json: DenseConfig) {
  const sized = sizes(file, { ...json, num_key_value_heads: json.num_key_value_heads ?? 2 }, 128);
  only(file, 'hidden_act', json.hidden_act, 'silu');
  const partial = { partial_rotary_factor: json.partial_rotary_factor ?? 0.5 };
  const rope = { ...ropeOf(file, { ...json, ...partial }, sized.headDim), interleaved: true };
  const rms = { eps: json.rms_norm_eps ?? 1.5625e-7, size: sized.hiddenSize };
  const bias = json.attention_bias ?? true;
  return {
    outline: { norm: rms, tied: false, contextLength: 131072 },
    rms,
    mixer: (layer: Inside): Part => attention(layer, { ...sized, rope, bias }),
    mlp: (layer: Inside): Part => gatedMlp(layer, { ...sized, activation: 'silu', fused: true }),
  };
}
