"""Records what PEFT gives for an adapter of before transformers 5, with a pair for each expert, which it fuses as it loads it.

    python test/golden/old_experts.py        (needs torch, transformers, peft, safetensors)

The model is the golden qwen3_moe. No weight is stored: each follows from its tensor's name.
"""
import base64
import json
import tempfile
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import save_file

from seeding import seeded

here = Path(__file__).parent
golden = json.loads((here / 'families' / 'qwen3_moe.json').read_text())
RANK, ALPHA = 2, 3
MODULES = ['q_proj', 'gate', 'gate_proj', 'up_proj', 'down_proj']


def pairs() -> dict[str, torch.Tensor]:
    """By name: a pair for each module of transformers 4 that the names mean, shaped by its weight in the checkpoint."""
    out = {}
    for name, (shape, *_) in golden['weights'].items():
        path = name.removesuffix('.weight')
        if path.split('.')[-1] not in MODULES:
            continue
        for kind, size in (('A', [RANK, shape[1]]), ('B', [shape[0], RANK])):
            key = f'base_model.model.{path}.lora_{kind}.weight'
            out[key] = seeded(f'old/{key}', size, 0.25)
    return out


config = {'peft_type': 'LORA', 'task_type': 'CAUSAL_LM', 'r': RANK, 'lora_alpha': ALPHA, 'lora_dropout': 0.0,
          'bias': 'none', 'target_modules': MODULES, 'base_model_name_or_path': None}
with tempfile.TemporaryDirectory() as folder:
    Path(folder, 'config.json').write_text(json.dumps(golden['config']))
    weights = {name: seeded(f"{golden['salt']}/{name}", *rest) for name, rest in golden['weights'].items()}
    save_file(weights, Path(folder, 'model.safetensors'), metadata={'format': 'pt'})
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager')
    save_file(pairs(), Path(folder, 'adapter_model.safetensors'), metadata={'format': 'pt'})
    Path(folder, 'adapter_config.json').write_text(json.dumps(config))
    with torch.no_grad():
        before = base(torch.tensor([golden['prompt']])).logits[0, -1].clone()
        model = peft.PeftModel.from_pretrained(base, folder).eval()
        logits = model(torch.tensor([golden['prompt']])).logits[0, -1]
assert (logits - before).abs().max() > 0.5
recorded = {'config': config, 'scale': 0.25, 'logits': base64.b64encode(logits.numpy().tobytes()).decode()}
(here / 'old-experts.json').write_text(json.dumps(recorded, separators=(',', ':')) + '\n')
