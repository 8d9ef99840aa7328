// Granite 3 and 4, dense: multipliers of the embedding, of the scores, of both branches and of the logits.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { scaled } from '../../parts/block.js';
import { gatedMlp } from '../../parts/mlp.js';
import type { Inside, Part } from '../../parts/part.js';
import {
  architecture,
  type DenseConfig,
  decoderOf,
  denseSchema,
  type GgufKeys,
  only,
  optional,
  preNorm,
  ropeOf,
  sizes,
} from '../architecture.js';

const multiplier = optional(z.number().positive());

export const multiplierSchema = z.looseObject({
  embedding_multiplier: multiplier,
  residual_multiplier: multiplier,
  attention_multiplier: multiplier,
  logits_scaling: multiplier,
});

export function ggufMultipliers({ number, size }: GgufKeys) {
  const headDim = size('attention.key_length', size('embedding_length') / size('attention.head_count'));
  // llama.cpp takes 0, and a key that is missing, for no multiplier.
  return {
    embedding_multiplier: number('embedding_scale') || 1,
    residual_multiplier: number('residual_scale') || 1,
    attention_multiplier: number('attention.scale') || headDim ** -0.5,
    logits_scaling: number('logit_scale') || 1,
  };
}

export const granite = architecture({
  types: ['granite'],
  gguf: { name: 'granite', config: ggufMultipliers },
  schema: z.looseObject({ ...denseSchema.shape, ...multiplierSchema.shape }),
  decoder: (file, json) =>
    graniteDecoder(file, json, {
      mlp: (layer, sized) => gatedMlp(layer, { ...sized, activation: 'silu', bias: json.mlp_bias ?? false }),
    }),
});

interface GraniteLayers {
  mlp(layer: Inside, sized: ReturnType<typeof sizes>): Part;
  /** What stands in the place of attention in layer `index`, if it has none. */
  mixer?(layer: Inside, index: number): Part | undefined;
  /** Whether attention rotates. Default true. */
  rotates?: boolean;
}

/** Layers of attention or another mixer, and of an MLP, with Granite's multipliers. */
export function graniteDecoder(
  file: string,
  json: DenseConfig & z.output<typeof multiplierSchema>,
  { mlp, mixer, rotates = true }: GraniteLayers,
): ReturnType<typeof decoderOf> {
  const sized = sizes(file, json);
  only(file, 'hidden_act', json.hidden_act, 'silu');
  const rope = rotates ? ropeOf(file, json, sized.headDim) : undefined;
  const bias = json.attention_bias ?? false;
  const rms = { eps: json.rms_norm_eps ?? 1e-6 };
  const scale = json.attention_multiplier ?? 1;
  const residual = json.residual_multiplier ?? 1;
  return decoderOf(json, {
    norm: rms,
    embedding: { scale: json.embedding_multiplier ?? 1 },
    head: { scale: 1 / (json.logits_scaling ?? 1) },
    tied: false,
    contextLength: 2048,
    layer(layer, i) {
      const attending = () => attention(layer, { ...sized, scale, rope, bias, outputBias: bias, ggufPairs: true });
      return preNorm(
        layer,
        { ...rms, size: sized.hiddenSize },
        scaled(mixer?.(layer, i) ?? attending(), residual),
        scaled(mlp(layer, sized), residual),
      );
    },
  });
}
