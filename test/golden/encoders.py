"""Records the vectors and scores that transformers gives on tiny random models, one JSON file per model in encoders/.

    python test/golden/encoders.py [name …]        (needs torch, transformers, safetensors, gguf)

As in families.py, no weight is stored: each is made of its tensor's name. What stands behind a model's last layer is written
here as sentence-transformers has it: poolings, Dense, LayerNorm, Normalize.
"""
import base64
import json
import math
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

from seeding import bits, seeded

here = Path(__file__).parent / 'encoders'
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)

MODULES = {'transformer': 'sentence_transformers.models.Transformer', 'pooling': 'sentence_transformers.models.Pooling',
           'dense': 'sentence_transformers.models.Dense', 'norm': 'sentence_transformers.models.LayerNorm',
           'normalize': 'sentence_transformers.models.Normalize', 'dropout': 'sentence_transformers.models.Dropout',
           'logits': 'sentence_transformers.cross_encoder.modules.logit_score.LogitScore'}
FLAGS = {'cls': 'pooling_mode_cls_token', 'max': 'pooling_mode_max_tokens', 'mean': 'pooling_mode_mean_tokens',
         'mean_sqrt_len_tokens': 'pooling_mode_mean_sqrt_len_tokens', 'weightedmean': 'pooling_mode_weightedmean_tokens',
         'lasttoken': 'pooling_mode_lasttoken'}


@dataclass
class Golden:
    name: str
    config: dict
    # The class of transformers.
    model: str
    # Behind the model: (kind, config of its folder).
    modules: list = field(default_factory=list)
    # Further files of the folder.
    files: dict = field(default_factory=dict)
    lengths: tuple = (9, 1, 23, 40)
    # Where the second text of a pair begins, for pairs.
    pairs: bool = False
    # Token types are told.
    types: bool = False
    gguf: str | None = None
    keys: list = field(default_factory=list)
    # Rows of the position table that a GGUF file leaves out.
    first: int = 0
    # Checkpoint names, where hub files have others than transformers writes.
    renamed: dict = field(default_factory=dict)
    fused: bool = False


def small(model_type: str, cls: str, **more) -> dict:
    config = {'architectures': [cls], 'model_type': model_type, 'vocab_size': 96, 'hidden_size': 48, 'intermediate_size': 80,
              'num_hidden_layers': 2, 'num_attention_heads': 4, 'max_position_embeddings': 64, 'torch_dtype': 'float32',
              **more}
    return {key: value for key, value in config.items() if value is not ...}


GOLDENS = [
    # The form of all-MiniLM: token types, an old modules.json, mean pooling.
    Golden('bert', small('bert', 'BertModel', hidden_act='gelu', layer_norm_eps=0.004, type_vocab_size=2, pad_token_id=0),
           'AutoModel', [('pooling', {'word_embedding_dimension': 48, 'pooling_mode': ['mean'], 'old': True}), ('normalize', {})],
           gguf='bert', keys=[['pooling_type', 'u32', 1], ['attention.causal', 'bool', False]]),
    # All poolings side by side, a matrix with a bias, a norm; not of length 1.
    Golden('bert.pooled', small('bert', 'BertModel', hidden_act='gelu_new', layer_norm_eps=0.002, type_vocab_size=3),
           'AutoModel', [('pooling', {'embedding_dimension': 48, 'pooling_mode': list(FLAGS)}), ('dropout', {'dropout': 0.1}),
                         ('dense', {'in_features': 288, 'out_features': 20, 'bias': True,
                                    'activation_function': 'torch.nn.modules.activation.Tanh'}), ('norm', {'dimension': 20})]),
    # The form of ms-marco-MiniLM: pairs with types, a pooler, logits as they are.
    Golden('bert.cross', small('bert', 'BertForSequenceClassification', hidden_act='relu', layer_norm_eps=0.006, type_vocab_size=2,
                               id2label={'0': 'LABEL_0'}, sentence_transformers={'activation_fn': 'torch.nn.modules.linear.Identity'}),
           'AutoModelForSequenceClassification', pairs=True, types=True),
    # bge-m3: positions from the third row on, the first token's state.
    Golden('xlm-roberta', small('xlm-roberta', 'XLMRobertaModel', hidden_act='gelu', layer_norm_eps=0.005, type_vocab_size=1,
                                pad_token_id=1, bos_token_id=0, eos_token_id=2),
           'AutoModel', [('pooling', {'word_embedding_dimension': 48, 'pooling_mode': 'cls'}), ('normalize', {})],
           gguf='bert', keys=[['pooling_type', 'u32', 2], ['attention.causal', 'bool', False]], first=2),
    # bge-reranker.
    Golden('xlm-roberta.cross', small('xlm-roberta', 'XLMRobertaForSequenceClassification', hidden_act='gelu', layer_norm_eps=0.003,
                                      type_vocab_size=1, pad_token_id=2, id2label={'0': 'LABEL_0'}),
           'AutoModelForSequenceClassification', pairs=True,
           gguf='bert', keys=[['pooling_type', 'u32', 4], ['attention.causal', 'bool', False]], first=3),

    # Qwen3-Embedding: causal, the last token's state.
    Golden('qwen3', small('qwen3', 'Qwen3Model', hidden_act='silu', rms_norm_eps=0.005, head_dim=16, num_key_value_heads=2,
                          rope_theta=2222.0, tie_word_embeddings=True),
           'AutoModel', [('pooling', {'word_embedding_dimension': 48, 'pooling_mode': ['lasttoken'], 'old': True}), ('normalize', {})],
           gguf='qwen3', keys=[['pooling_type', 'u32', 3], ['attention.key_length', 'u32', 16], ['attention.value_length', 'u32', 16],
                               ['attention.head_count_kv', 'u32', 2], ['rope.freq_base', 'f32', 2222.0],
                               ['attention.layer_norm_rms_epsilon', 'f32', 0.005]]),
    # Qwen3-Reranker: the logit of one token less that of another.
    Golden('qwen3.asked', small('qwen3', 'Qwen3ForCausalLM', hidden_act='silu', rms_norm_eps=0.004, head_dim=16, num_key_value_heads=1,
                                rope_theta=333.0, tie_word_embeddings=False),
           'AutoModelForCausalLM', [('logits', {'true_token_id': 5, 'false_token_id': 77})], pairs=True),
    # Its form with an output of its own.
    Golden('qwen3.cross', small('qwen3', 'Qwen3ForSequenceClassification', hidden_act='silu', rms_norm_eps=0.003, head_dim=12,
                                num_key_value_heads=4, rope_theta=444.0, tie_word_embeddings=True, pad_token_id=0,
                                id2label={'0': 'LABEL_0'}),
           'AutoModelForSequenceClassification', pairs=True),

    # ModernBERT: windows shorter than the text, an old config.
    Golden('modernbert', small('modernbert', 'ModernBertModel', num_hidden_layers=5, hidden_activation='gelu', norm_eps=0.004,
                               norm_bias=False, attention_bias=False, mlp_bias=False, local_attention=8, global_attn_every_n_layers=3,
                               global_rope_theta=1234.0, local_rope_theta=77.0, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                               cls_token_id=1, sep_token_id=2),
           'AutoModel', [('pooling', {'word_embedding_dimension': 48, 'pooling_mode': 'mean'}), ('normalize', {})],
           gguf='modern-bert', keys=[['pooling_type', 'u32', 1], ['attention.causal', 'bool', False], ['attention.sliding_window', 'u32', 8],
                                     ['attention.sliding_window_pattern', 'u32', 3], ['rope.freq_base', 'f32', 1234.0],
                                     ['rope.freq_base_swa', 'f32', 77.0]]),
    # Every bias, a new config, a reranker over the mean.
    Golden('modernbert.cross', small('modernbert', 'ModernBertForSequenceClassification', num_hidden_layers=3, hidden_activation='gelu',
                                     norm_eps=0.006, norm_bias=True, attention_bias=True, mlp_bias=True, local_attention=6,
                                     layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
                                     rope_parameters={'full_attention': {'rope_type': 'default', 'rope_theta': 555.0},
                                                      'sliding_attention': {'rope_type': 'default', 'rope_theta': 66.0}},
                                     classifier_pooling='mean', classifier_bias=True, classifier_activation='gelu',
                                     pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
                                     id2label={'0': 'LABEL_0'}),
           'AutoModelForSequenceClassification', pairs=True),

    Golden('nomic_bert', small('nomic_bert', 'NomicBertModel', hidden_act='silu', layer_norm_eps=0.004, type_vocab_size=2, pad_token_id=0,
                               rope_parameters={'rope_type': 'default', 'rope_theta': 321.0}),
           'AutoModel', [('pooling', {'word_embedding_dimension': 48, 'pooling_mode': 'mean'}), ('normalize', {})], types=True,
           gguf='nomic-bert', keys=[['pooling_type', 'u32', 1], ['attention.causal', 'bool', False], ['rope.freq_base', 'f32', 321.0]]),

    # EmbeddingGemma: half of a window before and half of it after, two matrices behind the mean.
    Golden('gemma3_text', small('gemma3_text', 'Gemma3TextModel', num_hidden_layers=3, hidden_activation='gelu_pytorch_tanh', rms_norm_eps=0.004,
                                head_dim=20, num_key_value_heads=1, query_pre_attn_scalar=20, sliding_window=9, use_bidirectional_attention=True,
                                layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
                                rope_parameters={'full_attention': {'rope_type': 'default', 'rope_theta': 1234.0},
                                                 'sliding_attention': {'rope_type': 'default', 'rope_theta': 99.0}},
                                bos_token_id=1, eos_token_id=2, pad_token_id=0),
           'AutoModel', [('pooling', {'word_embedding_dimension': 48, 'pooling_mode': ['mean'], 'old': True}),
                         ('dense', {'in_features': 48, 'out_features': 64, 'bias': False, 'activation_function': 'torch.nn.modules.linear.Identity'}),
                         ('dense', {'in_features': 64, 'out_features': 48, 'bias': False, 'activation_function': 'torch.nn.modules.linear.Identity'}),
                         ('normalize', {})],
           gguf='gemma-embedding', keys=[['pooling_type', 'u32', 1], ['attention.key_length', 'u32', 20], ['attention.value_length', 'u32', 20],
                                         ['attention.head_count_kv', 'u32', 1], ['attention.layer_norm_rms_epsilon', 'f32', 0.004],
                                         ['attention.sliding_window', 'u32', 9], ['attention.sliding_window_pattern', 'bools', [True, False, True]],
                                         ['rope.freq_base', 'f32', 1234.0], ['rope.freq_base_swa', 'f32', 99.0]]),
]


def checkpoint_shapes(golden: Golden) -> dict[str, list[int]]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, 'config.json').write_text(json.dumps(golden.config))
        parsed = transformers.AutoConfig.from_pretrained(folder)
        getattr(transformers, golden.model).from_config(parsed).save_pretrained(folder)
        with safe_open(Path(folder, 'model.safetensors'), 'pt') as file:
            return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}


def rule(golden: Golden, name: str, shape) -> tuple[float, float]:
    """A tensor's scale and offset, so that states stay at a size of about 1."""
    lower, gemma = name.lower(), golden.name.startswith('gemma')
    if lower.endswith('bias'):
        return 0.25, 0
    if 'norm' in lower or '_ln' in lower:
        return 0.5, 0 if gemma else 1
    if gemma and 'embed' in lower:
        return 0.0625, 0  # they are multiplied by the root of their size
    if 'embed' in lower:
        return 0.5, 0
    return 2.0 ** round(math.log2(math.sqrt(3 / shape[-1]))), 0


def load(golden: Golden, tensors: dict[str, torch.Tensor]):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, 'config.json').write_text(json.dumps(golden.config))
        save_file(tensors, Path(folder, 'model.safetensors'), metadata={'format': 'pt'})
        model, info = getattr(transformers, golden.model).from_pretrained(
            folder, dtype=torch.float32, attn_implementation='eager', output_loading_info=True)
    assert not any(info[kind] for kind in ('missing_keys', 'unexpected_keys', 'mismatched_keys')), info
    return model.eval()


def pooled(states: torch.Tensor, kind: str) -> torch.Tensor:
    """Of `states [tokens, hidden]`."""
    places = torch.arange(1, len(states) + 1, dtype=states.dtype)[:, None]
    return {'cls': lambda: states[0], 'max': lambda: states.max(0).values, 'mean': lambda: states.mean(0),
            'mean_sqrt_len_tokens': lambda: states.sum(0) / math.sqrt(len(states)),
            'weightedmean': lambda: (places * states).sum(0) / places.sum(), 'lasttoken': lambda: states[-1]}[kind]()


def folders(golden: Golden) -> tuple[dict, dict]:
    """The files and the shapes of the modules' folders."""
    listed = [{'idx': 0, 'name': '0', 'path': '', 'type': MODULES['transformer']}]
    files, shapes = dict(golden.files), {}
    names = {'pooling': 'Pooling', 'dense': 'Dense', 'norm': 'LayerNorm', 'normalize': 'Normalize', 'dropout': 'Dropout',
             'logits': 'LogitScore'}
    for i, (kind, config) in enumerate(golden.modules, 1):
        path = f'{i}_{names[kind]}'
        listed.append({'idx': i, 'name': str(i), 'path': path, 'type': MODULES[kind]})
        config = dict(config)
        if config.pop('old', False):
            modes = config.pop('pooling_mode')
            config |= {flag: mode in modes for mode, flag in FLAGS.items()}
        if kind != 'normalize':
            files[f'{path}/config.json'] = config
        if kind == 'dense':
            shapes[path] = {'linear.weight': [config['out_features'], config['in_features']]}
            if config.get('bias', True):
                shapes[path]['linear.bias'] = [config['out_features']]
        if kind == 'norm':
            shapes[path] = {f'norm.{part}': [config['dimension']] for part in ('weight', 'bias')}
    if golden.modules:
        files['modules.json'] = listed
    return files, shapes


def behind(golden: Golden, states: torch.Tensor, made: dict, model) -> torch.Tensor:
    x = states
    for i, (kind, config) in enumerate(golden.modules, 1):
        weights = next((tensors for path, tensors in made.items() if path.startswith(f'{i}_')), {})
        if kind == 'pooling':
            modes = config['pooling_mode']
            x = torch.cat([pooled(x, mode) for mode in ([modes] if isinstance(modes, str) else modes)])
        if kind == 'dense':
            x = torch.nn.functional.linear(x, weights['linear.weight'], weights.get('linear.bias'))
            x = {'Tanh': torch.tanh, 'Identity': lambda x: x}[config.get('activation_function', 'Tanh').split('.')[-1]](x)
        if kind == 'norm':
            x = torch.nn.functional.layer_norm(x, x.shape, weights['norm.weight'], weights['norm.bias'])
        if kind == 'normalize':
            x = torch.nn.functional.normalize(x, dim=0)
    return x


def gguf_form(golden: Golden, shapes: dict, modules: dict) -> dict:
    config = golden.config
    arch = golden.gguf
    keys = [['general.architecture', 'string', arch]]
    add = lambda key, kind, value: keys.append([f'{arch}.{key}', kind, value])
    add('block_count', 'u32', config['num_hidden_layers'])
    add('context_length', 'u32', config['max_position_embeddings'] - golden.first)
    add('embedding_length', 'u32', config['hidden_size'])
    add('feed_forward_length', 'u32', config['intermediate_size'])
    add('vocab_size', 'u32', config['vocab_size'])
    add('attention.head_count', 'u32', config['num_attention_heads'])
    for key in ('layer_norm_eps', 'norm_eps'):
        if key in config:
            add('attention.layer_norm_epsilon', 'f32', config[key])
    for key in golden.keys:
        add(*key)
    table = gguf.get_tensor_name_map({name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[arch], config['num_hidden_layers'])
    tensors, extra = {}, {}
    for name in shapes:
        plain = name
        for prefix in ('bert.', 'roberta.'):
            plain = plain.removeprefix(prefix)
        if arch in ('qwen3', 'gemma-embedding'):
            plain = 'model.' + plain
        if plain.startswith('pooler.'):
            continue  # left out by the converter
        stored = table.get_name(plain, try_suffixes=('.weight', '.bias'))
        assert stored, f'{golden.name}: gguf has no name for {plain}'
        tensors[name] = [stored] + (['rest', golden.first] if golden.first and 'position_embeddings' in name else [])
        if arch == 'gemma-embedding' and name.endswith('norm.weight'):
            tensors[name] += ['add', 1]
    at = 2
    for path, weights in modules.items():
        for name in weights:
            tensors[f'{path}.{name}'] = [f'dense_{at}.weight']
        at += 1
    return {'keys': keys, 'tensors': tensors, 'extra': extra}


def numbers(x: torch.Tensor) -> str:
    return base64.b64encode(x.detach().float().contiguous().numpy().tobytes()).decode()


def record(golden: Golden) -> dict:
    shapes = checkpoint_shapes(golden)
    files, modules = folders(golden)
    salt = golden.name
    tensors = {name: seeded(f'{salt}/{name}', shape, *rule(golden, name, shape)) for name, shape in shapes.items()}
    made = {path: {name: seeded(f'{salt}/{path}.{name}', shape, *rule(golden, name, shape)) for name, shape in weights.items()}
            for path, weights in modules.items()}
    model = load(golden, tensors)
    texts = []
    for n, length in enumerate(golden.lengths):
        # 0, 1 and 2 are special in these vocabularies.
        ids = [3 + int(x) % (golden.config['vocab_size'] - 3) for x in bits(f'{salt}/text.{n}', length)]
        entry = {'ids': ids}
        inputs = {'input_ids': torch.tensor([ids])}
        if golden.types:
            second = length // 3
            entry['types'] = [0] * second + [1] * (length - second)
            inputs['token_type_ids'] = torch.tensor([entry['types']])
        with torch.no_grad():
            out = model(**inputs)
            if golden.modules and golden.modules[0][0] == 'logits':
                ids = golden.modules[0][1]
                last = out.logits[0, -1]
                entry['score'] = (last[ids['true_token_id']] - last[ids['false_token_id']]).item()
            elif golden.pairs:
                entry['score'] = out.logits[0, 0].item()
            else:
                entry['vector'] = numbers(behind(golden, out.last_hidden_state[0], made, model))
        texts.append(entry)
    out = {'salt': salt, 'config': golden.config, 'files': files,
           'weights': {name: [shape, *rule(golden, name, shape)] for name, shape in shapes.items()},
           'modules': {path: {name: [shape, *rule(golden, name, shape)] for name, shape in weights.items()} for path, weights in modules.items()},
           'texts': texts}
    if golden.gguf:
        out['gguf'] = gguf_form(golden, shapes, modules)
    print(golden.name, [round(text['score'], 4) if 'score' in text else len(text['vector']) for text in texts], flush=True)
    return out


names = sys.argv[1:]
for golden in GOLDENS:
    if names and golden.name not in names:
        continue
    torch.manual_seed(7)
    here.mkdir(exist_ok=True)
    (here / f'{golden.name}.json').write_text(json.dumps(record(golden), separators=(',', ':')) + '\n')
