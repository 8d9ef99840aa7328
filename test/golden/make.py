"""Records what transformers and PEFT give on the model in the repository.

    python test/golden/make.py        (needs torch, transformers, peft, safetensors)

Writes expected.json (greedy tokens, losses, gradient norms) and expected.safetensors (last logits, the LoRA start and
result) beside this file. test/models/golden.test.ts compares Helvetia with them.
"""
import json
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import save_file

here = Path(__file__).parent
folder = here.parent.parent / 'models' / 'helvetia-small'
torch.manual_seed(7)
torch.set_grad_enabled(True)

tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager')
model.eval()

prompts = json.loads((here / 'prompts.json').read_text())
tensors, chats = {}, []
for i, messages in enumerate(prompts):
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)['input_ids']
    with torch.no_grad():
        last = model(torch.tensor([ids])).logits[0, -1]
        new = model.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False)[0, len(ids):].tolist()
    tensors[f'last_logits.{i}'] = last.contiguous()
    chats.append({'messages': messages, 'text': text, 'ids': ids, 'greedy': new})

# A LoRA run: rank 2 on all linear layers, plain AdamW, gradients clipped to 1, loss on the answers only.
rows = [json.loads(line) for line in (here.parent.parent / 'examples' / 'data' / 'demo.jsonl').read_text().splitlines()[:24]]
config = peft.LoraConfig(r=2, lora_alpha=4, target_modules='all-linear', task_type='CAUSAL_LM')
model = peft.get_peft_model(model, config)
state = peft.get_peft_model_state_dict(model)
tensors.update({f'init.{name}': value.clone() for name, value in state.items()})
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3, weight_decay=0.0)
steps, batches = [], []
for step in range(12):
    batch = []
    for row in rows[step * 2: step * 2 + 2]:
        *before, answer = row['messages']
        prompt = tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(row['messages'], tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False)['input_ids']
        start = len(tokenizer(prompt, add_special_tokens=False)['input_ids'])
        batch.append({'input_ids': ids, 'labels': [-100] * start + ids[start:]})
    count = sum(label != -100 for row in batch for label in row['labels'][1:])
    loss = 0.0
    for row in batch:  # one row at a time, so that nothing is padded; the sum is divided by the batch's own count
        logits = model(torch.tensor([row['input_ids']])).logits[0, :-1]
        labels = torch.tensor(row['labels'][1:])
        part = torch.nn.functional.cross_entropy(logits, labels, reduction='sum') / count
        part.backward()
        loss += part.item()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
    optimizer.step()
    optimizer.zero_grad()
    steps.append({'loss': loss, 'grad_norm': norm})
    batches.append(batch)
state = peft.get_peft_model_state_dict(model)
tensors.update({f'final.{name}': value.contiguous() for name, value in state.items()})

versions = {module.__name__: module.__version__ for module in (torch, transformers, peft)}
expected = {'versions': versions, 'chats': chats, 'lora': {'r': 2, 'alpha': 4, 'learningRate': 2e-3, 'batches': batches, 'steps': steps}}
(here / 'expected.json').write_text(json.dumps(expected))
save_file(tensors, here / 'expected.safetensors')
print(json.dumps(steps[-1]), [tokenizer.decode(chat['greedy']) for chat in chats])
