// ModernBERT: norms without biases before both branches (none before the first layer's attention, whose input is normed
// already), gated MLPs, windows to both sides in most layers, with a rope of their own.
import { z } from 'zod';
import { branch, chain } from '../../../parts/block.js';
import { linearLayer } from '../../../parts/linear.js';
import { activationNames, gatedMlp } from '../../../parts/mlp.js';
import { norm } from '../../../parts/norm.js';
import { fused } from '../../../parts/projections.js';
import { vectorLinear, vectorNorm } from '../../../parts/text-head.js';
import { architecture, layerKinds, only, optional, ropeOf, ropesSchema, size, windowsOf } from '../../architecture.js';
import { classifierPlaces, encoderOf, encoderSchema, encoderSizes, rankerOf, readingAttention } from '../../encoder.js';

const flag = optional(z.boolean());
const theta = optional(z.number().positive());

export const modernBert = architecture({
  types: ['modernbert'],
  encoder: true,
  gguf: {
    name: 'modern-bert',
    config: ({ number, size }) => {
      const period = number('attention.sliding_window_pattern') ?? 3;
      return {
        norm_eps: number('attention.layer_norm_epsilon'),
        hidden_activation: 'gelu',
        local_attention: size('attention.sliding_window'),
        global_attn_every_n_layers: period,
        global_rope_theta: number('rope.freq_base'),
        local_rope_theta: number('rope.freq_base_swa') ?? 10000,
      };
    },
  },
  schema: z.looseObject({
    ...encoderSchema.shape,
    hidden_activation: optional(z.string()),
    norm_eps: optional(z.number().positive()),
    norm_bias: flag,
    attention_bias: flag,
    mlp_bias: flag,
    local_attention: optional(size),
    global_attn_every_n_layers: optional(size),
    layer_types: optional(z.array(z.string())),
    global_rope_theta: theta,
    local_rope_theta: theta,
    rope_parameters: ropesSchema,
    classifier_pooling: optional(z.enum(['cls', 'mean'])),
    classifier_bias: flag,
    classifier_activation: optional(z.enum(activationNames)),
  }),
  decoder(file, json) {
    const sized = encoderSizes(file, json);
    const { hiddenSize, headDim } = sized;
    only(file, 'hidden_activation', json.hidden_activation, 'gelu');
    const kind = { eps: json.norm_eps ?? 1e-5, layer: { bias: json.norm_bias ?? false } };
    const whole = { ...kind, size: hiddenSize };
    const bias = json.attention_bias ?? false;
    const { full_attention, sliding_attention } = json.rope_parameters ?? {};
    const { global_rope_theta: wide = 160000, local_rope_theta: near = 10000 } = json;
    const ropes = {
      full_attention: ropeOf(file, { rope_parameters: full_attention, rope_theta: wide }, headDim),
      sliding_attention: ropeOf(file, { rope_parameters: sliding_attention, rope_theta: near ?? wide }, headDim),
    };
    const period = json.global_attn_every_n_layers ?? 3;
    const kinds = layerKinds(file, json, (i) => (i % period === 0 ? 'full_attention' : 'sliding_attention'));
    // So many tokens are seen in all: half of them before, half of them after.
    const windows = windowsOf(file, kinds, Math.floor((json.local_attention ?? 128) / 2) + 1);
    const { dense, output } = classifierPlaces('head.dense', 'classifier');
    return encoderOf(json, {
      names: { embedding: 'model.embeddings.tok_embeddings', layers: 'model.layers' },
      embedding: { norm: { path: 'model.embeddings.norm', gguf: 'token_embd_norm', ...kind } },
      norm: norm({ path: 'model.final_norm', gguf: 'output_norm' }, whole),
      contextLength: json.max_position_embeddings,
      ranker: rankerOf(
        file,
        json,
        [json.classifier_pooling ?? 'cls'],
        [
          vectorLinear(dense, {
            in: hiddenSize,
            out: hiddenSize,
            bias: json.classifier_bias ?? false,
            activation: json.classifier_activation ?? 'gelu',
          }),
          vectorNorm({ path: 'head.norm', gguf: 'cls.norm' }, whole),
          vectorLinear(output, { in: hiddenSize, out: 1, bias: true }),
        ],
      ),
      // The output that guesses masked tokens.
      unused: (name) => /^(head|decoder)\./.test(name),
      layer: (layer, i) => {
        const mixer = readingAttention(layer, {
          ...sized,
          rope: ropes[kinds[i]!],
          window: windows[i],
          projections: fused(layer('attn.Wqkv', 'attn_qkv'), { ...sized, bias }),
          output: linearLayer(layer('attn.Wo', 'attn_output'), { out: hiddenSize, in: hiddenSize, bias }),
        });
        return chain(
          i === 0 ? branch(mixer) : branch(norm(layer('attn_norm', 'attn_norm'), whole), mixer),
          branch(
            norm(layer('mlp_norm', 'ffn_norm'), whole),
            gatedMlp(layer, {
              ...sized,
              activation: 'gelu',
              bias: json.mlp_bias ?? false,
              fused: { into: 'mlp.Wi', down: 'mlp.Wo' },
            }),
          ),
        );
      },
    });
  },
});
