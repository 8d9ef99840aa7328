// Hunyuan, dense: Llama with RMSNorm of each head's queries and keys behind their rotation, whose base an alpha raises.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import type { Rope } from '../../parts/rope.js';
import {
  architecture,
  type DenseConfig,
  decoderOf,
  denseSchema,
  only,
  optional,
  preNorm,
  ropeOf,
  ropeSchema,
  sizes,
} from '../architecture.js';

type Raised = z.output<typeof raised>;

const raised = optional(z.looseObject({ ...ropeSchema.shape, alpha: optional(z.number().positive()) }));

export const raisedSchema = z.looseObject({ rope_scaling: raised, rope_parameters: raised });

/** Rotary embeddings whose base an alpha raises. @throws Error that names the file and the field. */
export function raisedRope(
  file: string,
  json: Pick<DenseConfig, 'rope_theta'> & { rope_scaling?: Raised; rope_parameters?: Raised },
  headDim: number,
): Rope {
  const settings = json.rope_parameters ?? json.rope_scaling;
  const theta = settings?.rope_theta ?? json.rope_theta ?? 10000;
  return settings?.alpha && (settings.rope_type ?? settings.type) === 'dynamic'
    ? ropeOf(file, { rope_theta: theta * settings.alpha ** (headDim / (headDim - 2)) }, headDim)
    : ropeOf(file, json, headDim);
}

export const hunyuan = architecture({
  types: ['hunyuan_v1_dense'],
  // The base in its files is raised already.
  gguf: { name: 'hunyuan-dense' },
  schema: z.looseObject({ ...denseSchema.shape, ...raisedSchema.shape }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = raisedRope(file, json, sized.headDim);
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
