"""What llama.cpp's converter writes for a golden: metadata keys, tensor names, and how values differ from the folder's.

Names come from the gguf package's own tables. The rules are those of llama.cpp's conversion/*.py.
"""
import base64
import math
import re

import gguf
import torch

from configs import Golden

ARCHS = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
# The converter writes no head size for these, and no theta for those.
HEADS_DIVIDE = ('granite', 'granitemoe', 'granitehybrid', 'phi3', 'gpt2', 'gptneox')
WITHOUT_THETA = ('gemma', 'gemma2', 'gpt2', 'gptneox')
# Those with latents of keys and values: one key-value head, as wide as a latent.
LATENT = ('deepseek2', 'mistral4')
# Those with Gated DeltaNet.
DELTA = ('qwen35', 'qwen35moe', 'qwen3next')
# Those with Mamba-2.
MAMBA = ('granitehybrid', 'falcon-h1', 'nemotron_h', 'nemotron_h_moe')
# Those with short convolutions.
SHORT_CONV = ('lfm2', 'lfm2moe')
LLM, ATTENTION, ROPE = gguf.Keys.LLM, gguf.Keys.Attention, gguf.Keys.Rope


def gguf_of(golden: Golden, parsed, shapes: dict) -> dict:
    """`keys`: [name, type, value]; `tensors` by checkpoint name: [name] and, where values differ, what is done to them."""
    arch, config = golden.gguf, parsed.to_dict()
    rope = getattr(parsed, 'rope_parameters', None) or {}
    full = rope.get('full_attention', rope)
    keys = [['general.architecture', 'string', arch]]

    def add(key: str, kind: str, value) -> None:
        key = key.format(arch=arch)
        if value is not None:
            keys[:] = [entry for entry in keys if entry[0] != key] + [[key, kind, value]]

    def first(*names: str):
        return next((config[name] for name in names if config.get(name) is not None), None)

    heads = first('num_attention_heads', 'n_head')
    hidden = first('hidden_size', 'n_embd')
    kv_heads = first('num_key_value_heads') or heads
    head_dim = config.get('head_dim') or hidden // heads
    blocks = first('num_hidden_layers', 'n_layer') or len(parsed.layer_types)
    add(LLM.BLOCK_COUNT, 'u32', blocks)
    add(LLM.CONTEXT_LENGTH, 'u32', first('max_position_embeddings', 'n_positions'))
    add(LLM.EMBEDDING_LENGTH, 'u32', hidden)
    add(LLM.FEED_FORWARD_LENGTH, 'u32', first('intermediate_size', 'n_inner') or 4 * hidden)
    # Beside a tokenizer this is the length of its list; there is no tokenizer here.
    add(LLM.VOCAB_SIZE, 'u32', config['vocab_size'])
    add(ATTENTION.HEAD_COUNT, 'u32', heads)
    add(ATTENTION.HEAD_COUNT_KV, 'u32', first('num_key_value_heads'))
    add(ATTENTION.LAYERNORM_RMS_EPS, 'f32', first('rms_norm_eps'))
    add(ATTENTION.LAYERNORM_EPS, 'f32', first('layer_norm_eps', 'layer_norm_epsilon', 'norm_epsilon', 'norm_eps'))
    if arch not in HEADS_DIVIDE:
        add(ATTENTION.KEY_LENGTH, 'u32', config.get('head_dim'))
        add(ATTENTION.VALUE_LENGTH, 'u32', config.get('head_dim'))
    if arch not in WITHOUT_THETA:
        add(ROPE.FREQ_BASE, 'f32', full.get('rope_theta'))
    add(ROPE.FREQ_BASE_SWA, 'f32', (rope.get('sliding_attention') or {}).get('rope_theta'))
    if full.get('rope_type') in ('linear', 'yarn'):
        add(ROPE.SCALING_TYPE, 'string', full['rope_type'])
        add(ROPE.SCALING_FACTOR, 'f32', full['factor'])
    if full.get('rope_type') == 'yarn':
        add(ROPE.SCALING_ORIG_CTX_LEN, 'u32', full['original_max_position_embeddings'])
        add(ROPE.SCALING_YARN_ATTN_FACTOR, 'f32', full.get('attention_factor'))
        add(ROPE.SCALING_YARN_BETA_FAST, 'f32', full.get('beta_fast'))
        add(ROPE.SCALING_YARN_BETA_SLOW, 'f32', full.get('beta_slow'))
    extra = {}
    if full.get('rope_type') == 'llama3':
        extra['rope_freqs.weight'] = llama3(full, head_dim)
    if arch == 'phi3':
        original, whole = full['original_max_position_embeddings'], config['max_position_embeddings']
        add(ROPE.SCALING_ORIG_CTX_LEN, 'u32', original)
        add(ROPE.SCALING_ATTN_FACTOR, 'f32', math.sqrt(1 + math.log(whole / original) / math.log(original)))
        add(ROPE.DIMENSION_COUNT, 'u32', int(full['partial_rotary_factor'] * hidden) // heads)
        extra |= {f'rope_factors_{kind}.weight': full[f'{kind}_factor'] for kind in ('long', 'short')}
        add(ATTENTION.SLIDING_WINDOW, 'u32', config['sliding_window'] or 0)
    if arch in ('llama', 'mistral3', 'smollm3', 'granite', 'granitemoe', 'glm4', 'chatglm', 'glm4moe', 'minimax-m2'):
        add(ROPE.DIMENSION_COUNT, 'u32', int(head_dim * full.get('partial_rotary_factor', 1.0)))
    if arch in ('gemma2', 'gemma3', 'cohere2', 'gpt-oss') or arch in ('olmo2', 'exaone4') and config.get('sliding_window'):
        add(ATTENTION.SLIDING_WINDOW, 'u32', config['sliding_window'])
    if arch in ('olmo2', 'exaone4') and config.get('sliding_window'):
        add(ATTENTION.SLIDING_WINDOW_PATTERN, 'bools', [kind == 'sliding_attention' for kind in config['layer_types']])
    if arch == 'gemma2':
        add(LLM.ATTN_LOGIT_SOFTCAPPING, 'f32', config['attn_logit_softcapping'])
        add(LLM.FINAL_LOGIT_SOFTCAPPING, 'f32', config['final_logit_softcapping'])
    if arch in ('granite', 'granitemoe', 'granitehybrid'):
        add(ATTENTION.SCALE, 'f32', config['attention_multiplier'])
        add(LLM.EMBEDDING_SCALE, 'f32', config['embedding_multiplier'])
        add(LLM.RESIDUAL_SCALE, 'f32', config['residual_multiplier'])
        add(LLM.LOGIT_SCALE, 'f32', config['logits_scaling'])
    experts = first('n_routed_experts', 'num_local_experts', 'num_experts', 'moe_num_experts') if arch != 'nemotron_h' else None
    if experts:
        inner = first('moe_intermediate_size') or (hidden and first('intermediate_size') if arch in ('minimax-m2', 'gpt-oss', 'hunyuan-moe') else None)
        shared = first('n_shared_experts', 'moe_num_shared_experts', 'num_shared_expert')
        add(LLM.EXPERT_COUNT, 'u32', experts)
        add(LLM.EXPERT_USED_COUNT, 'u32', first('num_experts_per_tok', 'moe_topk', 'moe_k', 'top_k_experts'))
        add(LLM.EXPERT_FEED_FORWARD_LENGTH, 'u32', inner)
        add(LLM.EXPERT_SHARED_COUNT, 'u32', shared)
        add(LLM.EXPERT_SHARED_FEED_FORWARD_LENGTH, 'u32',
            first('shared_expert_intermediate_size', 'shared_intermediate_size') or (shared * inner if arch in ('ernie4_5-moe', 'hunyuan-moe') else None))
        add(LLM.LEADING_DENSE_BLOCK_COUNT, 'u32', first('first_k_dense_replace', 'moe_layer_start_index', 'num_dense_layers'))
        add(LLM.INTERLEAVE_MOE_LAYER_STEP, 'u32', first('moe_layer_interval'))
        add(LLM.EXPERT_WEIGHTS_SCALE, 'f32', first('routed_scaling_factor'))
        add(LLM.EXPERT_GROUP_COUNT, 'u32', first('n_group'))
        add(LLM.EXPERT_GROUP_USED_COUNT, 'u32', first('topk_group'))
    if arch in DELTA:
        key_heads, value_heads = config['linear_num_key_heads'], config['linear_num_value_heads']
        add(gguf.Keys.SSM.CONV_KERNEL, 'u32', config['linear_conv_kernel_dim'])
        add(gguf.Keys.SSM.STATE_SIZE, 'u32', config['linear_key_head_dim'])
        add(gguf.Keys.SSM.GROUP_COUNT, 'u32', key_heads)
        add(gguf.Keys.SSM.TIME_STEP_RANK, 'u32', value_heads)
        add(gguf.Keys.SSM.INNER_SIZE, 'u32', value_heads * config['linear_value_head_dim'])
        add('{arch}.full_attention_interval', 'u32', config.get('full_attention_interval', 4))
        add(ROPE.DIMENSION_COUNT, 'u32', int(head_dim * full['partial_rotary_factor']))
        if arch != 'qwen3next':
            add(ROPE.DIMENSION_SECTIONS, 'u32s', [2, 1, 1, 0])
    if arch in MAMBA:
        mamba = [kind == 'linear_attention' for kind in getattr(parsed, 'layer_types', [])]
        if arch != 'falcon-h1':
            add(ATTENTION.HEAD_COUNT_KV, 'u32s', [0 if recurrent else kv_heads for recurrent in mamba])
        scan_heads, groups = first('mamba_n_heads', 'mamba_num_heads'), first('mamba_n_groups', 'n_groups')
        add(gguf.Keys.SSM.CONV_KERNEL, 'u32', first('mamba_d_conv', 'conv_kernel'))
        add(gguf.Keys.SSM.STATE_SIZE, 'u32', first('mamba_d_state', 'ssm_state_size'))
        add(gguf.Keys.SSM.GROUP_COUNT, 'u32', groups)
        add(gguf.Keys.SSM.TIME_STEP_RANK, 'u32', scan_heads)
        add(gguf.Keys.SSM.INNER_SIZE, 'u32', scan_heads * first('mamba_d_head', 'mamba_head_dim'))
    if arch in ('nemotron_h', 'nemotron_h_moe'):
        kinds = parsed.layer_types
        add(ATTENTION.LAYERNORM_RMS_EPS, 'f32', config['layer_norm_epsilon'])
        add(ATTENTION.HEAD_COUNT_KV, 'u32s', [kv_heads if kind == 'full_attention' else 0 for kind in kinds])
        inner = config['moe_intermediate_size' if arch == 'nemotron_h_moe' else 'intermediate_size']
        add(LLM.FEED_FORWARD_LENGTH, 'u32s', [inner if kind in ('mlp', 'moe') else 0 for kind in kinds])
    if arch == 'nemotron_h_moe':
        add(LLM.EXPERT_SHARED_FEED_FORWARD_LENGTH, 'u32', config['moe_shared_expert_intermediate_size'])
        add(LLM.EXPERT_WEIGHTS_NORM, 'bool', config['norm_topk_prob'])
    if arch == 'granitehybrid':
        add(LLM.EXPERT_SHARED_FEED_FORWARD_LENGTH, 'u32', config['shared_intermediate_size'])
        add('{arch}.rope.scaling.finetuned', 'bool', False)
    if arch in SHORT_CONV:
        add(ATTENTION.LAYERNORM_RMS_EPS, 'f32', config['norm_eps'])
        add(gguf.Keys.ShortConv.L_CACHE, 'u32', config['conv_L_cache'])
        add(ATTENTION.HEAD_COUNT_KV, 'u32s', [0 if kind == 'conv' else kv_heads for kind in config['layer_types']])
    if arch == 'lfm2':
        add(LLM.FEED_FORWARD_LENGTH, 'u32', shapes['model.layers.0.feed_forward.w1.weight'][0])
    if arch in LATENT:
        latent, turned = config['kv_lora_rank'], config['qk_rope_head_dim']
        add(ATTENTION.HEAD_COUNT_KV, 'u32', 1)
        add(ATTENTION.KEY_LENGTH, 'u32', latent + turned)
        add(ATTENTION.VALUE_LENGTH, 'u32', latent)
        add(ATTENTION.KEY_LENGTH_MLA, 'u32', config['qk_nope_head_dim'] + turned)
        add(ATTENTION.VALUE_LENGTH_MLA, 'u32', config['v_head_dim'])
        add(ATTENTION.Q_LORA_RANK, 'u32', config['q_lora_rank'])
        add(ATTENTION.KV_LORA_RANK, 'u32', latent)
        add(ROPE.DIMENSION_COUNT, 'u32', turned)
        if full.get('mscale_all_dim'):
            add(ROPE.SCALING_YARN_LOG_MUL, 'f32', 0.1 * full['mscale_all_dim'])
    if arch in ('gemma4', 'gemma3n'):
        windowed = [kind == 'sliding_attention' for kind in parsed.layer_types]
        add(ATTENTION.SLIDING_WINDOW, 'u32', config['sliding_window'])
        add(ATTENTION.SLIDING_WINDOW_PATTERN, 'bools', windowed)
        add(ATTENTION.SHARED_KV_LAYERS, 'u32', config['num_kv_shared_layers'])
        add(LLM.EMBD_LENGTH_PER_LAYER_INP, 'u32', config['hidden_size_per_layer_input'] or 0)
        add(LLM.FINAL_LOGIT_SOFTCAPPING, 'f32', config['final_logit_softcapping'])
    if arch == 'gemma3n':
        normal = torch.distributions.normal.Normal(0, 1)
        add(LLM.FEED_FORWARD_LENGTH, 'u32s', parsed.intermediate_size)
        add(LLM.ALTUP_ACTIVE_IDX, 'u32', parsed.altup_active_idx)
        add(LLM.ALTUP_NUM_INPUTS, 'u32', parsed.altup_num_inputs)
        add(LLM.ACTIVATION_SPARSITY_SCALE, 'f32s',
            [max(normal.icdf(torch.tensor(share)).item(), -1e30) for share in parsed.activation_sparsity_pattern])
    if arch == 'gemma4':
        layers, wide = config['num_hidden_layers'], golden.config['global_head_dim']
        for key, size in ((ATTENTION.KEY_LENGTH, wide), (ATTENTION.VALUE_LENGTH, wide), (ROPE.DIMENSION_COUNT, wide),
                          (ATTENTION.KEY_LENGTH_SWA, head_dim), (ATTENTION.VALUE_LENGTH_SWA, head_dim),
                          (ROPE.DIMENSION_COUNT_SWA, head_dim)):
            add(key, 'u32', size)
        if config['use_double_wide_mlp']:
            first = layers - config['num_kv_shared_layers']
            add(LLM.FEED_FORWARD_LENGTH, 'u32s', [config['intermediate_size'] * (1 + (i >= first)) for i in range(layers)])
        if golden.config.get('num_global_key_value_heads'):
            counts = {True: kv_heads, False: golden.config['num_global_key_value_heads']}
            add(ATTENTION.HEAD_COUNT_KV, 'u32s', [counts[kind] for kind in windowed])
        turned = int(wide * full['partial_rotary_factor'] / 2)
        extra['rope_freqs.weight'] = [1.0] * turned + [1e30] * (wide // 2 - turned)
    for key, kind, value in golden.keys:
        add('{arch}.' + key, kind, value)

    table = gguf.get_tensor_name_map(ARCHS[arch], blocks)
    tensors = {}
    for name, shape in shapes.items():
        # The converter stacks experts, under names without their numbers.
        expert = re.search(r'(?<=\.experts\.)(\d+)\.', name)
        whole = name.replace(f'.experts.{expert[0]}', '.experts.') if expert else name
        full = golden.prefix + whole.replace('.dt_bias', '.dt_proj.bias')
        stored = next(filter(None, (table.get_name(known, try_suffixes=('.weight', '.bias'))
                                    for known in (full, full.removeprefix('model.'), full.replace('backbone', 'model').replace('mixer', 'mlp')))), None)
        if stored is None and whole.startswith('model.altup_'):
            stored = table.get_name(re.sub(r'\.\d+', '', whole), try_suffixes=('.weight',))
        if stored is None and whole.endswith(('router.scale', 'per_expert_scale')):
            stored = 'named below'
        if stored is None and whole.endswith(('e_score_correction_bias', '.expert_bias', '.input_linear.weight', '_proj', '_proj_bias')):
            stored = f"blk.{name.split('.')[2]}.exp_probs_b.bias"  # or parts, see below
        assert stored, f'{golden.name}: gguf has no name for {whole}'
        tensors[name] = [stored, 'stack', int(expert[1])] if expert else [stored]
        if name.endswith(('e_score_correction_bias', '.expert_bias')):
            tensors[name] = [re.sub(r'(exp_probs_b)(\.bias)?$', r'\1.bias', stored), 'flat']
        if name.endswith('router.scale'):
            tensors[name] = [f"blk.{name.split('.')[2]}.ffn_gate_inp.scale"]
        if name.endswith('per_expert_scale'):
            tensors[name] = [f"blk.{name.split('.')[2]}.ffn_down_exps.scale"]
        if arch == 'gemma4' and '.experts.' in name:
            tensors[name] = [f'{stored}.weight']
        if 'altup_projections' in name or 'altup_unembed' in name:
            tensors[name] = [re.sub(r'\.\d+', '', stored), 'stack', int(name.split('.')[-2])]
        if name.endswith('correct_output_scale'):
            tensors[name] = [f'{stored}.weight']
        if name.endswith('.layer_scalar'):
            tensors[name] = [f'{stored}.weight']
        if name.endswith('.sinks'):
            tensors[name] = [f'{stored}.weight']
        if arch == 'gpt-oss' and '.experts.' in name:
            block, kind = name.split('.')[2], 'bias' if name.endswith('_bias') else 'weight'
            parts = ('gate', 'up') if 'gate_up' in name else ('down',)
            tensors[name] = [[f'blk.{block}.ffn_{part}_exps.{kind}' for part in parts], 'turned']
        if name.endswith('.input_linear.weight'):
            block, which = name.split('.')[2], '_exps' if 'shared_mlp' not in name else '_shexp' if experts else ''
            tensors[name] = [[f'blk.{block}.ffn_{kind}{which}.weight' for kind in ('gate', 'up')], 'halves']
        if name.endswith('shared_expert_gate.weight'):
            tensors[name] += ['flat']
        if golden.permuted and '.self_attn.q_proj.' in name:
            tensors[name] += ['permute', heads]
        if golden.permuted and '.self_attn.k_proj.' in name:
            tensors[name] += ['permute', kv_heads]
        if golden.zero_centred and name.endswith('norm.weight') and 'linear_attn' not in name:
            tensors[name] += ['add', 1]
        if arch in DELTA and 'linear_attn' in name:
            tensors[name] = delta(stored, name, config, arch)
        if name.endswith('shared_mlp.output_linear.weight') and not experts:
            tensors[name] = [f"blk.{name.split('.')[2]}.ffn_down.weight"]
        if arch in MAMBA and name.endswith(('.A_log', '.D')):
            tensors[name] = [stored, 'column', name.endswith('.A_log')]
        if arch in MAMBA and name.endswith(('.mamba.norm.weight', '.mixer.norm.weight')):
            tensors[name] = [stored, 'rows', groups]
        if arch == 'falcon-h1' and (factors := multiplied(name, shape, config)):
            tensors[name] += ['times', *factors]
        if arch in MAMBA and name.endswith('conv1d.weight'):
            tensors[name] += ['squeeze']
        if name.endswith('conv.conv.weight'):
            tensors[name] += ['squeeze']
        if arch == 'gpt2' and name.endswith(('c_attn.weight', 'c_proj.weight', 'c_fc.weight')):
            tensors[name] += ['transpose']
        if arch == 'mistral4' and '.experts.' in name:
            tensors[name] = [f'{stored}.weight']
        if name.endswith('kv_b_proj.weight'):
            parts = [re.sub('attn_kv_b', f'attn_{part}_b', stored) for part in 'kv']
            tensors[name] = [parts, 'heads', heads, config['qk_nope_head_dim']]
        if arch == 'gptneox' and '.query_key_value.' in name:
            tensors[name] += ['part', heads]
    return {'keys': keys, 'tensors': tensors, 'extra': extra}


def mxfp4_of(written: dict, tensors: dict) -> dict[str, str]:
    """By name in GGUF: the experts' blocks in base64, as gguf-py makes them of numbers that MXFP4 holds exactly."""
    kind, packed = gguf.GGMLQuantizationType.MXFP4, {}
    for name, (parts, *change) in written['tensors'].items():
        if change != ['turned'] or tensors[name].ndim != 3:
            continue
        for at, part in enumerate(parts):
            values = tensors[name][:, :, at::len(parts)].transpose(1, 2).contiguous().numpy()
            blocks = gguf.quants.quantize(values, kind)
            assert (gguf.quants.dequantize(blocks, kind) == values).all(), part
            packed[part] = base64.b64encode(blocks.tobytes()).decode()
    return packed


def delta(stored: str, name: str, config: dict, arch: str) -> list:
    """Value heads in the order of GGML's broadcast, the first of each key head, then the second, but for Qwen3-Next; decays as
    -e^A_log; projections that are fused by key head as those of q, k and v and that of z."""
    groups, heads = config['linear_num_key_heads'], config['linear_num_value_heads']
    key_dim, dim = config['linear_key_head_dim'], config['linear_value_head_dim']
    keys = 2 * groups * key_dim
    part = name.split('linear_attn.')[1].removesuffix('.weight')
    if part == 'in_proj_qkvz':
        block = stored.split('.ssm_in')[0]
        return [f'{block}.attn_qkv.weight', 'apart', groups, key_dim, heads // groups * dim, f'{block}.attn_gate.weight']
    if part == 'in_proj_ba':
        return [stored]
    first, size, axis = {'in_proj_qkv': (keys, dim, 0), 'conv1d': (keys, dim, 0), 'in_proj_z': (0, dim, 0),
                         'out_proj': (0, dim, 1), 'in_proj_a': (0, 1, 0), 'in_proj_b': (0, 1, 0), 'A_log': (0, 1, 0),
                         'dt_bias': (0, 1, 0), 'norm': (0, 0, 0)}[part]
    return [stored, 'tile', heads if arch == 'qwen3next' else groups, heads, first, size, axis, part == 'A_log']


def multiplied(name: str, shape, config: dict):
    """What Falcon-H1's multipliers make of a weight: bands of its rows, and a factor for each."""
    gate, down = config['mlp_multipliers']
    attention = config['attention_in_multiplier']
    factors = {'down_proj': down, 'gate_proj': gate, 'k_proj': config['key_multiplier'] * attention, 'q_proj': attention,
               'v_proj': attention, 'o_proj': config['attention_out_multiplier'], 'out_proj': config['ssm_out_multiplier'],
               'lm_head': config['lm_head_multiplier'], 'embed_tokens': config['embedding_multiplier']}
    module = name.split('.')[-2]
    if module == 'in_proj':
        inner, shared = config['mamba_d_ssm'], config['mamba_n_groups'] * config['mamba_d_state']
        rows = [inner, inner, shared, shared, config['mamba_n_heads']]
        return rows, [config['ssm_in_multiplier'] * factor for factor in config['ssm_multipliers']]
    return ([shape[0]], [factors[module]]) if module in factors else None


def llama3(rope: dict, dim: int) -> list[float]:
    """One divisor for each pair."""
    low, high, original = rope['low_freq_factor'], rope['high_freq_factor'], rope['original_max_position_embeddings']
    divisors = []
    for i in range(0, dim, 2):
        turns = original / (2 * math.pi * rope['rope_theta'] ** (i / dim))
        smooth = min(1.0, max(0.0, (turns - low) / (high - low)))
        divisors.append(1 / ((1 - smooth) / rope['factor'] + smooth))
    return divisors
