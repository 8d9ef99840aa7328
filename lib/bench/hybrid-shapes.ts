// Named shapes of models in which not every layer is attention, as their config.json says them.

export const hybridShapes = {
  'lfm2-1.2b': {
    model_type: 'lfm2',
    vocab_size: 65536,
    hidden_size: 2048,
    block_ff_dim: 12288,
    block_auto_adjust_ff_dim: true,
    block_ffn_dim_multiplier: 1,
    block_multiple_of: 256,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    full_attn_idxs: [2, 5, 8, 10, 12, 14],
    conv_L_cache: 3,
    conv_bias: false,
    max_position_embeddings: 128000,
    norm_eps: 1e-5,
    rope_theta: 1000000,
  },
} as const satisfies Record<string, Record<string, unknown>>;
