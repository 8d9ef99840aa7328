// Gemma 3n (text): a residual stream of several, of which each layer computes one (AltUp), a residual of low rank beside
// attention (LAuReL), per-layer embeddings, sparse gates in the first layers, and keys and values that the last layers read.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { branch, chain, parallel, scaled } from '../../../parts/block.js';
import { altUp, joinStreams, laurel, splitStreams } from '../../../parts/gemma/alt-up.js';
import { perLayerInput, perLayerInputs } from '../../../parts/gemma/per-layer.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { norm } from '../../../parts/norm.js';
import type { Inside, Part } from '../../../parts/part.js';
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
  size,
  sizes,
  windowsOf,
} from '../../architecture.js';
import { normalCdf, normalQuantile } from '../../normal.js';
import { sharedSources, sharing, unusedKeys } from '../../sharing.js';

const share = z.number().min(0).lt(1);

const schema = z.looseObject({
  ...denseSchema.shape,
  intermediate_size: z.union([size, z.array(size)]),
  hidden_activation: optional(z.string()),
  sliding_window: optional(size),
  layer_types: optional(z.array(z.string())),
  rope_parameters: ropesSchema,
  rope_local_base_freq: optional(z.number().positive()),
  num_kv_shared_layers: optional(z.number().int().min(0)),
  hidden_size_per_layer_input: optional(size),
  vocab_size_per_layer_input: optional(size),
  final_logit_softcapping: optional(z.number().positive()),
  altup_num_inputs: optional(size),
  altup_active_idx: optional(z.number().int().min(0)),
  altup_correct_scale: optional(z.boolean()),
  laurel_rank: optional(size),
  activation_sparsity_pattern: optional(z.array(share)),
});

/** @throws Error that names the file and the key, if a list has another length than there are layers. */
function listed<T>(file: string, key: string, list: readonly T[], count: number): readonly T[] {
  if (list.length !== count)
    throw new Error(`${file}: ${key} must have ${count} entries, as num_hidden_layers says, got ${list.length}`);
  return list;
}

export const gemma3n = architecture({
  types: ['gemma3n_text'],
  gguf: { name: 'gemma3n', perLayer: true, config: ggufKeys },
  schema,
  decoder(file, json) {
    const { hidden_size: hiddenSize, num_hidden_layers: count, intermediate_size: inner } = json;
    only(file, 'hidden_activation', json.hidden_activation, 'gelu_pytorch_tanh');
    const widths =
      typeof inner === 'number' ? Array<number>(count).fill(inner) : listed(file, 'intermediate_size', inner, count);
    const heads = { num_key_value_heads: json.num_key_value_heads ?? 2, intermediate_size: widths[0]! };
    const { intermediateSize: _, ...sized } = sizes(file, { ...json, ...heads }, 256);
    const eps = json.rms_norm_eps ?? 1e-6;
    const rms = { eps };
    const bias = json.attention_bias ?? false;
    const kinds = layerKinds(file, json, (i) => ((i + 1) % 5 === 0 ? 'full_attention' : 'sliding_attention'));
    const windows = windowsOf(file, kinds, json.sliding_window ?? 512);
    const { full_attention: full, sliding_attention: sliding } = json.rope_parameters ?? {};
    const { rope_scaling, rope_theta = 1e6, rope_local_base_freq: local = 10_000 } = json;
    const ropes = {
      full_attention: ropeOf(file, { rope_parameters: full, rope_scaling, rope_theta }, sized.headDim),
      sliding_attention: ropeOf(file, { rope_parameters: sliding, rope_theta: local }, sized.headDim),
    };
    const sparse = count > 10 ? 10 : 0;
    const { activation_sparsity_pattern: pattern = Array.from({ length: count }, (_, i) => (i < sparse ? 0.95 : 0)) } =
      json;
    const sparsity = listed(file, 'activation_sparsity_pattern', pattern ?? [], count);
    const keysOf = sharedSources(sharing(file, kinds, json.num_kv_shared_layers ?? 15));
    const streams = { hiddenSize, streams: json.altup_num_inputs ?? 4 };
    const active = json.altup_active_idx ?? 0;
    if (active >= streams.streams)
      throw new Error(`${file}: altup_active_idx (${active}) must be below altup_num_inputs (${streams.streams})`);
    const model: Inside = (path, gguf) => ({ path: `model.${path}`, gguf });
    const perLayer = perLayerInputs(
      model,
      {
        hiddenSize,
        size: json.hidden_size_per_layer_input ?? 256,
        layers: count,
        vocabSize: json.vocab_size_per_layer_input ?? 262_144,
        eps,
      },
      json.vocab_size,
    );
    const normed = (layer: Inside, path: string, gguf: string): Part =>
      norm(layer(path, gguf), { eps, size: hiddenSize });

    const decoder = decoderOf(json, {
      norm: rms,
      embedding: { scale: Math.sqrt(hiddenSize) },
      head: { softcap: json.final_logit_softcapping === null ? undefined : (json.final_logit_softcapping ?? 30) },
      tied: true,
      contextLength: 32_768,
      unused: unusedKeys(count - (json.num_kv_shared_layers ?? 15), count),
      layer(layer, i): Part {
        const attending = attention(layer, {
          ...sized,
          scale: 1,
          window: windows[i],
          rope: ropes[kinds[i]!],
          bias,
          outputBias: bias,
          headNorm: rms,
          valueNorm: rms,
          shared: keysOf(i, { ...sized, window: windows[i] }),
        });
        const mlp = gatedMlp(layer, {
          hiddenSize,
          intermediateSize: widths[i]!,
          activation: 'geluTanh',
          sparsity: sparsity[i]! > 0 ? normalQuantile(sparsity[i]!) : undefined,
        });
        const mixed = branch(
          normed(layer, 'input_layernorm', 'attn_norm'),
          parallel(
            chain(attending, normed(layer, 'post_attention_layernorm', 'post_attention_norm')),
            laurel(layer, { hiddenSize, rank: json.laurel_rank ?? 64, eps }),
          ),
        );
        const body = chain(
          scaled(mixed, Math.SQRT1_2),
          branch(
            normed(layer, 'pre_feedforward_layernorm', 'ffn_norm'),
            mlp,
            normed(layer, 'post_feedforward_layernorm', 'post_ffw_norm'),
          ),
        );
        const options = { ...streams, eps, active, scaled: json.altup_correct_scale ?? true };
        const whole = altUp(layer, options, body, perLayerInput(layer, i, perLayer, { hiddenSize, eps }));
        return i === 0 ? chain(perLayer.part, splitStreams(model, streams), whole) : whole;
      },
    });
    return { ...decoder, norm: chain(joinStreams(model, streams), decoder.norm) };
  },
});

/** The keys beyond those that all decoders share. @throws Error that names the file and the key. */
function ggufKeys(keys: GgufKeys, shared: Record<string, unknown>) {
  const { gguf, number, size, sizes } = keys;
  const deviations = gguf.metadata.get('gemma3n.activation_sparsity_scale');
  const count = size('block_count');
  if (
    typeof deviations !== 'object' ||
    deviations.length !== count ||
    ![...deviations].every((x) => typeof x === 'number')
  )
    throw new Error(`${gguf.path}: gemma3n.activation_sparsity_scale must be ${count} numbers`);
  return {
    hidden_act: null,
    hidden_activation: 'gelu_pytorch_tanh',
    intermediate_size: sizes('feed_forward_length'),
    sliding_window: size('attention.sliding_window'),
    layer_types: keys.kinds(5),
    rope_theta: shared.rope_theta,
    rope_local_base_freq: number('rope.freq_base_swa') ?? 10_000,
    num_kv_shared_layers: number('attention.shared_kv_layers') ?? 15,
    hidden_size_per_layer_input: size('embedding_length_per_layer_input'),
    vocab_size_per_layer_input: gguf.tensors.get('per_layer_token_embd.weight')?.shape[0],
    final_logit_softcapping: number('final_logit_softcapping') ?? 30,
    altup_num_inputs: size('altup.num_inputs'),
    altup_active_idx: number('altup.active_idx') ?? 0,
    laurel_rank: gguf.tensors.get('blk.0.laurel_l.weight')?.shape[0],
    // The file has how many standard deviations; a config, the share of numbers below.
    activation_sparsity_pattern: Array.from(deviations, (x) => Number(normalCdf(Number(x)).toPrecision(6))),
  };
}
