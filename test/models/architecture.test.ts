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
  ['granite', { hidden_act: 'gelu' }, "hidden_act must be 'silu', got 'gelu'"],
  ['granite', { logits_scaling: 0 }, 'logits_scaling'],
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
  };
  const config = type === 'gpt2' ? { vocab_size: 96, n_embd: 48, n_layer: 1, n_head: 4, n_positions: 16 } : usual;
  const read = (more: object) => decoderConfig('config.json', { model_type: type, ...config, ...more });
  expect(read({}).layers).toHaveLength(1);
  expect(() => read(wrong)).toThrow(/^config\.json: /);
  expect(() => read(wrong)).toThrow(message);
});
