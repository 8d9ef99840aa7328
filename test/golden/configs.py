"""The models that families.py records: a config.json each, and what llama.cpp's converter makes of it.

Settings are chosen so that no default can be taken by mistake and stay unseen: epsilons are large, thetas and scales are
odd numbers, windows are shorter than the text, head sizes differ from hidden / heads. Two goldens of a family differ in
what may be left out of a config, in the spelling (rope_theta + rope_scaling, torch_dtype; rope_parameters, dtype), and in
whether the output layer is tied.
"""
from dataclasses import dataclass, field


@dataclass
class Golden:
    name: str
    config: dict
    # The architecture in GGUF's words; None where a GGUF file cannot hold these settings.
    gguf: str | None = None
    # Further GGUF keys: [name without the architecture, type, value].
    keys: list = field(default_factory=list)
    # Norms whose stored weight is added to 1.
    zero_centred: bool = False
    # The converter reorders the rows of q and k for GGML's pairs (2i, 2i + 1).
    permuted: bool = False
    # Experts of numbers that MXFP4 holds exactly, which is what the GGUF file has them in.
    fp4: bool = False
    # Of transformers' names, which the checkpoint leaves out.
    prefix: str = ''
    # Keys of the config that have no effect on the logits, although they are there.
    silent: tuple = ()
    # PEFT's target_modules.
    targets: str | tuple = 'all-linear'
    # PEFT's target_parameters.
    parameters: tuple = ()
    # transformers needs to be told positions, which it counts from 0 again in each call.
    positions: bool = False
    # The learning rate: a lower one where steps multiply a rounding error until no two programs agree.
    rate: float = 0.02
    # Tokens of the prompt, and of the rows that are trained on.
    prompt: int = 37
    rows: tuple = (13, 22)


# On every hub config; none of them changes a number.
NEUTRAL = {'architectures', 'model_type', 'torch_dtype', 'dtype', 'bos_token_id', 'eos_token_id', 'pad_token_id', 'use_cache',
           'initializer_range', 'attention_dropout', 'transformers_version', 'max_position_embeddings', 'tie_word_embeddings'}

OLD = {'torch_dtype': 'float32', 'use_cache': True, 'transformers_version': '4.51.0', 'bos_token_id': 1, 'eos_token_id': 2,
       'pad_token_id': 0}
NEW = {'dtype': 'float32', 'use_cache': True, 'transformers_version': '5.0.0', 'bos_token_id': None, 'eos_token_id': [2, 7],
       'pad_token_id': None}


def dense(model_type: str, cls: str, spelling: dict, **more) -> dict:
    config = {
        'architectures': [cls], 'model_type': model_type, 'vocab_size': 96, 'hidden_size': 48, 'intermediate_size': 80,
        'num_hidden_layers': 3, 'num_attention_heads': 4, 'num_key_value_heads': 2, 'max_position_embeddings': 128,
        'initializer_range': 0.02, 'attention_dropout': 0.0, **spelling, **more,
    }
    return {key: value for key, value in config.items() if value is not ...}


ATTENTION = ('q_proj', 'k_proj', 'v_proj', 'o_proj')
GATED = ('gate_proj', 'up_proj', 'down_proj')
LATENT = ('q_proj', 'q_a_proj', 'q_b_proj', 'kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj')
DELTA = ('in_proj_qkv', 'in_proj_z', 'in_proj_b', 'in_proj_a', 'out_proj')
# PEFT takes the names of shared experts' modules for those of experts, but not in this family.
SHARED = (*ATTENTION, *(f'shared_expert.{name}_proj' for name in ('gate', 'up', 'down')), 'shared_expert_gate')
EXPERTS = ('mlp.experts.gate_up_proj', 'mlp.experts.down_proj')

GOLDENS = [
    # Llama: no head_dim, tied, Llama 3's rule with Meta's own parameters.
    Golden('llama', dense(
        'llama', 'LlamaForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=54321.0,
        rope_scaling={'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
                      'original_max_position_embeddings': 8192},
        attention_bias=False, mlp_bias=False, pretraining_tp=1, tie_word_embeddings=True),
        gguf='llama', permuted=True, silent=('attention_bias', 'mlp_bias', 'pretraining_tp', 'hidden_act')),
    # Every bias, a head size of its own, untied; the rule's parameters are nobody's.
    Golden('llama.biased', dense(
        'llama', 'LlamaForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.006, head_dim=20,
        rope_parameters={'rope_theta': 333.0, 'rope_type': 'llama3', 'factor': 6.0, 'low_freq_factor': 1.25,
                         'high_freq_factor': 5.0, 'original_max_position_embeddings': 48},
        attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
        gguf='llama', permuted=True, silent=('hidden_act',)),
    # What old files leave out: as many key heads as heads, theta 10000.
    Golden('llama.bare', dense(
        'llama', 'LlamaForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.002, num_key_value_heads=..., num_hidden_layers=2),
        gguf='llama', permuted=True, silent=('hidden_act',)),

    # Qwen 2: biases on q, k and v that no key of the config mentions; windows switched off.
    Golden('qwen2', dense(
        'qwen2', 'Qwen2ForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=777.0, sliding_window=9,
        use_sliding_window=False, max_window_layers=1, tie_word_embeddings=True),
        gguf='qwen2', silent=('hidden_act', 'sliding_window', 'use_sliding_window', 'max_window_layers')),
    # Windows from the second layer on, YaRN.
    Golden('qwen2.windowed', dense(
        'qwen2', 'Qwen2ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, sliding_window=9,
        use_sliding_window=True, max_window_layers=1, tie_word_embeddings=False,
        rope_parameters={'rope_theta': 555.0, 'rope_type': 'yarn', 'factor': 4.0, 'original_max_position_embeddings': 32}),
        silent=('hidden_act',)),
    Golden('qwen2.yarn', dense(
        'qwen2', 'Qwen2ForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.005, rope_theta=888.0,
        rope_scaling={'type': 'yarn', 'factor': 4.0, 'original_max_position_embeddings': 32}, tie_word_embeddings=False),
        gguf='qwen2', silent=('hidden_act',)),

    Golden('qwen3', dense(
        'qwen3', 'Qwen3ForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.005, head_dim=16, rope_theta=2222.0,
        rope_scaling=None, attention_bias=False, sliding_window=None, use_sliding_window=False, max_window_layers=3,
        tie_word_embeddings=True),
        gguf='qwen3', silent=('hidden_act', 'attention_bias', 'sliding_window', 'use_sliding_window', 'max_window_layers', 'rope_scaling')),
    Golden('qwen3.windowed', dense(
        'qwen3', 'Qwen3ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, head_dim=20, attention_bias=True,
        sliding_window=11, use_sliding_window=True, layer_types=['full_attention', 'sliding_attention', 'full_attention'],
        rope_parameters={'rope_theta': 444.0, 'rope_type': 'linear', 'factor': 2.5}, tie_word_embeddings=False),
        silent=('hidden_act', 'max_window_layers')),

    # Qwen 3.5: DeltaNet in three layers of four, with no key saying so; two value heads for each key head.
    Golden('qwen3_5_text', dense(
        'qwen3_5_text', 'Qwen3_5ForCausalLM', OLD, hidden_act='silu', num_hidden_layers=4, rms_norm_eps=0.004, head_dim=16,
        rope_theta=2345.0, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=12, linear_value_head_dim=8,
        linear_conv_kernel_dim=4, attention_bias=False, tie_word_embeddings=True),
        gguf='qwen35', zero_centred=True, silent=('hidden_act', 'attention_bias', 'linear_conv_kernel_dim')),
    # Listed layers, three taps, a head for each head, half of each attention head rotated.
    Golden('qwen3_5_text.typed', dense(
        'qwen3_5_text', 'Qwen3_5ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.005, head_dim=20, num_key_value_heads=1,
        linear_num_key_heads=3, linear_num_value_heads=3, linear_key_head_dim=8, linear_value_head_dim=16,
        linear_conv_kernel_dim=3, attention_bias=True,
        layer_types=['full_attention', 'linear_attention', 'linear_attention'],
        rope_parameters={'rope_theta': 531.0, 'rope_type': 'default', 'partial_rotary_factor': 0.4, 'mrope_interleaved': True,
                         'mrope_section': [2, 1, 1]}, tie_word_embeddings=False),
        gguf='qwen35', zero_centred=True,
        silent=('hidden_act', 'rope_parameters.rope_type', 'rope_parameters.mrope_interleaved', 'rope_parameters.mrope_section')),

    # Its mixtures: experts in every layer, and no key for a dense one.
    Golden('qwen3_5_moe_text', targets=(*SHARED, *DELTA), parameters=EXPERTS, config=dense(
        'qwen3_5_moe_text', 'Qwen3_5MoeForCausalLM', NEW, intermediate_size=..., hidden_act='silu', rms_norm_eps=0.004,
        head_dim=16, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=12,
        linear_conv_kernel_dim=4, full_attention_interval=2, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24,
        shared_expert_intermediate_size=40, rope_parameters={'rope_theta': 432.0, 'rope_type': 'default',
                                                             'partial_rotary_factor': 0.5}, tie_word_embeddings=False),
        gguf='qwen35moe', zero_centred=True, silent=('hidden_act', 'linear_conv_kernel_dim', 'rope_parameters.rope_type')),
    # Projections fused by key head.
    Golden('qwen3_next', targets=(*ATTENTION, 'shared_expert_gate', 'in_proj_qkvz', 'in_proj_ba', 'out_proj'),
           parameters=(*EXPERTS, 'mlp.gate.weight'), config=dense(
        'qwen3_next', 'Qwen3NextForCausalLM', OLD, hidden_act='silu', num_hidden_layers=4, rms_norm_eps=0.004, head_dim=16,
        rope_theta=2345.0, partial_rotary_factor=0.25, linear_num_key_heads=2, linear_num_value_heads=6,
        linear_key_head_dim=12, linear_value_head_dim=8, linear_conv_kernel_dim=4, attention_bias=False,
        decoder_sparse_step=1, mlp_only_layers=[], num_experts=5, num_experts_per_tok=2, moe_intermediate_size=16,
        shared_expert_intermediate_size=24, norm_topk_prob=True, tie_word_embeddings=False),
        gguf='qwen3next', zero_centred=True, silent=('hidden_act', 'attention_bias', 'linear_conv_kernel_dim',
                                                     'decoder_sparse_step', 'mlp_only_layers', 'partial_rotary_factor',
                                                     'norm_topk_prob')),
    # Experts in some layers, whose scores are as they are.
    Golden('qwen3_next.sparse', targets=(*ATTENTION, 'in_proj_qkvz', 'in_proj_ba', 'out_proj'), config=dense(
        'qwen3_next', 'Qwen3NextForCausalLM', NEW, hidden_act='silu', num_hidden_layers=4, rms_norm_eps=0.003, head_dim=20,
        linear_num_key_heads=3, linear_num_value_heads=3, linear_key_head_dim=8, linear_value_head_dim=16,
        linear_conv_kernel_dim=3, layer_types=['linear_attention', 'full_attention', 'linear_attention', 'full_attention'],
        decoder_sparse_step=2, mlp_only_layers=[1], num_experts=4, num_experts_per_tok=3, moe_intermediate_size=24,
        shared_expert_intermediate_size=16, norm_topk_prob=False, tie_word_embeddings=True,
        rope_parameters={'rope_theta': 789.0, 'rope_type': 'default', 'partial_rotary_factor': 0.4}),
        zero_centred=True, silent=('hidden_act', 'rope_parameters.rope_type')),

    # LFM2: hub files give the MLP's size before it is adjusted, and tie by a key of their own.
    Golden('lfm2', dense(
        'lfm2', 'Lfm2ForCausalLM', OLD, intermediate_size=..., block_ff_dim=120, block_auto_adjust_ff_dim=True,
        block_ffn_dim_multiplier=1.1, block_multiple_of=16, num_hidden_layers=4, norm_eps=0.004, rope_theta=4321.0,
        full_attn_idxs=[2], conv_L_cache=4, conv_bias=False, conv_dim=48, block_use_swiglu=True, tie_embedding=True),
        gguf='lfm2', silent=('conv_bias', 'conv_dim', 'block_use_swiglu', 'block_auto_adjust_ff_dim', 'tie_embedding')),
    # Listed layers, biases, two taps, a size that is taken as it is.
    Golden('lfm2.typed', dense(
        'lfm2', 'Lfm2ForCausalLM', NEW, block_auto_adjust_ff_dim=False, norm_eps=0.003, num_key_value_heads=1,
        layer_types=['full_attention', 'conv', 'conv'], conv_L_cache=2, conv_bias=True,
        rope_parameters={'rope_theta': 531.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('rope_parameters.rope_type',)),

    # Its mixtures: the first layers without experts, which are chosen by scores with a bias.
    Golden('lfm2_moe', targets=(*ATTENTION[:3], 'out_proj', 'in_proj'), config=dense(
        'lfm2_moe', 'Lfm2MoeForCausalLM', OLD, num_hidden_layers=4, norm_eps=0.004, rope_theta=4321.0, conv_L_cache=4,
        conv_bias=False, layer_types=['conv', 'full_attention', 'conv', 'full_attention'], num_dense_layers=1,
        moe_intermediate_size=24, num_experts=7, num_experts_per_tok=3, norm_topk_prob=True, use_expert_bias=True,
        routed_scaling_factor=1.0, tie_embedding=True),
        gguf='lfm2moe', silent=('conv_bias', 'norm_topk_prob', 'use_expert_bias', 'routed_scaling_factor', 'tie_embedding')),
    # Scores as they are, scaled.
    Golden('lfm2_moe.plain', targets=(*ATTENTION[:3], 'out_proj', 'in_proj'), config=dense(
        'lfm2_moe', 'Lfm2MoeForCausalLM', NEW, norm_eps=0.003, num_key_value_heads=4, conv_L_cache=3, conv_bias=True,
        layer_types=['conv', 'full_attention', 'conv'], num_dense_layers=0, moe_intermediate_size=16, num_experts=5,
        num_experts_per_tok=2, norm_topk_prob=False, use_expert_bias=False, routed_scaling_factor=1.5,
        rope_parameters={'rope_theta': 531.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('conv_L_cache', 'rope_parameters.rope_type', 'intermediate_size')),

    # Falcon-H1: multipliers everywhere, no norm of what Mamba makes.
    Golden('falcon_h1', targets=(*ATTENTION, *GATED, 'in_proj'), config=dense(
        'falcon_h1', 'FalconH1ForCausalLM', OLD, hidden_act='silu', num_hidden_layers=2, rms_norm_eps=0.004, head_dim=16,
        rope_theta=4321.0, rope_scaling=None, attention_bias=False, mlp_bias=False, projectors_bias=False, mamba_d_ssm=64,
        mamba_n_heads=4, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=12, mamba_d_conv=3, mamba_expand=2,
        mamba_chunk_size=16, mamba_conv_bias=True, mamba_proj_bias=False, mamba_rms_norm=False, mamba_norm_before_gate=False,
        mamba_use_mlp=True, embedding_multiplier=1.75, lm_head_multiplier=0.6, key_multiplier=0.7, attention_in_multiplier=1.4,
        attention_out_multiplier=0.8, ssm_in_multiplier=1.2, ssm_out_multiplier=0.75,
        ssm_multipliers=[0.6, 1.5, 0.7, 1.3, 0.4], mlp_multipliers=[0.65, 1.35], tie_word_embeddings=False),
        gguf='falcon-h1', silent=('hidden_act', 'rope_scaling', 'attention_bias', 'mlp_bias', 'projectors_bias', 'mamba_d_head',
                                  'mamba_n_groups', 'mamba_expand', 'mamba_chunk_size', 'mamba_conv_bias', 'mamba_proj_bias',
                                  'mamba_rms_norm', 'mamba_norm_before_gate', 'mamba_use_mlp')),
    # A norm of each group behind the gate.
    Golden('falcon_h1.grouped', targets=(*ATTENTION, *GATED, 'in_proj'), config=dense(
        'falcon_h1', 'FalconH1ForCausalLM', NEW, hidden_act='silu', num_hidden_layers=2, rms_norm_eps=0.005,
        mamba_d_ssm=96, mamba_n_heads=6, mamba_d_head='auto', mamba_n_groups=3, mamba_d_state=8, mamba_d_conv=4,
        mamba_rms_norm=True, mamba_norm_before_gate=False, rope_parameters={'rope_theta': 531.0, 'rope_type': 'default'},
        tie_word_embeddings=False),
        gguf='falcon-h1', silent=('hidden_act', 'mamba_d_head', 'mamba_d_conv', 'rope_parameters.rope_type')),
    # In front of the gate, every bias, channels by mamba_expand, as many key heads as heads.
    Golden('falcon_h1.biased', targets=(*ATTENTION, *GATED, 'in_proj'), config=dense(
        'falcon_h1', 'FalconH1ForCausalLM', NEW, hidden_act='silu', num_hidden_layers=2, rms_norm_eps=0.003,
        num_key_value_heads=None, attention_bias=True, mlp_bias=True, projectors_bias=True, mamba_d_ssm=None, mamba_n_heads=4,
        mamba_d_head=36, mamba_n_groups=2, mamba_d_state=16, mamba_expand=3, mamba_conv_bias=False, mamba_proj_bias=True,
        mamba_rms_norm=True, rope_parameters={'rope_theta': 765.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'mamba_d_head', 'rope_parameters.rope_type')),

    # Bamba: attention where listed, half of each head rotated.
    Golden('bamba', positions=True, targets=(*ATTENTION, *GATED, 'in_proj', 'out_proj'), config=dense(
        'bamba', 'BambaForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=4321.0, attn_layer_indices=[1],
        attn_rotary_emb=6, attention_bias=False, mlp_bias=False, mamba_n_heads=6, mamba_d_head=16, mamba_n_groups=2,
        mamba_d_state=12, mamba_d_conv=3, mamba_expand=2, mamba_chunk_size=8, mamba_conv_bias=True, mamba_proj_bias=False,
        z_loss_coefficient=0.0, tie_word_embeddings=False),
        silent=('hidden_act', 'attn_rotary_emb', 'attention_bias', 'mlp_bias', 'mamba_d_head', 'mamba_expand',
                'mamba_chunk_size', 'mamba_conv_bias', 'mamba_proj_bias', 'z_loss_coefficient')),

    # Nemotron-H: one mixer to a layer, by a pattern, as hub files have it.
    Golden('nemotron_h', targets=(*ATTENTION, 'in_proj', 'up_proj', 'down_proj'), config=dense(
        'nemotron_h', 'NemotronHForCausalLM', OLD, num_hidden_layers=4, hybrid_override_pattern='M-*M', head_dim=16,
        layer_norm_epsilon=0.004, attention_bias=False, mlp_hidden_act='relu2', mlp_bias=False, mamba_hidden_act='silu',
        mamba_num_heads=6, mamba_head_dim=12, n_groups=3, ssm_state_size=10, conv_kernel=3, expand=2, use_bias=False,
        use_conv_bias=True, chunk_size=8, time_step_min=0.001, residual_in_fp32=False, tie_word_embeddings=False),
        gguf='nemotron_h', silent=('num_hidden_layers', 'attention_bias', 'mlp_hidden_act', 'mlp_bias', 'mamba_hidden_act',
                                   'expand', 'use_bias', 'use_conv_bias', 'chunk_size', 'time_step_min', 'residual_in_fp32')),
    # Experts without a gate, chosen by groups, between projections; listed layers, biases.
    Golden('nemotron_h.experts', targets=(*ATTENTION, 'in_proj', 'fc1_latent_proj', 'fc2_latent_proj'), config=dense(
        'nemotron_h', 'NemotronHForCausalLM', NEW, num_hidden_layers=...,
        layers_block_type=['linear_attention', 'moe', 'full_attention', 'moe', 'mlp'],
        head_dim=20, num_key_value_heads=1, layer_norm_epsilon=0.005, mlp_bias=True, mamba_num_heads=4, mamba_head_dim=16,
        n_groups=2, ssm_state_size=16, conv_kernel=4, use_bias=True, use_conv_bias=False, n_routed_experts=12,
        num_experts_per_tok=3, moe_intermediate_size=24, moe_shared_expert_intermediate_size=40, moe_latent_size=32,
        routed_scaling_factor=1.75, n_group=4, topk_group=2, norm_topk_prob=False, n_shared_experts=1,
        tie_word_embeddings=False),
        silent=('conv_kernel', 'n_shared_experts')),
    # As Nemotron 3 Nano has them.
    Golden('nemotron_h.nano', targets=('in_proj', 'o_proj', 'shared_experts.up_proj'), config=dense(
        'nemotron_h', 'NemotronHForCausalLM', OLD, num_hidden_layers=3, hybrid_override_pattern='ME*', head_dim=16,
        layer_norm_epsilon=0.003, mamba_num_heads=8, mamba_head_dim=8, n_groups=2, ssm_state_size=12, n_routed_experts=6,
        num_experts_per_tok=2, moe_intermediate_size=16, moe_shared_expert_intermediate_size=32, routed_scaling_factor=2.5,
        n_group=1, topk_group=1, norm_topk_prob=True, n_shared_experts=1, tie_word_embeddings=False),
        gguf='nemotron_h_moe', silent=('num_hidden_layers', 'num_experts_per_tok', 'n_group', 'topk_group', 'norm_topk_prob',
                                       'n_shared_experts', 'intermediate_size')),

    # Gemma 3: every sixth layer is full without any key saying so; what GGUF holds too.
    Golden('gemma3_text', dense(
        'gemma3_text', 'Gemma3ForCausalLM', OLD, hidden_size=40, num_hidden_layers=7, hidden_activation='gelu_pytorch_tanh',
        rms_norm_eps=0.004, head_dim=16, query_pre_attn_scalar=16, sliding_window=9, rope_theta=4321.0,
        rope_local_base_freq=321.0, rope_scaling={'rope_type': 'linear', 'factor': 8.0}, attention_bias=False,
        attn_logit_softcapping=None, final_logit_softcapping=None),
        gguf='gemma3', zero_centred=True,
        silent=('hidden_activation', 'attention_bias', 'attn_logit_softcapping', 'final_logit_softcapping')),
    # A pattern of two, a scale that is not the head size's, theta and local theta left at their defaults.
    Golden('gemma3_text.pattern', dense(
        'gemma3_text', 'Gemma3ForCausalLM', OLD, hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.003, head_dim=20,
        query_pre_attn_scalar=37, sliding_window=11, sliding_window_pattern=2),
        zero_centred=True, silent=('hidden_activation',)),
    Golden('gemma3_text.typed', dense(
        'gemma3_text', 'Gemma3ForCausalLM', NEW, hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.005, head_dim=16,
        query_pre_attn_scalar=7, sliding_window=7, attention_bias=True,
        layer_types=['full_attention', 'sliding_attention', 'sliding_attention'],
        rope_parameters={'full_attention': {'rope_theta': 654.0, 'rope_type': 'linear', 'factor': 3.0},
                         'sliding_attention': {'rope_theta': 77.0, 'rope_type': 'default'}},
        tie_word_embeddings=False),
        zero_centred=True, silent=('hidden_activation', 'rope_parameters.sliding_attention.rope_type')),

    # Gemma 3n: four streams, of which the second is computed; gates that are sparse in some layers, of widths of their own.
    Golden('gemma3n_text', rate=0.005, config=dense(
        'gemma3n_text', 'Gemma3nForCausalLM', NEW, hidden_size=32, intermediate_size=[48, 40, 48, 56], num_hidden_layers=4,
        hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.005, head_dim=12, sliding_window=9, num_kv_shared_layers=2,
        layer_types=['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'], laurel_rank=6,
        hidden_size_per_layer_input=8, vocab_size_per_layer_input=96, altup_num_inputs=3, altup_active_idx=1,
        altup_correct_scale=False, activation_sparsity_pattern=[0.6, 0.0, 0.3, 0.0], final_logit_softcapping=7.0,
        rope_parameters={'full_attention': {'rope_theta': 654.0, 'rope_type': 'linear', 'factor': 3.0},
                         'sliding_attention': {'rope_theta': 77.0, 'rope_type': 'default'}},
        tie_word_embeddings=True),
        silent=('hidden_activation', 'rope_parameters.sliding_attention.rope_type')),
    # What is usual: every fifth layer sees all, the first ten are sparse, with no key saying so.
    Golden('gemma3n_text.plain', rate=0.001, config=dense(
        'gemma3n_text', 'Gemma3nForCausalLM', OLD, hidden_size=32, num_hidden_layers=11,
        hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.004, head_dim=12, sliding_window=9, num_kv_shared_layers=3,
        laurel_rank=6, hidden_size_per_layer_input=8, vocab_size_per_layer_input=96, altup_num_inputs=4, altup_active_idx=0,
        altup_coef_clip=120.0, rope_theta=4321.0, rope_local_base_freq=321.0, rope_scaling=None, attention_bias=False),
        gguf='gemma3n', silent=('hidden_activation', 'altup_num_inputs', 'altup_active_idx', 'altup_coef_clip', 'rope_scaling', 'attention_bias')),

    # Gemma 4, small: per-layer embeddings, the last layers read the keys and values of earlier ones and have wider MLPs.
    Golden('gemma4_text.plain', rate=0.005, config=dense(
        'gemma4_text', 'Gemma4ForCausalLM', OLD, hidden_size=40, intermediate_size=56, num_hidden_layers=9,
        hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.004, head_dim=12, global_head_dim=20, sliding_window=9,
        attention_bias=False, num_kv_shared_layers=3, use_double_wide_mlp=True, hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=96, final_logit_softcapping=7.0, tie_word_embeddings=True, attention_k_eq_v=False,
        rope_parameters={'full_attention': {'rope_theta': 4321.0, 'rope_type': 'proportional', 'partial_rotary_factor': 0.4},
                         'sliding_attention': {'rope_theta': 321.0, 'rope_type': 'default'}}),
        gguf='gemma4', silent=('hidden_activation', 'attention_bias', 'attention_k_eq_v', 'rope_parameters.sliding_attention.rope_type')),
    # Keys are values where all is seen, with heads of their own; thetas and the last layer's kind are not said.
    Golden('gemma4_text.large', dense(
        'gemma4_text', 'Gemma4ForCausalLM', NEW, hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.003, head_dim=16,
        global_head_dim=24, num_global_key_value_heads=1, attention_k_eq_v=True, attention_bias=True, sliding_window=7,
        hidden_size_per_layer_input=0, layer_types=['full_attention', 'sliding_attention', 'sliding_attention'],
        tie_word_embeddings=False),
        gguf='gemma4', silent=('hidden_activation',)),
    # Experts beside each MLP, with a router that norms and scales by itself.
    Golden('gemma4_text.mixture', rate=0.005, parameters=('experts.gate_up_proj', 'experts.down_proj'), config=dense(
        'gemma4_text', 'Gemma4ForCausalLM', OLD, intermediate_size=40, hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.004,
        head_dim=12, global_head_dim=16, num_global_key_value_heads=1, attention_k_eq_v=True, sliding_window=9,
        hidden_size_per_layer_input=0, enable_moe_block=True, num_experts=6, top_k_experts=2, moe_intermediate_size=24,
        layer_types=['sliding_attention', 'sliding_attention', 'full_attention'], tie_word_embeddings=True,
        rope_parameters={'full_attention': {'rope_theta': 987.0, 'rope_type': 'proportional', 'partial_rotary_factor': 0.5},
                         'sliding_attention': {'rope_theta': 123.0, 'rope_type': 'default'}}),
        gguf='gemma4', silent=('hidden_activation', 'rope_parameters.sliding_attention.rope_type', 'layer_types')),
    # Without encoders beside it, and without per-layer embeddings, with no key saying so.
    Golden('gemma4_unified_text', dense(
        'gemma4_unified_text', 'Gemma4UnifiedForCausalLM', NEW, hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.005,
        num_hidden_layers=2, head_dim=12, global_head_dim=20, num_global_key_value_heads=1, attention_k_eq_v=True, sliding_window=9,
        final_logit_softcapping=9.0, tie_word_embeddings=True),
        silent=('hidden_activation',)),
    # As transformers 5 saves it, with the sizes of single layers.
    Golden('gemma4_text', rate=0.005, config=dense(
        'gemma4_text', 'Gemma4ForCausalLM', NEW, hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.005, head_dim=16,
        num_hidden_layers=4, sliding_window=11, num_kv_shared_layers=1, hidden_size_per_layer_input=6,
        vocab_size_per_layer_input=96, use_double_wide_mlp=False, final_logit_softcapping=11.0,
        per_layer_config={'1': {'head_dim': 20, 'num_key_value_heads': 1}, '3': {'head_dim': 20, 'num_key_value_heads': 1}},
        layer_types=['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
        rope_parameters={'full_attention': {'rope_theta': 654.0, 'rope_type': 'proportional', 'partial_rotary_factor': 0.5, 'factor': 2.0},
                         'sliding_attention': {'rope_theta': 77.0, 'rope_type': 'linear', 'factor': 3.0}},
        tie_word_embeddings=True),
        silent=('hidden_activation', 'use_double_wide_mlp')),

    # Mistral: a window in every layer, which its GGUF form does not know; Nemo: none, a head size of its own.
    Golden('mistral', dense(
        'mistral', 'MistralForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=1111.0, sliding_window=9,
        tie_word_embeddings=False),
        silent=('hidden_act',)),
    Golden('mistral.nemo', dense(
        'mistral', 'MistralForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.005, sliding_window=None, head_dim=20,
        rope_parameters={'rope_theta': 2345.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        gguf='llama', permuted=True, silent=('hidden_act', 'sliding_window', 'rope_parameters.rope_type')),
    Golden('ministral', dense(
        'ministral', 'MinistralForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, sliding_window=9, head_dim=16,
        layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
        rope_parameters={'rope_theta': 987.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('hidden_act', 'rope_parameters.rope_type')),
    # YaRN whose two mscales cancel, and queries that grow with the position.
    Golden('ministral3', dense(
        'ministral3', 'Ministral3ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.004, sliding_window=None, head_dim=16,
        rope_parameters={'rope_theta': 765.0, 'rope_type': 'yarn', 'factor': 8.0, 'original_max_position_embeddings': 20,
                         'beta_fast': 0.5, 'beta_slow': 0.25, 'mscale': 1.0, 'mscale_all_dim': 1.0, 'llama_4_scaling_beta': 0.3},
        tie_word_embeddings=True),
        gguf='mistral3', permuted=True, keys=[['rope.scaling.yarn_log_multiplier', 'f32', 1.0], ['attention.temperature_scale', 'f32', 0.3]],
        silent=('hidden_act', 'sliding_window')),

    # Phi 3: fused projections; every text is longer than the original context, so the long factors count.
    Golden('phi3', dense(
        'phi3', 'Phi3ForCausalLM', OLD, hidden_size=64, hidden_act='silu', rms_norm_eps=0.004, rope_theta=876.0,
        partial_rotary_factor=0.75, original_max_position_embeddings=12, sliding_window=None, attention_bias=False,
        rope_scaling={'type': 'longrope', 'short_factor': [1.5, 2.5, 3.0, 3.5, 4.0, 5.0], 'long_factor': [1.0, 1.25, 2.0, 4.0, 6.0, 8.5]},
        embd_pdrop=0.0, resid_pdrop=0.0, tie_word_embeddings=True),
        gguf='phi3', rows=(15, 22),
        silent=('hidden_act', 'sliding_window', 'attention_bias', 'embd_pdrop', 'resid_pdrop')),
    # No text is longer: the short factors count, the factor of cosine and sine all the same.
    Golden('phi3.short', dense(
        'phi3', 'Phi3ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.005, original_max_position_embeddings=96,
        max_position_embeddings=384, sliding_window=11, embd_pdrop=0.0, resid_pdrop=0.0,
        rope_parameters={'rope_theta': 678.0, 'rope_type': 'longrope', 'partial_rotary_factor': 0.5,
                         'short_factor': [1.5, 2.5, 3.0], 'long_factor': [1.0, 1.25, 2.0]},
        tie_word_embeddings=False),
        silent=('hidden_act', 'embd_pdrop', 'resid_pdrop')),

    # Gemma: one key head, the old name of its activation, which is the tanh form all the same.
    Golden('gemma', dense(
        'gemma', 'GemmaForCausalLM', OLD, hidden_act='gelu', hidden_activation=None, rms_norm_eps=0.004, head_dim=20,
        num_key_value_heads=1, rope_theta=10000.0, rope_scaling=None, attention_bias=False),
        gguf='gemma', zero_centred=True,
        silent=('hidden_act', 'hidden_activation', 'rope_theta', 'rope_scaling', 'attention_bias')),
    Golden('gemma.new', dense(
        'gemma', 'GemmaForCausalLM', NEW, hidden_act='gelu_pytorch_tanh', rms_norm_eps=0.006, head_dim=16,
        rope_parameters={'rope_theta': 432.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        zero_centred=True, silent=('hidden_act', 'rope_parameters.rope_type')),

    Golden('gemma2', dense(
        'gemma2', 'Gemma2ForCausalLM', OLD, hidden_act='gelu_pytorch_tanh', hidden_activation='gelu_pytorch_tanh',
        rms_norm_eps=0.004, head_dim=16, query_pre_attn_scalar=16, sliding_window=9, attn_logit_softcapping=1.25,
        final_logit_softcapping=6.0, rope_theta=10000.0, attention_bias=False, cache_implementation='hybrid'),
        gguf='gemma2', zero_centred=True,
        silent=('hidden_act', 'hidden_activation', 'rope_theta', 'attention_bias', 'cache_implementation')),
    # The layers' kinds given the other way round, caps switched off.
    Golden('gemma2.typed', dense(
        'gemma2', 'Gemma2ForCausalLM', NEW, hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.003, head_dim=20,
        query_pre_attn_scalar=11, sliding_window=7, attn_logit_softcapping=None, final_logit_softcapping=None,
        attention_bias=True, layer_types=['full_attention', 'sliding_attention', 'full_attention'],
        rope_parameters={'rope_theta': 543.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        zero_centred=True, silent=('hidden_activation', 'rope_parameters.rope_type')),

    # OLMo 2: norms after the branches alone, and over all heads of q and k at once.
    Golden('olmo2', dense(
        'olmo2', 'Olmo2ForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=3333.0, rope_scaling=None,
        attention_bias=False, tie_word_embeddings=False),
        gguf='olmo2', silent=('hidden_act', 'rope_scaling', 'attention_bias')),
    Golden('olmo2.biased', dense(
        'olmo2', 'Olmo2ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.006, attention_bias=True, num_key_value_heads=4,
        rope_parameters={'rope_theta': 222.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('hidden_act', 'num_key_value_heads', 'rope_parameters.rope_type')),
    # OLMo 3: YaRN in the full layers only, every fourth.
    Golden('olmo3', dense(
        'olmo3', 'Olmo3ForCausalLM', OLD, hidden_act='silu', num_hidden_layers=4, rms_norm_eps=0.004, rope_theta=500000.0,
        sliding_window=9, attention_bias=False, tie_word_embeddings=False,
        rope_scaling={'rope_type': 'yarn', 'factor': 8.0, 'original_max_position_embeddings': 16,
                      'attention_factor': 1.2079441541679836, 'beta_fast': 32.0, 'beta_slow': 1.0}),
        gguf='olmo2', silent=('hidden_act', 'rope_theta', 'attention_bias', 'rope_scaling.attention_factor',
                              'rope_scaling.beta_fast', 'rope_scaling.beta_slow')),
    Golden('olmo3.typed', dense(
        'olmo3', 'Olmo3ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.005, sliding_window=7, attention_bias=True,
        layer_types=['full_attention', 'sliding_attention', 'sliding_attention'],
        rope_parameters={'full_attention': {'rope_theta': 987.0, 'rope_type': 'yarn', 'factor': 4.0,
                                            'original_max_position_embeddings': 32, 'attention_factor': 1.4},
                         'sliding_attention': {'rope_theta': 123.0, 'rope_type': 'default'}}, tie_word_embeddings=False),
        silent=('hidden_act', 'rope_parameters.sliding_attention.rope_type')),

    Golden('granite', dense(
        'granite', 'GraniteForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=1357.0, rope_scaling=None,
        attention_bias=False, mlp_bias=False, embedding_multiplier=0.6, residual_multiplier=1.4,
        attention_multiplier=0.45, logits_scaling=0.6, tie_word_embeddings=True),
        gguf='granite', permuted=True, silent=('hidden_act', 'rope_scaling', 'attention_bias', 'mlp_bias')),
    Golden('granite.biased', dense(
        'granite', 'GraniteForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.005, attention_bias=True, mlp_bias=True,
        embedding_multiplier=3.0, residual_multiplier=0.7, attention_multiplier=0.2, logits_scaling=1.25,
        rope_parameters={'rope_theta': 246.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        gguf='granite', permuted=True, silent=('hidden_act', 'rope_parameters.rope_type')),

    # Granite 4 without Mamba and without experts; its GGUF files are Granite's, with gate and up apart.
    Golden('granitemoehybrid', dense(
        'granitemoehybrid', 'GraniteMoeHybridForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=1753.0,
        rope_scaling=None, attention_bias=False, embedding_multiplier=0.8, residual_multiplier=1.3, attention_multiplier=0.4,
        logits_scaling=0.7, num_local_experts=0, num_experts_per_tok=0, shared_intermediate_size=72,
        position_embedding_type='rope', layer_types=['attention'] * 3, mamba_n_heads=4, tie_word_embeddings=True),
        silent=('intermediate_size', 'hidden_act', 'rope_scaling', 'attention_bias', 'num_experts_per_tok')),
    Golden('granitemoehybrid.nope', dense(
        'granitemoehybrid', 'GraniteMoeHybridForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.005, attention_bias=True,
        embedding_multiplier=2.0, residual_multiplier=0.7, attention_multiplier=0.2, logits_scaling=1.25, num_local_experts=0,
        shared_intermediate_size=88, position_embedding_type=None, layer_types=['full_attention'] * 3, mamba_n_heads=4,
        tie_word_embeddings=False),
        silent=('intermediate_size', 'hidden_act', 'position_embedding_type')),

    # With Mamba: two groups, three taps; a projection without bias, a convolution with one.
    Golden('granitemoehybrid.mamba', targets=(*ATTENTION, 'in_proj', 'out_proj', 'input_linear', 'output_linear'), config=dense(
        'granitemoehybrid', 'GraniteMoeHybridForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, attention_bias=False,
        embedding_multiplier=0.8, residual_multiplier=1.3, attention_multiplier=0.4, logits_scaling=0.7, num_local_experts=0,
        num_experts_per_tok=0, shared_intermediate_size=72, position_embedding_type='nope',
        layer_types=['mamba', 'attention', 'mamba'], mamba_n_heads=6, mamba_n_groups=2, mamba_d_state=12, mamba_d_head=16,
        mamba_d_conv=3, mamba_expand=2, mamba_chunk_size=8, mamba_conv_bias=True, mamba_proj_bias=False,
        tie_word_embeddings=True),
        gguf='granitehybrid', permuted=True,
        silent=('intermediate_size', 'hidden_act', 'attention_bias', 'num_experts_per_tok', 'position_embedding_type',
                'mamba_d_head', 'mamba_expand', 'mamba_chunk_size', 'mamba_conv_bias', 'mamba_proj_bias')),
    # Beside experts, in every layer; rotated attention, which a GGUF file cannot say.
    Golden('granitemoehybrid.experts', targets=(*ATTENTION, 'in_proj', 'out_proj', 'input_linear', 'output_linear'), config=dense(
        'granitemoehybrid', 'GraniteMoeHybridForCausalLM', NEW, hidden_act='silu', intermediate_size=24, rms_norm_eps=0.005,
        attention_bias=True, embedding_multiplier=2.0, residual_multiplier=0.7, attention_multiplier=0.2, logits_scaling=1.25,
        num_local_experts=6, num_experts_per_tok=3, shared_intermediate_size=40, position_embedding_type='rope',
        layer_types=['linear_attention', 'full_attention', 'linear_attention'], mamba_n_heads=4, mamba_n_groups=1,
        mamba_d_state=16, mamba_d_head='auto', mamba_d_conv=4, mamba_expand=3, mamba_conv_bias=False, mamba_proj_bias=True,
        rope_parameters={'rope_theta': 531.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('hidden_act', 'mamba_n_groups', 'mamba_d_head', 'mamba_d_conv', 'rope_parameters.rope_type')),
    # As GGUF files have it.
    Golden('granitemoehybrid.nope-experts', targets=('in_proj', 'o_proj'), config=dense(
        'granitemoehybrid', 'GraniteMoeHybridForCausalLM', NEW, hidden_act='silu', intermediate_size=16, rms_norm_eps=0.003,
        attention_bias=False, num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=32, num_hidden_layers=2,
        position_embedding_type=None, layer_types=['linear_attention', 'full_attention'], mamba_n_heads=8, mamba_n_groups=1,
        mamba_d_state=8, mamba_d_head=12, mamba_d_conv=4, mamba_expand=2, tie_word_embeddings=False),
        gguf='granitehybrid', permuted=True,
        silent=('hidden_act', 'attention_bias', 'num_experts_per_tok', 'position_embedding_type', 'mamba_n_groups',
                'mamba_d_head', 'mamba_d_conv', 'mamba_expand')),

    # GLM 4 of 2024: as the next, without norms behind the branches.
    Golden('glm', dense(
        'glm', 'GlmForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, head_dim=16, rope_theta=1234.0,
        partial_rotary_factor=0.25, attention_bias=True, tie_word_embeddings=False),
        gguf='chatglm', silent=('hidden_act', 'attention_bias', 'num_key_value_heads')),
    Golden('glm.half', dense(
        'glm', 'GlmForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, head_dim=20, attention_bias=False, num_key_value_heads=1,
        rope_parameters={'rope_theta': 321.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'rope_parameters.rope_type')),

    # GLM 4: pairs side by side, in a part of each head; biases on q, k and v only.
    Golden('glm4', dense(
        'glm4', 'Glm4ForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, head_dim=16, rope_theta=1234.0,
        partial_rotary_factor=0.25, attention_bias=True, tie_word_embeddings=False),
        gguf='glm4', silent=('hidden_act', 'attention_bias', 'num_key_value_heads')),
    Golden('glm4.half', dense(
        'glm4', 'Glm4ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, head_dim=20, attention_bias=False, num_key_value_heads=1,
        rope_parameters={'rope_theta': 321.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'rope_parameters.rope_type')),

    # StarCoder 2: LayerNorms, biases everywhere, an MLP without a gate.
    Golden('starcoder2', dense(
        'starcoder2', 'Starcoder2ForCausalLM', OLD, hidden_act='gelu_pytorch_tanh', norm_epsilon=0.02, norm_type='layer_norm',
        mlp_type='default', rope_theta=999.0, sliding_window=None, use_bias=True, residual_dropout=0.0, embedding_dropout=0.0,
        tie_word_embeddings=True),
        gguf='starcoder2', silent=('hidden_act', 'norm_type', 'mlp_type', 'sliding_window', 'use_bias', 'residual_dropout', 'embedding_dropout',
                                   'num_key_value_heads')),
    Golden('starcoder2.windowed', dense(
        'starcoder2', 'Starcoder2ForCausalLM', NEW, hidden_act='gelu_pytorch_tanh', norm_epsilon=0.03, sliding_window=9,
        num_key_value_heads=1, use_bias=False, rope_parameters={'rope_theta': 456.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('hidden_act', 'rope_parameters.rope_type')),

    # Command R: both branches from one LayerNorm without bias, logits multiplied.
    Golden('cohere', dense(
        'cohere', 'CohereForCausalLM', OLD, hidden_act='silu', layer_norm_eps=0.02, rope_theta=1470.0, logit_scale=0.6,
        use_qk_norm=True, attention_bias=False),
        gguf='command-r', silent=('hidden_act', 'attention_bias'),
        keys=[['logit_scale', 'f32', 0.6], ['rope.scaling.type', 'string', 'none']]),
    Golden('cohere2', dense(
        'cohere2', 'Cohere2ForCausalLM', OLD, hidden_act='silu', num_hidden_layers=4, layer_norm_eps=0.02, rope_theta=2580.0,
        rotary_pct=1.0, logit_scale=0.7, sliding_window=9, sliding_window_pattern=4, attention_bias=False,
        position_embedding_type='rope_gptj', use_parallel_block=True, use_gated_activation=True),
        gguf='cohere2', silent=('hidden_act', 'rotary_pct', 'sliding_window_pattern', 'attention_bias', 'position_embedding_type',
                                'use_parallel_block', 'use_gated_activation'),
        keys=[['logit_scale', 'f32', 0.7], ['rope.dimension_count', 'u32', 12], ['rope.scaling.type', 'string', 'none']]),
    Golden('cohere2.typed', dense(
        'cohere2', 'Cohere2ForCausalLM', NEW, hidden_act='silu', layer_norm_eps=0.03, logit_scale=1.3, sliding_window=7,
        attention_bias=True, layer_types=['full_attention', 'sliding_attention', 'full_attention'],
        rope_parameters={'rope_theta': 369.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'rope_parameters.rope_type')),

    # SmolLM 3: every fourth layer without rotation, with no key saying so.
    Golden('smollm3', dense(
        'smollm3', 'SmolLM3ForCausalLM', OLD, hidden_act='silu', num_hidden_layers=4, rms_norm_eps=0.004, rope_theta=5000.0,
        rope_scaling=None, attention_bias=False, mlp_bias=False, use_sliding_window=False, sliding_window=None),
        gguf='smollm3', permuted=True,
        silent=('hidden_act', 'rope_scaling', 'attention_bias', 'mlp_bias', 'use_sliding_window', 'sliding_window')),
    # The layers without rotation are those with a window.
    Golden('smollm3.windowed', dense(
        'smollm3', 'SmolLM3ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.005, no_rope_layers=[1, 0, 1],
        use_sliding_window=True, sliding_window=9, attention_bias=True, mlp_bias=True,
        rope_parameters={'rope_theta': 147.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('hidden_act', 'rope_parameters.rope_type')),

    Golden('seed_oss', dense(
        'seed_oss', 'SeedOssForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, head_dim=20, rope_theta=2468.0,
        attention_bias=True, attention_out_bias=False, mlp_bias=False, residual_dropout=0.0, tie_word_embeddings=False),
        gguf='seed_oss', silent=('hidden_act', 'attention_bias', 'attention_out_bias', 'mlp_bias', 'residual_dropout')),
    Golden('seed_oss.biased', dense(
        'seed_oss', 'SeedOssForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, head_dim=16, attention_bias=False,
        attention_out_bias=True, mlp_bias=True, residual_dropout=0.0,
        rope_parameters={'rope_theta': 135.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'residual_dropout', 'rope_parameters.rope_type')),

    Golden('ernie4_5', dense(
        'ernie4_5', 'Ernie4_5ForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, head_dim=20, rope_theta=864.0,
        use_bias=False, tie_word_embeddings=True),
        gguf='ernie4_5', silent=('hidden_act', 'use_bias', 'num_key_value_heads')),
    Golden('ernie4_5.biased', dense(
        'ernie4_5', 'Ernie4_5ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.005, head_dim=16, use_bias=True, num_key_value_heads=1,
        rope_parameters={'rope_theta': 642.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('hidden_act', 'rope_parameters.rope_type')),

    # EXAONE 4 without a window rotates in all layers, with one only in those that have it.
    Golden('exaone4', dense(
        'exaone4', 'Exaone4ForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, head_dim=16, rope_theta=98765.0,
        rope_scaling={'rope_type': 'llama3', 'factor': 16.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
                      'original_max_position_embeddings': 8192},
        sliding_window=None, sliding_window_pattern=None,
        layer_types=['full_attention', 'full_attention', 'full_attention'], tie_word_embeddings=True),
        gguf='exaone4', silent=('hidden_act', 'sliding_window_pattern')),
    Golden('exaone4.windowed', dense(
        'exaone4', 'Exaone4ForCausalLM', NEW, hidden_act='silu', num_hidden_layers=4, rms_norm_eps=0.005, head_dim=16,
        sliding_window=9, sliding_window_pattern='LLLG',
        layer_types=['sliding_attention', 'sliding_attention', 'sliding_attention', 'full_attention'],
        rope_parameters={'rope_theta': 753.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        gguf='exaone4', silent=('hidden_act', 'sliding_window_pattern', 'rope_parameters.rope_type')),

    # Hunyuan: norms of q and k after the rotation, whose base an alpha raises.
    Golden('hunyuan_v1_dense', dense(
        'hunyuan_v1_dense', 'HunYuanDenseV1ForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, head_dim=20,
        rope_theta=10000.0, rope_scaling={'type': 'dynamic', 'alpha': 30.0, 'factor': 1.0, 'beta_fast': 32, 'beta_slow': 1,
                                          'mscale': 1.0, 'mscale_all_dim': 0.0},
        attention_bias=False, mlp_bias=False, use_qk_norm=True, use_rotary_pos_emb=True, tie_word_embeddings=False),
        gguf='hunyuan-dense', silent=('hidden_act', 'rope_theta', 'attention_bias', 'mlp_bias', 'use_qk_norm', 'use_rotary_pos_emb',
                                      'rope_scaling.beta_fast', 'rope_scaling.beta_slow',
                                      'rope_scaling.mscale', 'rope_scaling.mscale_all_dim'),
        keys=[['rope.freq_base', 'f32', 10000.0 * 30.0 ** (20 / 18)], ['rope.scaling.type', 'string', 'none'],
              ['rope.scaling.factor', 'f32', 1.0]]),
    Golden('hunyuan_v1_dense.plain', dense(
        'hunyuan_v1_dense', 'HunYuanDenseV1ForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, head_dim=16,
        attention_bias=True, rope_parameters={'rope_theta': 951.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'rope_parameters.rope_type')),

    # Nemotron: LayerNorms with 1 + weight, half of each head rotated, squared ReLU without a gate.
    Golden('nemotron', dense(
        'nemotron', 'NemotronForCausalLM', OLD, hidden_size=64, hidden_act='relu2', norm_eps=0.02, rope_theta=741.0,
        attention_bias=False, mlp_bias=False, tie_word_embeddings=False),
        gguf='nemotron', zero_centred=True, silent=('hidden_act', 'attention_bias', 'mlp_bias'),
        keys=[['rope.dimension_count', 'u32', 8], ['rope.scaling.type', 'string', 'none']]),
    Golden('nemotron.biased', dense(
        'nemotron', 'NemotronForCausalLM', NEW, hidden_act='relu2', norm_eps=0.03, head_dim=16, attention_bias=True,
        mlp_bias=True, rope_parameters={'rope_theta': 852.0, 'rope_type': 'default', 'partial_rotary_factor': 0.25},
        tie_word_embeddings=True),
        zero_centred=True, silent=('hidden_act', 'rope_parameters.rope_type')),

    # GPT-2: learned positions, matrices stored [in, out].
    Golden('gpt2', {
        'architectures': ['GPT2LMHeadModel'], 'model_type': 'gpt2', 'vocab_size': 96, 'n_ctx': 128, 'n_positions': 128,
        'n_embd': 48, 'n_head': 4, 'n_layer': 3, 'activation_function': 'gelu_new', 'layer_norm_epsilon': 0.02,
        'attn_pdrop': 0.1, 'embd_pdrop': 0.1, 'resid_pdrop': 0.1, 'bos_token_id': 1, 'eos_token_id': 1,
        'initializer_range': 0.02, 'summary_type': 'cls_index', 'summary_use_proj': True},
        gguf='gpt2', prefix='transformer.', silent=(
            'n_ctx', 'activation_function', 'attn_pdrop', 'embd_pdrop', 'resid_pdrop', 'summary_type', 'summary_use_proj')),
    Golden('gpt2.scaled', {
        'architectures': ['GPT2LMHeadModel'], 'model_type': 'gpt2', 'vocab_size': 96, 'n_positions': 128, 'n_embd': 40,
        'n_head': 4, 'n_layer': 3, 'n_inner': 72, 'activation_function': 'gelu_new', 'layer_norm_epsilon': 0.03,
        'scale_attn_weights': True, 'scale_attn_by_inverse_layer_idx': True, 'tie_word_embeddings': True, **NEW},
        silent=('activation_function', 'scale_attn_weights')),

    # GPT-NeoX: both branches from x, each with its LayerNorm; q, k and v of each head side by side.
    Golden('gpt_neox', dense(
        'gpt_neox', 'GPTNeoXForCausalLM', OLD, hidden_size=64, num_key_value_heads=..., hidden_act='gelu', layer_norm_eps=0.02,
        rotary_pct=0.5, rotary_emb_base=10000, use_parallel_residual=True, classifier_dropout=0.1, hidden_dropout=0.0,
        tie_word_embeddings=False),
        gguf='gptneox', silent=('hidden_act', 'rotary_emb_base', 'use_parallel_residual', 'classifier_dropout', 'hidden_dropout'),
        keys=[['rope.dimension_count', 'u32', 8], ['use_parallel_residual', 'bool', True]]),
    Golden('gpt_neox.serial', dense(
        'gpt_neox', 'GPTNeoXForCausalLM', NEW, hidden_size=64, num_key_value_heads=..., hidden_act='gelu', layer_norm_eps=0.03,
        use_parallel_residual=False, attention_bias=False, hidden_dropout=0.0,
        rope_parameters={'rope_theta': 951.0, 'rope_type': 'default', 'partial_rotary_factor': 0.75},
        tie_word_embeddings=False),
        silent=('hidden_act', 'hidden_dropout', 'rope_parameters.rope_type')),

    # Mixtral: experts in every layer, the weights of the chosen add up to 1.
    Golden('mixtral', targets=ATTENTION, config=dense(
        'mixtral', 'MixtralForCausalLM', OLD, hidden_act='silu', intermediate_size=40, rms_norm_eps=0.004, rope_theta=4321.0,
        sliding_window=None, num_local_experts=5, num_experts_per_tok=2, output_router_logits=False,
        router_aux_loss_coef=0.02, tie_word_embeddings=False),
        gguf='llama', permuted=True,
        silent=('hidden_act', 'sliding_window', 'num_experts_per_tok', 'output_router_logits', 'router_aux_loss_coef')),
    Golden('mixtral.windowed', dense(
        'mixtral', 'MixtralForCausalLM', NEW, hidden_act='silu', intermediate_size=24, rms_norm_eps=0.003, head_dim=16,
        sliding_window=9, num_local_experts=7, num_experts_per_tok=3, router_jitter_noise=0.0,
        rope_parameters={'rope_theta': 765.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'router_jitter_noise', 'rope_parameters.rope_type')),

    # Qwen 2's: the scores of the chosen as they are, and a gated expert beside them.
    Golden('qwen2_moe', targets=SHARED, config=dense(
        'qwen2_moe', 'Qwen2MoeForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=777.0,
        sliding_window=9, use_sliding_window=False, max_window_layers=1, decoder_sparse_step=1, mlp_only_layers=[],
        num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24, shared_expert_intermediate_size=40,
        norm_topk_prob=False, tie_word_embeddings=False),
        gguf='qwen2moe', silent=('hidden_act', 'sliding_window', 'use_sliding_window', 'max_window_layers',
                                 'decoder_sparse_step', 'mlp_only_layers', 'norm_topk_prob')),
    Golden('qwen2_moe.normed', targets=SHARED, config=dense(
        'qwen2_moe', 'Qwen2MoeForCausalLM', NEW, hidden_act='silu', num_hidden_layers=5, mlp_only_layers=[3], rms_norm_eps=0.003,
        use_sliding_window=True, sliding_window=7, max_window_layers=3, qkv_bias=False, decoder_sparse_step=2,
        num_experts=5, num_experts_per_tok=3, moe_intermediate_size=16, shared_expert_intermediate_size=24,
        norm_topk_prob=True, rope_parameters={'rope_theta': 555.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'rope_parameters.rope_type')),

    # Qwen 3's.
    Golden('qwen3_moe', targets=ATTENTION, config=dense(
        'qwen3_moe', 'Qwen3MoeForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, head_dim=20, rope_theta=888.0,
        rope_scaling=None, attention_bias=False, use_sliding_window=False, sliding_window=None, max_window_layers=3,
        decoder_sparse_step=1, mlp_only_layers=[], num_experts=8, num_experts_per_tok=3, moe_intermediate_size=24,
        norm_topk_prob=True, output_router_logits=False, router_aux_loss_coef=0.001, tie_word_embeddings=False),
        gguf='qwen3moe', silent=('hidden_act', 'rope_scaling', 'attention_bias', 'use_sliding_window', 'sliding_window',
                                 'max_window_layers', 'decoder_sparse_step', 'mlp_only_layers', 'output_router_logits',
                                 'router_aux_loss_coef')),
    Golden('qwen3_moe.windowed', dense(
        'qwen3_moe', 'Qwen3MoeForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, attention_bias=True,
        use_sliding_window=True, sliding_window=9, decoder_sparse_step=2, num_experts=6, num_experts_per_tok=2,
        moe_intermediate_size=32, norm_topk_prob=False,
        rope_parameters={'rope_theta': 654.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'norm_topk_prob', 'rope_parameters.rope_type')),

    # OLMoE: norms over all heads of q and k.
    Golden('olmoe', targets=ATTENTION, config=dense(
        'olmoe', 'OlmoeForCausalLM', OLD, hidden_act='silu', intermediate_size=24, rms_norm_eps=0.004, rope_theta=1212.0,
        rope_scaling=None, attention_bias=False, clip_qkv=None, num_experts=8, num_experts_per_tok=3, norm_topk_prob=False,
        output_router_logits=False, router_aux_loss_coef=0.01, tie_word_embeddings=False),
        gguf='olmoe', silent=('hidden_act', 'rope_scaling', 'attention_bias', 'clip_qkv', 'norm_topk_prob',
                              'output_router_logits', 'router_aux_loss_coef')),
    Golden('olmoe.normed', targets=('o_proj',), parameters=EXPERTS, config=dense(
        'olmoe', 'OlmoeForCausalLM', NEW, hidden_act='silu', intermediate_size=32, rms_norm_eps=0.003,
        num_key_value_heads=4, num_experts=5, num_experts_per_tok=2, norm_topk_prob=True,
        rope_parameters={'rope_theta': 343.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        silent=('hidden_act', 'num_key_value_heads', 'rope_parameters.rope_type')),

    # Granite's: all experts in one tensor, and Granite's multipliers.
    Golden('granitemoe', targets=ATTENTION, parameters=('experts.down_proj',), config=dense(
        'granitemoe', 'GraniteMoeForCausalLM', OLD, hidden_act='silu', intermediate_size=24, rms_norm_eps=0.004,
        rope_theta=1357.0, rope_scaling=None, attention_bias=False, embedding_multiplier=0.6, residual_multiplier=1.4,
        attention_multiplier=0.45, logits_scaling=0.6, num_local_experts=6, num_experts_per_tok=2,
        output_router_logits=False, router_aux_loss_coef=0.01, tie_word_embeddings=True),
        gguf='granitemoe', permuted=True, silent=('hidden_act', 'rope_scaling', 'attention_bias', 'num_experts_per_tok',
                                                  'output_router_logits', 'router_aux_loss_coef')),

    # Granite 3.x's with an expert that every token has, whose gate and up are one matrix.
    Golden('granitemoeshared', targets=(*ATTENTION, 'shared_mlp.input_linear', 'shared_mlp.output_linear'),
           parameters=('experts.gate_up_proj',), config=dense(
        'granitemoeshared', 'GraniteMoeSharedForCausalLM', NEW, hidden_act='silu', intermediate_size=24, rms_norm_eps=0.003,
        num_hidden_layers=2, attention_bias=False, embedding_multiplier=0.7, residual_multiplier=1.3,
        attention_multiplier=0.35, logits_scaling=0.7, num_local_experts=5, num_experts_per_tok=3,
        shared_intermediate_size=40, rope_parameters={'rope_theta': 975.0, 'rope_type': 'default'}, tie_word_embeddings=True),
        gguf='granitemoe', permuted=True, silent=('hidden_act', 'attention_bias', 'rope_parameters.rope_type')),

    # Hunyuan's: an expert that every token has, without a gate.
    Golden('hunyuan_v1_moe', targets=ATTENTION, config=dense(
        'hunyuan_v1_moe', 'HunYuanMoEV1ForCausalLM', OLD, hidden_act='silu', intermediate_size=32, rms_norm_eps=0.004,
        head_dim=20, rope_theta=951.0, attention_bias=False, num_experts=6, moe_topk=2, use_qk_norm=True,
        num_shared_expert=1, tie_word_embeddings=False),
        gguf='hunyuan-moe', silent=('hidden_act', 'attention_bias', 'use_qk_norm', 'num_shared_expert')),

    # ERNIE's: experts behind the first layer, chosen with a term that is no part of their weights.
    Golden('ernie4_5_moe', targets=ATTENTION, config=dense(
        'ernie4_5_moe', 'Ernie4_5_MoeForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, rope_theta=864.0,
        use_bias=False, moe_num_experts=6, moe_k=2, moe_intermediate_size=16, moe_num_shared_experts=2,
        moe_layer_start_index=1, moe_layer_end_index=-1, moe_layer_interval=1, moe_norm_min=1e-12, tie_word_embeddings=True),
        gguf='ernie4_5-moe', silent=('hidden_act', 'use_bias', 'moe_layer_start_index', 'moe_layer_end_index',
                                     'moe_layer_interval', 'moe_norm_min', 'moe_num_shared_experts')),
    Golden('ernie4_5_moe.least', targets=ATTENTION, config=dense(
        'ernie4_5_moe', 'Ernie4_5_MoeForCausalLM', NEW, hidden_act='silu', num_hidden_layers=4, rms_norm_eps=0.003,
        use_bias=False, moe_num_experts=5, moe_k=3, moe_intermediate_size=24, moe_num_shared_experts=0,
        moe_layer_start_index=0, moe_layer_end_index=2, moe_layer_interval=1, moe_norm_min=0.9,
        rope_parameters={'rope_theta': 642.0, 'rope_type': 'default'}, tie_word_embeddings=False),
        silent=('hidden_act', 'use_bias', 'moe_layer_interval', 'rope_parameters.rope_type')),

    # GLM-4.5's: sigmoids, scaled, the first layer without experts.
    Golden('glm4_moe', targets=ATTENTION, config=dense(
        'glm4_moe', 'Glm4MoeForCausalLM', OLD, hidden_act='silu', rms_norm_eps=0.004, head_dim=16, rope_theta=1234.0,
        rope_scaling=None, partial_rotary_factor=0.5, attention_bias=True, use_qk_norm=True, n_routed_experts=8,
        num_experts_per_tok=3, moe_intermediate_size=24, n_shared_experts=1, routed_scaling_factor=1.75, n_group=1,
        topk_group=1, first_k_dense_replace=1, norm_topk_prob=True, tie_word_embeddings=False),
        gguf='glm4moe', silent=('hidden_act', 'rope_scaling', 'partial_rotary_factor', 'n_shared_experts', 'n_group',
                                'topk_group', 'first_k_dense_replace', 'norm_topk_prob')),
    Golden('glm4_moe.grouped', targets=ATTENTION, config=dense(
        'glm4_moe', 'Glm4MoeForCausalLM', NEW, hidden_act='silu', rms_norm_eps=0.003, head_dim=20, attention_bias=False,
        use_qk_norm=False, n_routed_experts=12, num_experts_per_tok=2, moe_intermediate_size=16, n_shared_experts=2,
        n_group=4, topk_group=2, first_k_dense_replace=2, norm_topk_prob=False,
        rope_parameters={'rope_theta': 321.0, 'rope_type': 'default', 'partial_rotary_factor': 0.8}, tie_word_embeddings=True),
        silent=('hidden_act', 'attention_bias', 'use_qk_norm', 'rope_parameters.rope_type')),

    # MiniMax M2's: sigmoids, norms over all heads of q and k, part of each head rotated.
    Golden('minimax_m2', targets=ATTENTION, config=dense(
        'minimax_m2', 'MiniMaxM2ForCausalLM', OLD, hidden_act='silu', intermediate_size=24, rms_norm_eps=0.004, head_dim=16,
        rope_theta=2345.0, rotary_dim=8, num_local_experts=7, num_experts_per_tok=3, use_qk_norm=True,
        scoring_func='sigmoid', use_routing_bias=True, tie_word_embeddings=False),
        gguf='minimax-m2', silent=('hidden_act', 'use_qk_norm', 'scoring_func', 'use_routing_bias')),

    # gpt-oss: sinks, biases everywhere, gate and up in turns and clamped.
    Golden('gpt_oss', targets=ATTENTION, parameters=EXPERTS, config=dense(
        'gpt_oss', 'GptOssForCausalLM', OLD, hidden_act='silu', intermediate_size=40, rms_norm_eps=0.004, head_dim=16,
        rope_theta=3210.0, sliding_window=9, attention_bias=True, num_local_experts=6, num_experts_per_tok=2,
        experts_per_token=2, swiglu_limit=7.0, initial_context_length=32, output_router_logits=False,
        router_aux_loss_coef=0.9, layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
        rope_scaling={'rope_type': 'yarn', 'factor': 4.0, 'beta_fast': 16.0, 'beta_slow': 1.5, 'truncate': False,
                      'original_max_position_embeddings': 32},
        tie_word_embeddings=False),
        gguf='gpt-oss', silent=('hidden_act', 'attention_bias', 'num_experts_per_tok', 'experts_per_token', 'swiglu_limit',
                                'initial_context_length', 'output_router_logits', 'router_aux_loss_coef', 'layer_types')),
    # Experts in blocks of 4 bits, rope and windows left at the family's defaults.
    Golden('gpt_oss.mxfp4', targets=ATTENTION, fp4=True, config=dense(
        'gpt_oss', 'GptOssForCausalLM', NEW, hidden_act='silu', hidden_size=64, intermediate_size=32, num_hidden_layers=2,
        rms_norm_eps=0.003, head_dim=16, sliding_window=7, num_local_experts=4, num_experts_per_tok=3, tie_word_embeddings=False),
        gguf='gpt-oss', silent=('hidden_act',)),

    # DeepSeek V2: latents of keys and values, whose sizes differ; softmax, perhaps among the best groups alone.
    Golden('deepseek_v2', targets=LATENT, config=dense(
        'deepseek_v2', 'DeepseekV2ForCausalLM', OLD, hidden_act='silu', num_key_value_heads=4, rms_norm_eps=0.004,
        q_lora_rank=None, kv_lora_rank=24, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=12, rope_theta=4321.0,
        rope_scaling={'type': 'yarn', 'factor': 40.0, 'beta_fast': 32, 'beta_slow': 1, 'mscale': 0.707,
                      'mscale_all_dim': 0.707, 'original_max_position_embeddings': 16},
        attention_bias=False, n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=24, n_shared_experts=2,
        routed_scaling_factor=1.25, n_group=1, topk_group=1, topk_method='greedy', scoring_func='softmax',
        norm_topk_prob=False, first_k_dense_replace=1, moe_layer_freq=1, aux_loss_alpha=0.001, seq_aux=True,
        tie_word_embeddings=False),
        gguf='deepseek2', keys=[['expert_gating_func', 'u32', 1]],
        silent=('hidden_act', 'num_key_value_heads', 'rope_scaling.beta_fast', 'rope_scaling.beta_slow', 'attention_bias',
                'n_shared_experts', 'n_group', 'topk_group', 'topk_method', 'scoring_func', 'norm_topk_prob',
                'moe_layer_freq', 'aux_loss_alpha', 'seq_aux')),
    Golden('deepseek_v2.grouped', targets=LATENT, config=dense(
        'deepseek_v2', 'DeepseekV2ForCausalLM', NEW, hidden_act='silu', num_key_value_heads=4, rms_norm_eps=0.003,
        q_lora_rank=20, kv_lora_rank=12, qk_nope_head_dim=12, qk_rope_head_dim=4, v_head_dim=20,
        rope_parameters={'rope_theta': 765.0, 'rope_type': 'yarn', 'factor': 8.0, 'mscale': 0.5, 'mscale_all_dim': 0.9,
                         'original_max_position_embeddings': 24},
        attention_bias=True, n_routed_experts=12, num_experts_per_tok=3, moe_intermediate_size=16, n_shared_experts=1,
        routed_scaling_factor=1.75, n_group=4, topk_group=2, topk_method='group_limited_greedy',
        first_k_dense_replace=0, tie_word_embeddings=True),
        silent=('hidden_act', 'intermediate_size', 'num_key_value_heads', 'first_k_dense_replace',
                'rope_parameters.original_max_position_embeddings')),

    # DeepSeek V3, of which Kimi K2 is one: sigmoids among groups.
    Golden('deepseek_v3', targets=LATENT, config=dense(
        'deepseek_v3', 'DeepseekV3ForCausalLM', OLD, hidden_act='silu', num_key_value_heads=4, rms_norm_eps=0.004,
        q_lora_rank=20, kv_lora_rank=24, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=12, rope_theta=1234.0,
        rope_scaling={'type': 'yarn', 'factor': 16.0, 'beta_fast': 32, 'beta_slow': 1, 'mscale': 1.0,
                      'mscale_all_dim': 1.0, 'original_max_position_embeddings': 20},
        attention_bias=False, n_routed_experts=12, num_experts_per_tok=3, moe_intermediate_size=24, n_shared_experts=1,
        routed_scaling_factor=1.5, n_group=4, topk_group=2, topk_method='noaux_tc', scoring_func='sigmoid',
        norm_topk_prob=True, first_k_dense_replace=1, moe_layer_freq=1, ep_size=1, num_nextn_predict_layers=1,
        tie_word_embeddings=False),
        gguf='deepseek2', keys=[['expert_gating_func', 'u32', 2], ['expert_weights_norm', 'bool', True]],
        silent=('hidden_act', 'num_key_value_heads', 'rope_scaling.beta_fast', 'rope_scaling.beta_slow',
                'rope_scaling.mscale', 'attention_bias', 'n_shared_experts', 'topk_method', 'scoring_func',
                'norm_topk_prob', 'moe_layer_freq', 'ep_size', 'num_nextn_predict_layers')),
    Golden('deepseek_v3.plain', targets='all-linear', config=dense(
        'deepseek_v3', 'DeepseekV3ForCausalLM', NEW, hidden_act='silu', num_key_value_heads=4, rms_norm_eps=0.003,
        q_lora_rank=None, kv_lora_rank=40, qk_nope_head_dim=8, qk_rope_head_dim=12, v_head_dim=16, rope_interleave=False,
        rope_parameters={'rope_theta': 555.0, 'rope_type': 'default'}, attention_bias=True, n_routed_experts=6,
        num_experts_per_tok=2, moe_intermediate_size=16, n_shared_experts=2, routed_scaling_factor=1.2, n_group=1,
        topk_group=1, norm_topk_prob=False, first_k_dense_replace=2, tie_word_embeddings=True),
        silent=('hidden_act', 'num_key_value_heads', 'rope_parameters.rope_type')),

    # GLM-4.7-Flash: the same, with a list of layers.
    Golden('glm4_moe_lite', targets=LATENT, config=dense(
        'glm4_moe_lite', 'Glm4MoeLiteForCausalLM', NEW, hidden_act='silu', num_key_value_heads=4, rms_norm_eps=0.003,
        q_lora_rank=24, kv_lora_rank=20, qk_nope_head_dim=12, qk_rope_head_dim=8, v_head_dim=24,
        rope_parameters={'rope_theta': 888.0, 'rope_type': 'default', 'partial_rotary_factor': 1.0}, attention_bias=False,
        n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=16, n_shared_experts=1,
        routed_scaling_factor=1.3, n_group=1, topk_group=1, norm_topk_prob=True,
        mlp_layer_types=['sparse', 'dense', 'sparse'], tie_word_embeddings=False),
        silent=('hidden_act', 'num_key_value_heads', 'rope_parameters.rope_type', 'rope_parameters.partial_rotary_factor',
                'attention_bias', 'n_shared_experts', 'n_group', 'topk_group', 'norm_topk_prob')),

    # Mistral Small 4: queries that grow with their position, a softmax.
    Golden('mistral4', targets=LATENT, config=dense(
        'mistral4', 'Mistral4ForCausalLM', NEW, hidden_act='silu', num_key_value_heads=4, rms_norm_eps=0.003,
        q_lora_rank=20, kv_lora_rank=24, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12,
        rope_parameters={'rope_theta': 654.0, 'rope_type': 'yarn', 'factor': 8.0, 'beta_fast': 32.0, 'beta_slow': 1.0,
                         'mscale': 1.0, 'mscale_all_dim': 1.0, 'original_max_position_embeddings': 12,
                         'llama_4_scaling_beta': 0.3, 'partial_rotary_factor': 0.5},
        attention_bias=False, n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=16, n_shared_experts=1,
        routed_scaling_factor=1.3, n_group=1, topk_group=1, norm_topk_prob=True, first_k_dense_replace=1,
        tie_word_embeddings=False),
        gguf='mistral4', keys=[['attention.temperature_scale', 'f32', 0.3], ['expert_weights_norm', 'bool', True]],
        silent=('hidden_act', 'num_key_value_heads', 'rope_parameters.rope_type', 'rope_parameters.beta_fast',
                'rope_parameters.beta_slow', 'rope_parameters.mscale', 'rope_parameters.partial_rotary_factor',
                'attention_bias', 'n_shared_experts', 'n_group', 'topk_group', 'norm_topk_prob')),
]
