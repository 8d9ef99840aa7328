// Gemma 3 (text) and EmbeddingGemma, whose tokens see those after them, too: norms before and after both branches, windows in most layers with a rope of their own, weights of norms
// stored as differences from 1, an embedding that is multiplied by √hidden.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { noHead } from '../../../parts/head.js';
import { gatedMlp } from '../../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  type GgufKeys,
  layerKinds,
  only,
  optional,
  ropeOf,
  ropesSchema,
  sandwich,
  size,
  sizes,
  windowsOf,
} from '../../architecture.js';
import type { DecoderConfig } from '../../config.js';
import { ggufUnsaid } from './gemma2.js';

const schema = z.looseObject({
  ...denseSchema.shape,
  hidden_activation: optional(z.string()),
  query_pre_attn_scalar: optional(z.number().positive()),
  sliding_window: optional(size),
  sliding_window_pattern: optional(size),
  layer_types: optional(z.array(z.string())),
  rope_local_base_freq: optional(z.number().positive()),
  rope_parameters: ropesSchema,
  attn_logit_softcapping: z.null().optional(),
  final_logit_softcapping: z.null().optional(),
  use_bidirectional_attention: optional(z.boolean()),
});

/** What a GGUF file does not have under the keys of all decoders. */
const ggufKeys = (keys: GgufKeys) => ({
  ...ggufUnsaid(keys, 62),
  sliding_window: keys.number('attention.sliding_window'),
  layer_types: keys.kinds(6),
  rope_local_base_freq: keys.number('rope.freq_base_swa') ?? 10000,
  final_logit_softcapping: keys.number('final_logit_softcapping') ?? null,
});

/** @throws Error that names the file and the field. */
function decoder(file: string, json: z.output<typeof schema>): Omit<DecoderConfig, 'modelType'> {
  const sized = sizes(file, json, 256);
  only(file, 'hidden_activation', json.hidden_activation ?? json.hidden_act, 'gelu_pytorch_tanh');
  const { full_attention: full, sliding_attention: sliding } = json.rope_parameters ?? {};
  const { rope_scaling, rope_theta = 1e6, rope_local_base_freq: local = 10000 } = json;
  const ropes = {
    full_attention: ropeOf(file, { rope_parameters: full, rope_scaling, rope_theta }, sized.headDim),
    sliding_attention: ropeOf(file, { rope_parameters: sliding, rope_theta: local }, sized.headDim),
  };
  const rms = { eps: json.rms_norm_eps ?? 1e-6, shift: 1 };
  const bias = json.attention_bias ?? false;
  const period = json.sliding_window_pattern ?? 6;
  const kinds = layerKinds(file, json, (i) => ((i + 1) % period === 0 ? 'full_attention' : 'sliding_attention'));
  const bidirectional = json.use_bidirectional_attention ?? false;
  const window = json.sliding_window === undefined ? 4096 : json.sliding_window;
  // So many tokens are seen in all, where half of them come after.
  const windows = windowsOf(file, kinds, bidirectional && window ? Math.floor(window / 2) + 1 : window);
  const made = decoderOf(json, {
    norm: rms,
    embedding: { scale: Math.sqrt(sized.hiddenSize) },
    tied: true,
    contextLength: 131072,
    layer: (layer, i) =>
      sandwich(
        layer,
        { ...rms, size: sized.hiddenSize },
        attention(layer, {
          ...sized,
          scale: (json.query_pre_attn_scalar ?? 256) ** -0.5,
          window: windows[i],
          rope: ropes[kinds[i]!],
          bias,
          outputBias: bias,
          headNorm: rms,
          bidirectional,
        }),
        gatedMlp(layer, { ...sized, activation: 'geluTanh' }),
      ),
  });
  return bidirectional ? { ...made, bidirectional, head: noHead } : made;
}

export const gemma3 = architecture({
  types: ['gemma3_text'],
  gguf: { name: 'gemma3', config: ggufKeys },
  schema,
  decoder,
});

/** As GGUF files call EmbeddingGemma; a folder has Gemma 3's own type. */
export const gemmaEmbedding = architecture({
  types: ['gemma-embedding'],
  encoder: true,
  gguf: { name: 'gemma-embedding', config: ggufKeys },
  schema,
  decoder: (file, json) => decoder(file, { ...json, use_bidirectional_attention: true }),
});
