// What architectures share, where no golden says it.
import { expect, it } from 'vitest';
import { lateWindows } from '../../lib/models/architecture.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';

it('windows begin where transformers lets them: at layer 28, 4096 tokens, unless the config says otherwise', () => {
  const windows = (more: object) => lateWindows('config.json', { num_hidden_layers: 30, ...more });
  const from = (first: number, size: number) => Array.from({ length: 30 }, (_, i) => (i < first ? undefined : size));
  expect(windows({})).toEqual(from(30, 0));
  expect(windows({ sliding_window: 7 })).toEqual(from(30, 0));
  expect(windows({ use_sliding_window: true })).toEqual(from(28, 4096));
  expect(windows({ use_sliding_window: true, sliding_window: null })).toEqual(from(30, 0));
  expect(windows({ use_sliding_window: true, sliding_window: 7, max_window_layers: 0 })).toEqual(from(0, 7));
});

it.each([
  [
    'llama',
    { rope_scaling: { rope_type: 'spiral' } },
    "rope type 'spiral' is not supported; supported: default, linear",
  ],
  [
    'llama',
    { rope_scaling: { rope_type: 'llama3', factor: 8 } },
    "rope type 'llama3' needs the number 'low_freq_factor'",
  ],
  ['llama', { rope_scaling: { rope_type: 'longrope', short_factor: [1] } }, "needs 'short_factor', 8 numbers above 0"],
  ['llama', { partial_rotary_factor: 1.5 }, 'partial_rotary_factor (1.5)'],
  ['mistral', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['mistral', { sliding_window: 0 }, 'sliding_window'],
  ['ministral', { sliding_window: null, layer_types: ['sliding_attention'] }, 'sliding_window must be given'],
  [
    'ministral',
    { layer_types: ['chunked_attention'] },
    'layer_types[0] must be one of full_attention, sliding_attention',
  ],
  [
    'ministral3',
    { rope_parameters: { rope_type: 'yarn', factor: 4 } },
    'rope_parameters.original_max_position_embeddings',
  ],
  ['ministral3', { rope_scaling: { type: 'yarn', original_max_position_embeddings: 16 } }, 'llama_4_scaling_beta'],
  ['gemma', { hidden_act: 'relu' }, "hidden_act must be 'gelu_pytorch_tanh', got 'relu'"],
  ['gemma', { use_bidirectional_attention: true }, 'use_bidirectional_attention'],
  ['gemma2', { hidden_activation: 'gelu' }, "hidden_activation must be 'gelu_pytorch_tanh', got 'gelu'"],
  ['gemma2', { sliding_window: null }, 'sliding_window must be given'],
  ['gemma2', { attn_logit_softcapping: -1 }, 'attn_logit_softcapping'],
  ['gemma3_text', { rope_parameters: { rope_type: 'default' } }, 'rope_parameters'],
  ['phi3', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['phi3', { rope_scaling: { type: 'su', long_factor: [1] } }, "rope type 'longrope' needs 'short_factor'"],
  ['smollm3', { no_rope_layers: [1, 1] }, 'no_rope_layers must have 1 entries'],
  ['smollm3', { use_sliding_window: true, layer_types: ['sliding_attention'] }, 'sliding_window must be given'],
  ['seed_oss', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['olmo2', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['olmo3', { sliding_window: null }, 'sliding_window must be given'],
  ['olmo3', { rope_parameters: { rope_type: 'yarn', factor: 4 } }, 'rope_parameters'],
  ['exaone4', { sliding_window_pattern: 'LLLG' }, 'layer_types must be given'],
  ['hunyuan_v1_dense', { rope_scaling: { type: 'dynamic', alpha: 0 } }, 'rope_scaling.alpha'],
  ['ernie4_5', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['qwen2', { use_sliding_window: false, layer_types: ['sliding_attention'] }, 'sliding_window must be given'],
  ['granite', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['granite', { logits_scaling: 0 }, 'logits_scaling'],
  [
    'granitemoehybrid',
    { layer_types: ['sliding_attention'] },
    "layer_types[0] must be one of full_attention, linear_attention, got 'sliding_attention'",
  ],
  ['granitemoehybrid', { position_embedding_type: 'alibi' }, 'position_embedding_type'],
  ['glm', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['glm4', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['cohere', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['cohere2', { use_parallel_block: false }, 'use_parallel_block'],
  ['cohere2', { use_gated_activation: false }, 'use_gated_activation'],
  ['cohere2', { rotary_pct: 0.5 }, 'rotary_pct'],
  ['cohere2', { position_embedding_type: 'alibi' }, "position_embedding_type must be 'rope_gptj', got 'alibi'"],
  ['starcoder2', { hidden_act: 'mish' }, 'hidden_act'],
  ['starcoder2', { norm_type: 'rms_norm' }, "norm_type must be 'layer_norm', got 'rms_norm'"],
  ['starcoder2', { mlp_type: 'gated' }, "mlp_type must be 'default', got 'gated'"],
  ['nemotron', { hidden_act: 'mish' }, 'hidden_act'],
  ['gpt2', { activation_function: 'mish' }, 'activation_function'],
  ['gpt2', { add_cross_attention: true }, 'add_cross_attention'],
  ['gpt2', { n_head: 5 }, 'n_embd (48) must be a multiple of n_head (5)'],
  ['gpt_neox', { hidden_act: 'mish' }, 'hidden_act'],
  ['gpt_neox', { num_key_value_heads: 2 }, 'num_key_value_heads (2) must be num_attention_heads (4)'],
])('%s refuses %j by name', (type, wrong, message) => {
  const usual = {
    vocab_size: 96,
    hidden_size: 64,
    intermediate_size: 80,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: type === 'gpt_neox' ? 4 : 2,
    ...(type === 'granitemoehybrid' ? { num_local_experts: 0, layer_types: ['attention'] } : {}),
  };
  const config = type === 'gpt2' ? { vocab_size: 96, n_embd: 48, n_layer: 1, n_head: 4, n_positions: 16 } : usual;
  const read = (more: object) => decoderConfig('config.json', { model_type: type, ...config, ...more });
  expect(read({}).layers).toHaveLength(1);
  expect(() => read(wrong)).toThrow(/^config\.json: /);
  expect(() => read(wrong)).toThrow(message);
});

it('config.json keys of either spelling give one rope, and Phi-3 has its own names for LongRoPE', () => {
  const rope = (type: string, more: object) => {
    const config = {
      vocab_size: 9,
      hidden_size: 32,
      intermediate_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
    };
    return decoderConfig('config.json', { model_type: type, ...config, ...more }).layers[0]!.constants;
  };
  const list = [1, 2, 4, 8, 16, 32, 64, 128];
  const lists = { short_factor: list, long_factor: list.map((divisor) => divisor * 2) };
  const long = { max_position_embeddings: 64, original_max_position_embeddings: 16, rope_theta: 50 };
  const plain = rope('phi3', { rope_theta: 50 })[0]!;
  for (const type of ['su', 'yarn', 'longrope']) {
    const [short, beyond] = rope('phi3', { ...long, rope_scaling: { type, ...lists } });
    expect(short).toEqual(Float32Array.from(plain, (f, i) => f / list[i]!));
    expect(beyond).toEqual(Float32Array.from(plain, (f, i) => f / (2 * list[i]!)));
  }
  const dynamic = { rope_type: 'dynamic', factor: 4, rope_theta: 50 };
  expect(rope('llama', { rope_parameters: dynamic })).toEqual([plain]);
  // Gemma 4's rule: a part of the pairs turns, at the speed that it has in the whole head.
  const proportional = { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 50 };
  expect(rope('llama', { rope_parameters: proportional })).toEqual([plain.map((f, i) => (i < 2 ? f : 0))]);
  // YaRN without a factor stretches to the whole context.
  const yarn = { rope_type: 'yarn', rope_theta: 50, original_max_position_embeddings: 16 };
  const given = rope('llama', { rope_parameters: { ...yarn, factor: 4 }, max_position_embeddings: 64 });
  expect(rope('llama', { rope_parameters: { ...yarn, factor: null }, max_position_embeddings: 64 })).toEqual(given);
});
