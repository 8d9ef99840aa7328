# What bench/gpu.mjs measures, by PyTorch: one JSON request per line, the milliseconds of one call as the answer, or null
# and what went wrong.
import gc
import json
import sys

import torch
import torch.nn.functional as F

device = "cuda"


def timed(work, calls=20, graph=True):
    """Milliseconds of one call. Short calls are captured in a CUDA graph, so that Python's launches do not count."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]

    def many(run, count):
        events[0].record()
        for i in range(count):
            run(i)
        events[1].record()
        torch.cuda.synchronize()
        return events[0].elapsed_time(events[1])

    many(work, 3)
    one = many(work, 3) / 3
    if graph and one < 2:
        try:
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured):
                for i in range(calls):
                    work(i)
            replay = lambda i: captured.replay()
            many(replay, 2)
            replays = max(2, int(20 / max(many(replay, 1), 1e-3)))
            return many(replay, replays) / replays / calls
        except RuntimeError:
            torch.cuda.synchronize()
    count = max(1, min(200, int(20 / max(one, 1e-3))))
    return many(work, count) / count


def draw(*shape):
    return torch.randn(*shape, device=device, dtype=torch.bfloat16)


def copies(size, make):
    return [make() for _ in range(max(1, min(16, int(-(-180e6 // size)))))]


def copy(r):
    x = torch.randn(r["size"], device=device)
    y = torch.empty_like(x)
    return timed(lambda i: y.copy_(x))


def matmul(r):
    m, n, k = r["m"], r["n"], r["k"]
    weights = copies(2 * n * k, lambda: draw(n, k))
    x = draw(m, k)
    residual = draw(m, n) if r.get("residual") else None
    with torch.no_grad():
        if residual is None:
            return timed(lambda i: F.linear(x, weights[i % len(weights)]))
        # cuBLAS adds it in its epilogue too.
        return timed(lambda i: torch.addmm(residual, x, weights[i % len(weights)].t()))


def grouped(r):
    # Of bf16 on Hopper, by CUTLASS; older releases of PyTorch and other GPUs answer with an error.
    product = getattr(F, "grouped_mm", None) or torch._grouped_mm
    count, n, k, starts = r["count"], r["n"], r["k"], r["starts"]
    weights = copies(2 * count * n * k, lambda: draw(count, n, k))
    x = draw(starts[-1], k if r["transposed"] else n)
    ends = torch.tensor(starts[1:], dtype=torch.int32, device=device)

    def run(i):
        weight = weights[i % len(weights)]
        product(x, weight.transpose(-2, -1) if r["transposed"] else weight, offs=ends)

    with torch.no_grad():
        return timed(run)


def best(make):
    """The faster of PyTorch's two fused backends. `make` gives the call to be timed."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    times, errors = [], []
    for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
        try:
            with sdpa_kernel(backend):
                times.append(timed(*make()))
        except RuntimeError as error:
            errors.append(str(error))
    if not times:
        raise RuntimeError("; ".join(errors))
    return min(times)


def sets_of(r, tokens, gradients=False):
    d, heads = r["d"], (r["heads"], r["kvHeads"], r["kvHeads"])
    size = 2 * tokens * d * (2 * heads[0] + 2 * heads[1])
    make = lambda: [draw(1, count, tokens, d).requires_grad_(gradients) for count in heads]
    return copies(size, make)[:4]


def attention(r):
    sets = sets_of(r, r["tokens"])

    def run(i):
        q, k, v = sets[i % len(sets)]
        F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    with torch.no_grad():
        return best(lambda: (run,))


def attention_backward(r):
    q, k, v = sets_of(r, r["tokens"], True)[0]
    grad = draw(1, r["heads"], r["tokens"], r["d"])

    def make():
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return (lambda i: torch.autograd.grad(out, (q, k, v), grad, retain_graph=True)), 1, False

    return best(make)


def decode(r):
    # PyTorch has no paged attention of its own: the same keys, side by side.
    shape = (r["batch"], r["kvHeads"], r["context"], r["d"])
    size = 4 * r["batch"] * r["kvHeads"] * r["context"] * r["d"]
    caches = copies(size, lambda: (draw(*shape), draw(*shape)))
    q = draw(r["batch"], r["heads"], 1, r["d"])

    def run(i):
        k, v = caches[i % len(caches)]
        F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    with torch.no_grad():
        return best(lambda: (run,))


def lora(r):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=8192, rope_theta=500000.0, use_cache=False,
    )
    with torch.device(device):
        torch.set_default_dtype(torch.bfloat16)
        try:
            model = LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(torch.float32)
    model = get_peft_model(model, LoraConfig(r=r["rank"], lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-4, fused=True)
    ids = torch.randint(0, 128000, (1, r["tokens"]), device=device)

    def step(_):
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for i in range(2):
        step(i)
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for i in range(5):
        step(i)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 5


kinds = {
    "copy": copy, "matmul": matmul, "grouped": grouped, "attention": attention,
    "attention-backward": attention_backward, "decode": decode, "lora": lora,
}


def answer(request):
    try:
        return {"milliseconds": kinds[request["what"]](request)}
    except Exception as error:  # a figure less, and the next request is answered
        return {"milliseconds": None, "error": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    reply = answer(json.loads(line))
    try:
        gc.collect()
        torch.cuda.empty_cache()
    except Exception as error:  # after a fault on the GPU nothing works any more
        reply.setdefault("error", str(error))
    print(json.dumps(reply), flush=True)
