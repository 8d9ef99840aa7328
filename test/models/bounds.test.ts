// Configs that ask for far more than any model has: refused by the key's name, before memory or time is spent on them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import { checkBound } from '../../lib/models/bounds.js';

const small = JSON.parse(readFileSync(join(import.meta.dirname, '../../models/helvetia-small/config.json'), 'utf8'));
const made = (json: object) => decoderConfig('config.json', { ...small, ...json });

describe('a config', () => {
  it.each([
    [{ num_hidden_layers: 1e9 }, 'config.json: num_hidden_layers must be at most 4096, got 1000000000'],
    [{ num_attention_heads: 1e9, num_key_value_heads: 1e9 }, 'config.json: num_attention_heads must be at most 65536'],
    [{ num_key_value_heads: 4e9 }, 'config.json: num_key_value_heads must be at most 65536'],
    [{ head_dim: 4e9 }, 'config.json: head_dim must be at most 65536'],
    [{ vocab_size: 4e9 }, 'config.json: vocab_size must be at most 2147483647'],
    [{ hidden_size: 1e15 }, 'config.json: hidden_size must be at most 2147483647'],
    [{ hidden_size: 2e9 }, 'config.json: num_hidden_layers × hidden_size must be at most 33554432 together'],
    [{ intermediate_size: 4e9 }, 'config.json: intermediate_size must be at most 2147483647'],
    [{ max_position_embeddings: 4e9 }, 'config.json: max_position_embeddings must be at most 2147483647'],
    [
      { num_attention_heads: 60000, head_dim: 60000 },
      'config.json: num_hidden_layers × num_attention_heads × head_dim must be at most 33554432 together',
    ],
    [{ num_experts: 1e9 }, 'config.json: num_experts must be at most 65536'],
    [
      { num_hidden_layers: 4000, num_experts: 65000 },
      'config.json: num_hidden_layers × num_experts must be at most 262144',
    ],
    [
      { model_type: 'nemotron_h', hybrid_override_pattern: 'M'.repeat(5000) },
      'config.json: num_hidden_layers must be at most 4096, got 5000',
    ],
    [
      { model_type: 'falcon_h1', mamba_n_heads: 8, mamba_d_state: 1e12 },
      'config.json: Mamba must have at most 16777216 channels, got 8 heads of 128, 1 groups of 1000000000000',
    ],
    [
      { model_type: 'nemotron_h', hybrid_override_pattern: 'M', mamba_num_heads: 60000, mamba_head_dim: 60000 },
      'config.json: Mamba must have at most 16777216 channels',
    ],
    [
      { model_type: 'granitemoehybrid', mamba_n_heads: 6, mamba_expand: 3, mamba_d_head: 12 },
      /^config\.json: mamba_n_heads \(6\) times mamba_d_head \(12\) must be \d+$/,
    ],
    [
      { model_type: 'nemotron_h', hybrid_override_pattern: 'MX' },
      "config.json: layer_types[1] must be one of mamba, attention, mlp, moe, got 'X'",
    ],
    [
      { model_type: 'falcon_h1', mamba_n_heads: 8, time_step_limit: [1] },
      'config.json: time_step_limit must be two numbers, the least and the most, got [1]',
    ],
  ])('is refused for %o', (json, words) => {
    expect(() => made(json)).toThrow(words);
  });

  it('of the largest models that there are is taken', () => {
    const llama405 = {
      hidden_size: 16384,
      intermediate_size: 53248,
      num_hidden_layers: 126,
      num_attention_heads: 128,
      num_key_value_heads: 8,
      head_dim: 128,
      vocab_size: 128256,
      max_position_embeddings: 131072,
    };
    expect(made(llama405).layers).toHaveLength(126);
  });
});

it.each([
  ['llama.block_count', 4096],
  ['llama.attention.head_count', 65536],
  ['llama.attention.head_count_kv', 65536],
  ['llama.attention.key_length', 65536],
  ['llama.rope.dimension_count', 65536],
  ['llama.expert_count', 65536],
  ['llama.embedding_length', 2147483647],
  ['llama.feed_forward_length', 2147483647],
  ['llama.context_length', 2147483647],
  ['llama.vocab_size', 2147483647],
])('the key %s of a GGUF file is at most %d', (key, most) => {
  expect(() => checkBound('a.gguf', key, most)).not.toThrow();
  expect(() => checkBound('a.gguf', key, 4e9)).toThrow(`a.gguf: ${key} must be at most ${most}, got 4000000000`);
});
