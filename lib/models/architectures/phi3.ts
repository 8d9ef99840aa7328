// Phi-3, 3.5, 4 and 4-mini: one projection for q, k and v and one for gate and up, LongRoPE, in 4-mini of a part of each
// head.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import { fused } from '../../parts/projections.js';
import { architecture, decoderOf, denseSchema, only, optional, preNorm, ropeOf, size, sizes } from '../architecture.js';

/** Its first configs call its one rule by names that others use for theirs. */
const oldNames = ['su', 'yarn'];

export const phi3 = architecture({
  types: ['phi3'],
  gguf: {
    name: 'phi3',
    config({ number }, { rope_scaling, max_position_embeddings }) {
      const original = number('rope.scaling.original_context_length') ?? max_position_embeddings;
      return {
        sliding_window: number('attention.sliding_window') || null,
        original_max_position_embeddings: original,
        rope_scaling,
      };
    },
  },
  schema: z.looseObject({ ...denseSchema.shape, sliding_window: optional(size) }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const settings = json.rope_parameters ?? json.rope_scaling;
    const named = settings?.rope_type ?? settings?.type ?? 'default';
    const type = oldNames.includes(named) ? 'longrope' : named;
    const { original_max_position_embeddings = 4096, max_position_embeddings = 4096 } = json;
    const rope = ropeOf(
      file,
      {
        ...json,
        original_max_position_embeddings,
        max_position_embeddings,
        rope_parameters: { ...settings, rope_type: type },
      },
      sized.headDim,
    );
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 4096,
      layer: (layer) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, {
            ...sized,
            rope,
            window: json.sliding_window ?? undefined,
            projections: fused(layer('self_attn.qkv_proj', 'attn_qkv'), sized),
          }),
          gatedMlp(layer, { ...sized, activation: 'silu', fused: true }),
        ),
    });
  },
});
