// Hunyuan, dense: Llama with RMSNorm of each head's queries and keys behind their rotation, whose base an alpha raises.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  only,
  optional,
  preNorm,
  ropeOf,
  ropeSchema,
  sizes,
} from '../architecture.js';

const raised = optional(z.looseObject({ ...ropeSchema.shape, alpha: optional(z.number().positive()) }));

export const hunyuan = architecture({
  types: ['hunyuan_v1_dense'],
  // The base in its files is raised already.
  gguf: { name: 'hunyuan-dense' },
  schema: z.looseObject({ ...denseSchema.shape, rope_scaling: raised, rope_parameters: raised }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const settings = json.rope_parameters ?? json.rope_scaling;
    const theta = settings?.rope_theta ?? json.rope_theta ?? 10000;
    const { headDim } = sized;
    const rope =
      settings?.alpha && (settings.rope_type ?? settings.type) === 'dynamic'
        ? ropeOf(file, { rope_theta: theta * settings.alpha ** (headDim / (headDim - 2)) }, headDim)
        : ropeOf(file, json, headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    const headNorm = { ...rms, rotated: true, names: { q: 'query_layernorm', k: 'key_layernorm' } };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 2048,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias, headNorm }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
