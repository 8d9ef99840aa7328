"""Records what transformers and PEFT give on tiny random models, one JSON file per golden of configs.py.

    python test/golden/families.py [--check] [name …]        (needs torch, transformers, peft, safetensors, gguf)

No weight is stored. Each is made of its tensor's name by `seeded`, which test/golden/seeded.ts computes to the same bit.
Its values have so few bits that bf16 and f16 hold them exactly. `--check` takes each key out of a config.json in turn and
tells which of them the logits do not depend on.
"""
import base64
import copy
import json
import math
import sys
import tempfile
import warnings
from pathlib import Path

import peft
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

from configs import GOLDENS, NEUTRAL, Golden
from ggufs import gguf_of, mxfp4_of
from seeding import bits, seeded, seeded_fp4

here = Path(__file__).parent / 'families'
NEW_TOKENS, STEPS, ROWS = 20, 8, 2
warnings.filterwarnings('ignore', message='Could not find a config file')
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)


def rules(golden: Golden, shapes: dict) -> dict[str, tuple[float, float | str]]:
    """Scales and offsets: powers of two that leave what flows through a layer at a size of about 1."""
    # An output tied to large embeddings repeats its input: they are small, and the last norm makes up for it.
    tied = not any('lm_head' in name or 'embed_out' in name for name in shapes)
    gemma = 'gemma' in golden.name

    def rule(name: str, shape) -> tuple[float, float | str]:
        if golden.fp4 and name.endswith(('.gate_up_proj', '.down_proj')):
            return 2.0 ** round(math.log2(math.sqrt(1 / 3 / shape[-2]))), 'fp4'
        if name.endswith('bias'):
            return 0.25, 0
        if name.endswith('linear_attn.norm.weight'):
            return 0.5, 1  # the one norm of its family that is not centred on 0
        if 'altup.' in name and name.endswith('coefs.weight'):
            return 0.25, 0
        if 'correct_output_scale' in name:
            return 0.5, 1
        if 'modality_router' in name:
            return 4, 0  # its input is divided by the hidden size
        if 'altup_unembed' in name:
            return 2.0 ** round(math.log2(math.sqrt(3 / shape[-1]))), 0
        if 'embed_tokens_per_layer' in name:
            return 0.25, 0
        if 'per_layer_model_projection' in name:
            return 2, 0  # its result is divided by the root of the hidden size
        if name.endswith(('layer_scalar', 'per_expert_scale')):
            return 0.25, 1
        if name.endswith('router.scale'):
            return 2, 4  # divided by the root of the hidden size
        if name.endswith(('q_norm.weight', 'k_norm.weight')) and golden.name.startswith(('gemma3n', 'gemma4')):
            return 0.25, 0.5  # their scores are not divided by the root of the head size
        if name.endswith(('A_log', '.D')):
            return 1, 0
        if name.endswith(('conv1d.weight', 'conv.conv.weight')):
            return 0.5, 0
        centre = 0 if golden.zero_centred else 1
        if name.endswith(('model.norm.weight', 'embedding_norm.weight', 'norm_f.weight', 'ln_f.weight', 'final_layer_norm.weight')):
            return (2, 4) if gemma else (0.5, centre + tied)
        if 'norm' in name or 'ln_' in name:
            return 0.5, centre
        if any(part in name for part in ('lm_head', 'embed', 'wte', 'wpe')):
            # Gemma multiplies them by the root of their size.
            return 0.0625 if gemma else 0.25 if tied else 0.5, 0
        fan_in = shape[0] if golden.name.startswith('gpt2') else shape[-1]
        return 2.0 ** round(math.log2(math.sqrt(3 / fan_in))), 0

    return {name: rule(name, shape) for name, shape in shapes.items()}


def class_of(config: dict):
    return getattr(transformers, config['architectures'][0])


def checkpoint_names(golden: Golden) -> dict[str, list[int]]:
    """The names and shapes of a checkpoint, as transformers writes it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, 'config.json').write_text(json.dumps(golden.config))
        parsed = transformers.AutoConfig.from_pretrained(folder)
        class_of(golden.config)(parsed).save_pretrained(folder)
        with safe_open(Path(folder, 'model.safetensors'), 'pt') as file:
            return {name.removeprefix(golden.prefix): list(file.get_slice(name).get_shape()) for name in file.keys()}


def load(config: dict, tensors: dict[str, torch.Tensor]):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, 'config.json').write_text(json.dumps(config))
        save_file(tensors, Path(folder, 'model.safetensors'), metadata={'format': 'pt'})
        model, info = class_of(config).from_pretrained(
            folder, dtype=torch.float32, attn_implementation='eager', output_loading_info=True)
    assert not any(info[kind] for kind in ('missing_keys', 'unexpected_keys', 'mismatched_keys')), info
    return model.eval()


def greedy(golden: Golden, model, ids: list[int]) -> tuple[list[int], float]:
    """Tokens through the KV cache, checked against one pass over all, and the least lead of a likeliest token."""
    rows, tokens, cache, inputs = [], [], None, ids
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            past = len(ids) + len(tokens) - len(inputs)
            placed = {'position_ids': torch.arange(past, past + len(inputs))[None]} if golden.positions else {}
            out = model(torch.tensor([inputs]), past_key_values=cache, use_cache=True, **placed)
            cache = out.past_key_values
            rows.append(out.logits[0, -1])
            tokens.append(int(rows[-1].argmax()))
            inputs = tokens[-1:]
        whole = model(torch.tensor([ids + tokens[:-1]]), use_cache=False).logits[0, len(ids) - 1:]
    rows = torch.stack(rows)
    assert (rows - whole).abs().max() < 5e-5, (rows - whole).abs().max()
    top = rows.topk(2).values
    return tokens, (top[:, 0] - top[:, 1]).min().item()


def train(golden: Golden, model, salt: str) -> dict:
    """PEFT's LoRA, from a seeded adapter whose B is not 0."""
    targets = golden.targets if isinstance(golden.targets, str) else list(golden.targets)
    lora = peft.LoraConfig(r=3, lora_alpha=5, lora_dropout=0.0, target_modules=targets,
                           target_parameters=list(golden.parameters) or None, task_type='CAUSAL_LM')
    model = peft.get_peft_model(model, lora).eval()
    shapes = {name: list(value.shape) for name, value in peft.get_peft_model_state_dict(model).items()}
    start = {name: seeded(f'{salt}/{name}', shape, 0.25) for name, shape in shapes.items()}
    peft.set_peft_model_state_dict(model, start)
    options = {'learningRate': golden.rate, 'betas': [0.8, 0.95], 'eps': 1e-3, 'maxGradNorm': 1}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=options['learningRate'],
                                  betas=tuple(options['betas']), eps=options['eps'], weight_decay=0.0)
    low, high = golden.rows
    rows, losses, norms = [], [], []
    for step in range(STEPS):
        loss, batch = 0.0, []
        for n in range(ROWS):
            draw = bits(f'{salt}/row.{step}.{n}', high + 2)
            length = low + int(draw[-1]) % (high - low + 1)
            ids = [int(x) % golden.config['vocab_size'] for x in draw[:length]]
            masked = int(draw[-2]) % (length // 2)
            batch.append({'input_ids': ids, 'labels': [-100] * masked + ids[masked:]})
        count = sum(label != -100 for row in batch for label in row['labels'][1:])
        for row in batch:  # one row at a time, so that nothing is padded; the sum is divided by the batch's own count
            logits = model(torch.tensor([row['input_ids']])).logits[0, :-1]
            part = torch.nn.functional.cross_entropy(logits, torch.tensor(row['labels'][1:]), reduction='sum') / count
            part.backward()
            loss += part.item()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), options['maxGradNorm']).item())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss)
        rows += [{'ids': row['input_ids'], 'masked': row['labels'].count(-100)} for row in batch]
    # A tensor's change is kept as its norm and its product with a seeded vector: any other change shows in these.
    tensors = {}
    for name, value in peft.get_peft_model_state_dict(model).items():
        change = (value.detach() - start[name]).double()
        probe = seeded(f'{salt}/{name}.probe', shapes[name], 1).double()
        tensors[name] = [shapes[name], digits(change.norm().item()), digits((change * probe).sum().item())]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads(Path(folder, 'adapter_config.json').read_text())
    config['base_model_name_or_path'] = None
    for key in ('target_modules', 'target_parameters'):
        config[key] = config[key] and sorted(config[key])
    return {'config': config, 'scale': 0.25, **options, 'batchSize': ROWS, 'rows': rows,
            'losses': list(map(digits, losses)), 'norms': list(map(digits, norms)), 'tensors': tensors}


def digits(x: float) -> float:
    return float(f'{x:.8g}')


def weights(salt: str, shapes: dict, made: dict) -> dict[str, torch.Tensor]:
    return {name: seeded_fp4(f'{salt}/{name}', shape, made[name][0]) if made[name][1] == 'fp4'
            else seeded(f'{salt}/{name}', shape, *made[name]) for name, shape in shapes.items()}


def record(golden: Golden) -> dict | None:
    shapes = checkpoint_names(golden)
    made = rules(golden, shapes)
    best = (0, )
    for attempt in range(80):
        salt = golden.name if attempt == 0 else f'{golden.name}.{attempt}'
        tensors = weights(salt, shapes, made)
        model = load(golden.config, tensors)
        prompt = [int(x) % golden.config['vocab_size'] for x in bits(f'{salt}/prompt', golden.prompt)]
        tokens, margin = greedy(golden, model, prompt)
        if margin > 0.02 and len(set(tokens)) > best[0]:
            best = len(set(tokens)), salt, model, prompt, tokens, margin, tensors
        if best[0] > 7:
            break
    if best[0] < 4:
        return None
    kinds, salt, model, prompt, tokens, margin, tensors = best
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0]
    positions = [0, 12, golden.prompt - 2, golden.prompt - 1]
    shares = torch.softmax(logits, -1)
    print(f'{golden.name}: {salt}, {kinds} tokens, margin {margin:.3f}, entropy {-(shares * shares.log()).sum(-1).mean():.2f} of {math.log(96):.2f}')
    parsed = model.config
    out = {
        'salt': salt, 'config': golden.config,
        'weights': {name: [shape, *made[name]] for name, shape in shapes.items()},
        'prompt': prompt,
        'logits': {str(at): base64.b64encode(logits[at].numpy().tobytes()).decode() for at in positions},
        'greedy': tokens,
    }
    if golden.gguf:
        out['gguf'] = gguf_of(golden, parsed, shapes)
    if golden.fp4:
        out['gguf']['packed'] = mxfp4_of(out['gguf'], tensors)
    out['lora'] = train(golden, model, salt)
    print('   losses', out['lora']['losses'][0], out['lora']['losses'][-1], 'norms', out['lora']['norms'][:3], flush=True)
    return out


def check(golden: Golden) -> None:
    """Says which keys of the config could be misread without a test failing."""
    shapes = checkpoint_names(golden)
    made = rules(golden, shapes)

    def logits(config: dict) -> torch.Tensor:
        tensors = weights(golden.name, shapes, made)
        with torch.no_grad():
            return load(config, tensors)(torch.tensor([[int(x) % 96 for x in bits('check', golden.prompt)]])).logits

    want = logits(golden.config)
    paths = []

    def walk(value, path):
        for key, inner in value.items():
            paths.append((*path, key))
            if isinstance(inner, dict):
                walk(inner, (*path, key))

    walk(golden.config, ())
    for path in paths:
        if path[0] in NEUTRAL:
            continue
        config = copy.deepcopy(golden.config)
        inner = config
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        try:
            change = (logits(config) - want).abs().max().item()
        except Exception as error:  # without the key there is no such model
            change = math.inf
        if (change < 1e-3) != ('.'.join(path) in golden.silent):
            print(f'{golden.name}: without {".".join(path)} the logits change by {change:.2g}')


names = [name for name in sys.argv[1:] if not name.startswith('--')]
unknown = set(names) - {golden.name for golden in GOLDENS}
if unknown:
    raise SystemExit(f'no golden is named {", ".join(sorted(unknown))}')
failed = []
for golden in GOLDENS:
    if names and golden.name not in names:
        continue
    torch.manual_seed(7)
    if '--check' in sys.argv:
        check(golden)
        continue
    recorded = record(golden)
    if recorded is None:
        failed.append(golden.name)
        continue
    here.mkdir(exist_ok=True)
    (here / f'{golden.name}.json').write_text(json.dumps(recorded, separators=(',', ':')) + '\n')
if failed:
    raise SystemExit(f'no weights with a clear greedy continuation: {", ".join(failed)}')
