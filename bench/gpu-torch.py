# What bench/gpu.mjs measures, by PyTorch: one JSON request per line, the milliseconds of one call as the answer.
import json
import sys

import torch
import torch.nn.functional as F

device = "cuda"
L2 = 64e6


def timed(work):
    for _ in range(3):
        work(0)
    torch.cuda.synchronize()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for i in range(3):
        work(i)
    end.record()
    torch.cuda.synchronize()
    count = max(1, min(200, int(60 / max(start.elapsed_time(end), 1e-3))))
    start.record()
    for i in range(count):
        work(i)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / count


def draw(*shape):
    return torch.randn(*shape, device=device, dtype=torch.bfloat16)


def copies(size, make):
    return [make() for _ in range(max(1, min(8, int(-(-3 * L2 // size)))))]


def matmul(r):
    m, n, k = r["m"], r["n"], r["k"]
    weights = copies(2 * n * k, lambda: draw(n, k))
    x = draw(m, k)
    return timed(lambda i: F.linear(x, weights[i % len(weights)]))


def heads_of(r, tokens):
    return [draw(1, count, tokens, r["d"]) for count in (r["heads"], r["kvHeads"], r["kvHeads"])]


def best(run):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    times = []
    for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
        try:
            with sdpa_kernel(backend):
                times.append(timed(run))
        except RuntimeError:
            pass
    return min(times)


def attention(r):
    q, k, v = heads_of(r, r["tokens"])
    return best(lambda i: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))


def attention_both(r):
    q, k, v = (x.requires_grad_() for x in heads_of(r, r["tokens"]))
    grad = draw(1, r["heads"], r["tokens"], r["d"])

    def run(_):
        F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).backward(grad)
        q.grad = k.grad = v.grad = None

    return best(run)


def decode(r):
    # PyTorch has no paged attention of its own: the same keys, side by side.
    q = draw(r["batch"], r["heads"], 1, r["d"])
    k, v = (draw(r["batch"], r["kvHeads"], r["context"], r["d"]) for _ in range(2))
    return best(lambda i: F.scaled_dot_product_attention(q, k, v, enable_gqa=True))


def lora(r):
    try:
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        return None
    config = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=8192, rope_theta=500000.0,
    )
    with torch.device(device):
        torch.set_default_dtype(torch.bfloat16)
        model = LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    model = get_peft_model(model, LoraConfig(r=r["rank"], lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4, fused=True)
    ids = torch.randint(0, 128000, (1, r["tokens"]), device=device)

    def step(_):
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return timed(step)


kinds = {"matmul": matmul, "attention": attention, "attention-both": attention_both, "decode": decode, "lora": lora}
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"milliseconds": kinds[request["what"]](request)}), flush=True)
