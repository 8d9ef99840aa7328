// Nemotron-H (Nemotron Nano 2 and 3): each layer is one mixer on one norm, Mamba-2, attention that does not rotate, an MLP
// without a gate or experts of such MLPs, as a pattern of letters says.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { branch, parallel } from '../../../parts/block.js';
import { type ExpertNames, experts } from '../../../parts/experts.js';
import { type Activation, activationNames, plainMlp } from '../../../parts/mlp.js';
import { norm } from '../../../parts/norm.js';
import type { Inside, Part } from '../../../parts/part.js';
import { mamba } from '../../../parts/recurrent/mamba.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  draftBlocks,
  type GgufKeys,
  layerKinds,
  only,
  optional,
  size,
  sizes,
} from '../../architecture.js';
import { checkBounds } from '../../bounds.js';
import { mixtureSchema, mixtureSizes } from '../../mixture.js';
import { checkedHeads } from '../../state-space.js';

const letters: Readonly<Record<string, string>> = { M: 'mamba', '*': 'attention', '-': 'mlp', E: 'moe' };
/** By the names of transformers 5. */
const kindNames: Readonly<Record<string, string>> = { linear_attention: 'mamba', full_attention: 'attention' };

const flag = optional(z.boolean());
const kindList = optional(z.array(z.string()));

const schema = z.looseObject({
  ...denseSchema.shape,
  ...mixtureSchema.shape,
  num_hidden_layers: optional(denseSchema.shape.num_hidden_layers),
  intermediate_size: optional(size),
  hybrid_override_pattern: optional(z.string()),
  layers_block_type: kindList,
  layer_types: kindList,
  layer_norm_epsilon: optional(z.number().positive()),
  attention_head_dim: optional(size),
  mlp_hidden_act: optional(z.enum(activationNames)),
  mamba_hidden_act: optional(z.string()),
  mamba_num_heads: optional(size),
  mamba_head_dim: optional(size),
  n_groups: optional(size),
  mamba_n_groups: optional(size),
  ssm_state_size: optional(size),
  conv_kernel: optional(size),
  mamba_d_conv: optional(size),
  use_conv_bias: flag,
  mamba_conv_bias: flag,
  use_bias: flag,
  time_step_min: optional(z.number().min(0)),
  mamba_dt_min: optional(z.number().min(0)),
  n_routed_experts: optional(size),
  moe_shared_expert_intermediate_size: optional(size),
  moe_latent_size: optional(size),
  routed_scaling_factor: optional(z.number().positive()),
  n_group: optional(size),
  topk_group: optional(size),
});
type Json = z.output<typeof schema>;

const names: ExpertNames = {
  router: 'mixer.gate.weight',
  gateUp: 'mixer.experts.up_proj',
  down: 'mixer.experts.down_proj',
  each: { experts: 'mixer.experts', gate: 'up_proj', up: 'up_proj', down: 'down_proj' },
};

/** @throws Error that names the file and the key, for a kind that is not known. */
function kindsOf(file: string, json: Json) {
  const { hybrid_override_pattern: pattern } = json;
  const spelled = pattern && Array.from(pattern, (letter) => letters[letter] ?? letter);
  const listed = json.layers_block_type ?? json.layer_types ?? (spelled || ['mamba', 'moe', 'attention', 'mlp']);
  const list = listed.map((kind) => kindNames[kind] ?? kind);
  checkBounds(file, { ...json, num_hidden_layers: list.length });
  return layerKinds(file, { num_hidden_layers: list.length, layer_types: list }, () => 'mamba', [
    'mamba',
    'attention',
    'mlp',
    'moe',
  ]);
}

function ggufKeys({ gguf, number, size }: GgufKeys): Record<string, unknown> {
  const layers = size('block_count') - (number('nextn_predict_layers') ?? 0);
  const has = (i: number, tensor: string): boolean => gguf.tensors.has(`blk.${i}.${tensor}`);
  const kind = (i: number): string => {
    if (has(i, 'ssm_a')) return 'mamba';
    if (has(i, 'attn_q.weight')) return 'attention';
    return has(i, 'ffn_gate_inp.weight') ? 'moe' : 'mlp';
  };
  const kinds = Array.from({ length: layers }, (_, i) => kind(i));
  const [scan, mlp] = [kinds.indexOf('mamba'), kinds.indexOf('mlp')];
  const heads = size('ssm.time_step_rank');
  return {
    num_hidden_layers: layers,
    layers_block_type: kinds,
    layer_norm_epsilon: number('attention.layer_norm_rms_epsilon') ?? number('attention.layer_norm_epsilon'),
    attention_bias: false,
    mlp_bias: has(mlp, 'ffn_up.bias'),
    mlp_hidden_act: 'relu2',
    mamba_num_heads: heads,
    mamba_head_dim: size('ssm.inner_size') / heads,
    n_groups: size('ssm.group_count'),
    ssm_state_size: size('ssm.state_size'),
    conv_kernel: size('ssm.conv_kernel'),
    use_conv_bias: has(scan, 'ssm_conv1d.bias'),
    use_bias: has(scan, 'ssm_in.bias'),
  };
}

export const nemotronH = architecture({
  types: ['nemotron_h'],
  gguf: [
    { name: 'nemotron_h', config: ggufKeys },
    {
      name: 'nemotron_h_moe',
      experts: true,
      config(keys) {
        const { gguf, number, size } = keys;
        const groups = number('expert_group_count') ?? 1;
        return {
          ...ggufKeys(keys),
          n_routed_experts: size('expert_count'),
          num_experts_per_tok: size('expert_used_count'),
          moe_intermediate_size: size('expert_feed_forward_length'),
          moe_shared_expert_intermediate_size: size('expert_shared_feed_forward_length'),
          moe_latent_size: number('moe_latent_size'),
          norm_topk_prob: gguf.metadata.get('nemotron_h_moe.expert_weights_norm') ?? true,
          routed_scaling_factor: number('expert_weights_scale') ?? 1,
          n_group: groups,
          topk_group: number('expert_group_used_count') ?? groups,
        };
      },
    },
  ],
  schema,
  decoder(file, json) {
    const kinds = kindsOf(file, json);
    const intermediateSize = json.intermediate_size ?? 21504;
    const sized = sizes(file, { ...json, intermediate_size: intermediateSize }, json.attention_head_dim ?? 128);
    const { hiddenSize } = sized;
    only(file, 'mamba_hidden_act', json.mamba_hidden_act, 'silu');
    if (json.attention_bias) throw new Error(`${file}: attention_bias must be false`);
    const rms = { eps: json.layer_norm_epsilon ?? 1e-5 };
    const scan = {
      hiddenSize,
      ...checkedHeads(file, 'n_groups', {
        heads: json.mamba_num_heads ?? 128,
        headDim: json.mamba_head_dim ?? 64,
        groups: json.mamba_n_groups ?? json.n_groups ?? 8,
        stateSize: json.ssm_state_size ?? 128,
      }),
      width: json.mamba_d_conv ?? json.conv_kernel ?? 4,
      convBias: json.mamba_conv_bias ?? json.use_conv_bias ?? true,
      bias: json.use_bias ?? false,
      outputTarget: false, // PEFT refuses it for this architecture
      limits: [json.mamba_dt_min ?? json.time_step_min ?? 0.001, Number.POSITIVE_INFINITY],
      norm: { ...rms, grouped: true },
      name: 'mixer',
    } as const;
    const activation = json.mlp_hidden_act ?? 'relu2';
    const bias = json.mlp_bias ?? false;
    const makers = {
      mamba: (layer: Inside): Part => mamba(layer, scan),
      attention: (layer: Inside): Part =>
        attention((path, gguf) => layer(path.replace(/^self_attn\b/, 'mixer'), gguf), { ...sized, rope: undefined }),
      mlp: (layer: Inside): Part =>
        plainMlp(layer, {
          hiddenSize,
          intermediateSize,
          activation,
          bias,
          names: { up: 'mixer.up_proj', down: 'mixer.down_proj' },
        }),
      moe: (layer: Inside): Part => expertsOf(file, json, layer, { hiddenSize, activation, bias }),
    };
    return decoderOf(
      { ...json, num_hidden_layers: kinds.length },
      {
        names: {
          embedding: 'model.embeddings',
          layers: 'model.layers',
          norm: 'model.norm_f',
          head: 'lm_head',
          saved: 'backbone',
        },
        norm: rms,
        tied: false,
        contextLength: 4096,
        unused: draftBlocks(kinds.length),
        layer: (layer, i) =>
          branch(norm(layer('norm', 'attn_norm'), { ...rms, size: hiddenSize }), makers[kinds[i]!](layer)),
      },
    );
  },
});

function expertsOf(
  file: string,
  json: Json,
  layer: Inside,
  sized: { hiddenSize: number; activation: Activation; bias: boolean },
): Part {
  const given = { ...json, num_experts: json.n_routed_experts };
  const { experts: count, chosen } = mixtureSizes(file, given, { experts: 8, chosen: 2 });
  const groups = json.n_group ?? 1;
  const routed = experts(layer, {
    hiddenSize: sized.hiddenSize,
    intermediateSize: json.moe_intermediate_size ?? 7688,
    experts: count,
    routing: {
      chosen,
      score: 'sigmoid',
      normalize: (json.norm_topk_prob ?? true) ? { epsilon: 1e-20 } : undefined,
      scale: json.routed_scaling_factor ?? 1,
      groups: groups > 1 ? { count: groups, kept: json.topk_group ?? 1, best: 2 } : undefined,
    },
    activation: { plain: sized.activation },
    names,
    bias: { name: 'mixer.gate.e_score_correction_bias' },
    latent: json.moe_latent_size
      ? { size: json.moe_latent_size, into: 'mixer.fc1_latent_proj', out: 'mixer.fc2_latent_proj', bias: sized.bias }
      : undefined,
  });
  const shared = plainMlp((path, gguf) => layer(path, `${gguf}_shexp`), {
    ...sized,
    intermediateSize: json.moe_shared_expert_intermediate_size ?? 7688,
    names: { up: 'mixer.shared_experts.up_proj', down: 'mixer.shared_experts.down_proj' },
  });
  return parallel(routed, shared);
}
