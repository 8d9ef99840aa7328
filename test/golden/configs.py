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
    # Keys of the config that have no effect on the logits, although they are there.
    silent: tuple = ()
    # Tokens of the prompt, and of the rows that are trained on.
    prompt: int = 37
    rows: tuple = (13, 22)


# On every hub config; none of them changes a number.
NEUTRAL = {'architectures', 'model_type', 'torch_dtype', 'dtype', 'bos_token_id', 'eos_token_id', 'pad_token_id', 'use_cache',
           'initializer_range', 'attention_dropout', 'transformers_version', 'max_position_embeddings', 'tie_word_embeddings'}

OLD = {'torch_dtype': 'float32', 'use_cache': True, 'transformers_version': '4.51.0', 'bos_token_id': 1, 'eos_token_id': 2}
NEW = {'dtype': 'float32', 'use_cache': True, 'transformers_version': '5.0.0', 'bos_token_id': None, 'eos_token_id': [2, 7]}


def dense(model_type: str, cls: str, spelling: dict, **more) -> dict:
    config = {
        'architectures': [cls], 'model_type': model_type, 'vocab_size': 96, 'hidden_size': 48, 'intermediate_size': 80,
        'num_hidden_layers': 3, 'num_attention_heads': 4, 'num_key_value_heads': 2, 'max_position_embeddings': 128,
        'initializer_range': 0.02, 'attention_dropout': 0.0, **spelling, **more,
    }
    return {key: value for key, value in config.items() if value is not ...}


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
]
