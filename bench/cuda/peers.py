#!/usr/bin/env python3
"""Times of our CUDA kernels beside PyTorch's (cuBLAS and cuDNN), on the GPU of this machine, as a Markdown table.

The items are those of kernels.cpp and train_step.cpp, by the same names. PyTorch is made as strong as it can be: cuDNN
looks for its fastest algorithm, attention takes the best backend, optimisers are fused. float32 is exact on both sides
(no TF32). Without PyTorch the table has our times alone. Programs: build/gpu/bench/cuda, or those of --build.
"""

import argparse
import functools
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

CACHE = 128e6  # bytes of inputs that no cache holds
ITEMS = {}  # name: Item
M = 1 << 20
SIZES = {"float32": 4, "bfloat16": 2}  # bytes of an element

# What must hold: the least share that our speed is of PyTorch's, or of a copy's.
MUSTS = [
    ("matmul float32, 4096 x 4096 x 4096", "PyTorch", 0.75),
    ("matmul bfloat16, 8192 x 8192 x 8192", "PyTorch", 0.45),
    ("attention bfloat16, 4 x 16 x 4096 x 128, causal", "PyTorch", 0.35),
    ("softmax float32, 32768 x 2048", "the copy", 0.85),
    ("softmax bfloat16, 32768 x 2048", "the copy", 0.85),
    ("layer_norm float32, 32768 x 768", "the copy", 0.85),
    ("layer_norm bfloat16, 32768 x 768", "the copy", 0.85),
    ("add float32, 64M", "the copy", 0.85),
    ("add bfloat16, 64M", "the copy", 0.85),
    ("gelu float32, 64M", "the copy", 0.85),
    ("GPT-2 124M training step, batch 8 x 1024", "PyTorch", 0.6),
]


class Item:
    """bytes and flops: what a call cannot do without. make() gives a call, or several that do the same."""

    def __init__(self, make, moved, flops=0, dtype=None):
        self.make, self.bytes, self.flops, self.dtype = make, moved, flops, dtype


def item(name, make, **costs):
    ITEMS[name] = Item(make, **costs)


def numbers(*shape, dtype="float32"):
    return torch.randn(*shape, device="cuda").to(getattr(torch, dtype))


def seconds_for(calls, times):
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for i in range(times):
        calls[i % len(calls)]()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / times


def measured(it):
    """The median of the seconds a call takes, of the fastest variant; as kernels.cpp does it."""
    sets = max(1, min(16, math.ceil(CACHE / it.bytes)))
    made = [it.make() for _ in range(sets)]
    variants = [list(v) for v in zip(*made)] if isinstance(made[0], (list, tuple)) else [made]
    best = math.inf
    for calls in variants:
        try:
            seconds_for(calls, len(calls))
        except RuntimeError:  # a backend of attention that does not take such inputs
            if len(variants) == 1:
                raise
            continue
        times = max(2, min(2000, int(0.02 / seconds_for(calls, 3))))
        best = min(best, statistics.median(seconds_for(calls, times) for _ in range(7)))
    return best


def memory_items():
    n = 64 * M

    def copy():
        x, y = numbers(n), torch.empty(n, device="cuda")
        return lambda: y.copy_(x)

    item("copy float32, 64M", copy, moved=8 * n)
    for dtype, size in SIZES.items():

        def add(dtype=dtype):
            a, b, y = (numbers(n, dtype=dtype) for _ in range(3))
            return lambda: torch.add(a, b, out=y)

        def gelu(dtype=dtype):
            x = numbers(n, dtype=dtype)
            return lambda: F.gelu(x)

        item(f"add {dtype}, 64M", add, moved=3 * n * size)
        item(f"gelu {dtype}, 64M", gelu, moved=2 * n * size)

    def dropout():
        x = numbers(n)
        return lambda: F.dropout(x, 0.1)

    def transpose():
        x, y = numbers(8192, 8192), torch.empty(8192, 8192, device="cuda")
        return lambda: y.copy_(x.t())

    item("dropout float32, 64M", dropout, moved=8 * n)
    item("transposing copy float32, 8192 x 8192", transpose, moved=8 * n)


def row_items():
    rows, n, d = 32768, 2048, 768
    for dtype, size in SIZES.items():

        def softmax(dtype=dtype):
            x = numbers(rows, n, dtype=dtype)
            return lambda: torch.softmax(x, -1)

        def norm(gradient, dtype=dtype):
            x, g = (numbers(rows, d, dtype=dtype) for _ in range(2))
            w, b = (numbers(d, dtype=dtype) for _ in range(2))
            _, mean, rstd = torch.ops.aten.native_layer_norm(x, [d], w, b, 1e-5)
            backward = torch.ops.aten.native_layer_norm_backward
            if gradient:
                return lambda: backward(g, x, [d], mean, rstd, w, b, [True, True, True])
            return lambda: F.layer_norm(x, [d], w, b)

        bytes_of_one = rows * size
        item(f"softmax {dtype}, 32768 x 2048", softmax, moved=2 * n * bytes_of_one)
        item(f"layer_norm {dtype}, 32768 x 768", functools.partial(norm, False), moved=2 * d * bytes_of_one)
        item(f"layer_norm gradient {dtype}, 32768 x 768", functools.partial(norm, True), moved=3 * d * bytes_of_one)

    def loss(gradient):
        x = numbers(8192, 50257).requires_grad_(gradient)
        target, g = torch.randint(0, 50257, (8192,), device="cuda"), numbers(8192)
        y = F.cross_entropy(x, target, reduction="none")
        if gradient:
            return lambda: torch.autograd.grad(y, x, g, retain_graph=True)
        return lambda: F.cross_entropy(x, target, reduction="none")

    item("cross_entropy float32, 8192 x 50257", lambda: loss(False), moved=4 * 8192 * 50257)
    item("cross_entropy gradient float32, 8192 x 50257", lambda: loss(True), moved=8 * 8192 * 50257)


def product_item(name, dtype, m, n, k, transposed=False):
    def make():
        a, b = numbers(m, k, dtype=dtype), numbers(*((n, k) if transposed else (k, n)), dtype=dtype)
        y = numbers(m, n, dtype=dtype)
        return lambda: torch.matmul(a, b.t() if transposed else b, out=y)

    moved = (m * k + k * n + m * n) * SIZES[dtype]
    item(f"matmul {dtype}, {name}", make, moved=moved, flops=2 * m * n * k, dtype=dtype)


def attention_items(batch, heads, length, d):
    def make(gradient):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        q, k, v, g = (numbers(batch, heads, length, d, dtype="bfloat16") for _ in range(4))
        if gradient:
            q, k, v = (x.requires_grad_() for x in (q, k, v))

        def variant(backend):
            def forward():
                with sdpa_kernel(backend):
                    return F.scaled_dot_product_attention(q, k, v, is_causal=True)

            if not gradient:
                return forward
            made = []  # the forward pass of the first call, whose gradient all of them take

            def backward():
                if not made:
                    made.append(forward())
                torch.autograd.grad(made[0], (q, k, v), g, retain_graph=True)

            return backward

        fused = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
        return [variant(backend) for backend in fused]

    shape, flops = f"{batch} x {heads} x {length} x {d}, causal", 2 * batch * heads * length * length * d
    moved = 8 * batch * heads * length * d
    item(f"attention bfloat16, {shape}", lambda: make(False), moved=moved, flops=flops, dtype="bfloat16")
    gradient = {"moved": 2 * moved, "flops": 5 * flops // 2, "dtype": "bfloat16"}
    item(f"attention gradient bfloat16, {shape}", lambda: make(True), **gradient)


def convolution_items(name, dtype, inputs, outputs, kernel, plane, stride=1, groups=1):
    def make(which):
        out = (plane + 2 * (kernel // 2) - kernel) // stride + 1
        x, g = numbers(64, inputs, plane, plane, dtype=dtype), numbers(64, outputs, out, out, dtype=dtype)
        w = numbers(outputs, inputs // groups, kernel, kernel, dtype=dtype)
        pad, wanted = [kernel // 2] * 2, [which == 1, which == 2, False]
        if which == 0:
            return lambda: F.conv2d(x, w, None, stride, pad, 1, groups)
        backward = torch.ops.aten.convolution_backward
        return lambda: backward(g, x, w, None, [stride] * 2, pad, [1, 1], False, [0, 0], groups, wanted)

    out = (plane + 2 * (kernel // 2) - kernel) // stride + 1
    moved = SIZES[dtype] * 64 * (inputs * plane**2 + outputs * out**2)
    flops = 2 * 64 * outputs * out**2 * inputs // groups * kernel**2
    for which, what in enumerate(("", "input gradient ", "weight gradient ")):
        # A depthwise convolution is bound by memory.
        costs = {"moved": moved, "flops": flops if groups == 1 else 0, "dtype": dtype}
        item(f"conv2d {what}{dtype}, {name}", functools.partial(make, which), **costs)


def image_items():
    convolution_items("3 x 3, 64 to 64, 56 x 56, batch 64", "float32", 64, 64, 3, 56)
    convolution_items("3 x 3, 64 to 64, 56 x 56, batch 64", "bfloat16", 64, 64, 3, 56)
    convolution_items("3 x 3, 256 to 256, 14 x 14, batch 64", "float32", 256, 256, 3, 14)
    convolution_items("1 x 1, 256 to 64, 56 x 56, batch 64", "float32", 256, 64, 1, 56)
    convolution_items("3 x 3, 128 to 128, 56 x 56, stride 2, batch 64", "float32", 128, 128, 3, 56, 2)
    convolution_items("3 x 3, depthwise 128, 56 x 56, batch 64", "float32", 128, 128, 3, 56, 1, 128)

    def pool(gradient):
        x, g = numbers(64, 64, 112, 112), numbers(64, 64, 56, 56)
        size = [2, 2], [2, 2], [0, 0], [1, 1], False
        if not gradient:
            return lambda: F.max_pool2d(x, 2)
        places = torch.ops.aten.max_pool2d_with_indices(x, *size)[1]
        return lambda: torch.ops.aten.max_pool2d_with_indices_backward(g, x, *size, places)

    n = 4096 * 112 * 112
    item("max_pool2d float32, 2 x 2, 112 x 112, 4096 planes", lambda: pool(False), moved=5 * n)
    item("max_pool2d gradient float32, 2 x 2, 112 x 112, 4096 planes", lambda: pool(True), moved=9 * n)


def language_items():
    words, d, tokens, parameters = 50257, 768, 8192, 124439808

    def embedding(gradient):
        w, g = numbers(words, d), numbers(tokens, d)
        index = torch.randint(0, words, (tokens,), device="cuda")
        if gradient:
            return lambda: torch.ops.aten.embedding_dense_backward(g, index, words, -1, False)
        return lambda: F.embedding(index, w)

    def adamw():
        p = torch.nn.Parameter(numbers(parameters))
        p.grad = numbers(parameters)
        return torch.optim.AdamW([p], lr=3e-4, weight_decay=0.1, fused=True).step

    item("embedding float32, 8192 of 50257 x 768", lambda: embedding(False), moved=8 * tokens * d)
    moved = 4 * (words + tokens) * d
    item("embedding gradient float32, 8192 of 50257 x 768", lambda: embedding(True), moved=moved)
    item("AdamW float32, 124M parameters", adamw, moved=28 * parameters)


def make_items():
    memory_items()
    row_items()
    product_item("4096 x 4096 x 4096", "float32", 4096, 4096, 4096)
    product_item("1024 x 1024 x 1024", "float32", 1024, 1024, 1024)
    product_item("8192 x 8192 x 8192", "bfloat16", 8192, 8192, 8192)
    product_item("4096 x 4096 x 4096", "bfloat16", 4096, 4096, 4096)
    product_item("8192 x 3072 x 768, linear", "bfloat16", 8192, 3072, 768, transposed=True)
    attention_items(4, 16, 4096, 128)
    attention_items(8, 12, 1024, 64)
    image_items()
    language_items()


def gpt_step(compiled):
    """A training step of GPT-2's smallest model, as in train_step.cpp."""
    from torch import nn

    vocabulary, length, layers, heads, d, batch = 50257, 1024, 12, 12, 768, 8

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def forward(self, x):
            q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in self.qkv(self.norm1(x)).split(d, -1))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).flatten(2))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places = nn.Embedding(vocabulary, d), nn.Embedding(length, d)
            self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(layers))), nn.LayerNorm(d)
            nn.init.normal_(self.words.weight, std=0.02)

        def forward(self, tokens):
            x = self.words(tokens) + self.places(torch.arange(length, device="cuda"))
            return F.linear(self.norm(self.blocks(x)), self.words.weight)

    model = Gpt().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1, fused=True)
    tokens, targets = (torch.randint(0, vocabulary, (batch, length), device="cuda") for _ in range(2))
    run = torch.compile(model) if compiled else model

    def step():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = F.cross_entropy(run(tokens).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(5):
        step()
    return statistics.median(seconds_for([step], 1) for _ in range(20))


def our_times(build, chosen):
    """Seconds by name, and what our programs had to say besides."""
    times, complaints = {}, []
    for program, arguments in (("cuda_kernels", [chosen] if chosen else []), ("cuda_train_step", [])):
        found = next(iter(sorted(build.rglob(program))), None)
        if not found:
            sys.exit(f"error: there is no {program} in {build}; ./run gpu builds it")
        if program == "cuda_train_step" and chosen and chosen not in MUSTS[-1][0]:
            continue
        done = subprocess.run([found, *arguments], capture_output=True, text=True)
        times |= {line["name"]: line["seconds"] for line in map(json.loads, done.stdout.splitlines())}
        complaints += done.stderr.splitlines()
        if done.returncode:
            complaints.append(f"{program} gave up with {done.returncode}")
    return times, complaints


def their_times(chosen, compiled):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    times = {}
    for name, it in ITEMS.items():
        # The roofs are needed in any case.
        if chosen in name or name in ROOFS.values():
            with torch.set_grad_enabled("gradient" in name):
                times[name] = measured(it)
            torch.cuda.empty_cache()
    if chosen in MUSTS[-1][0]:
        times[MUSTS[-1][0]] = gpt_step(False)
        if compiled:
            times["compiled"] = gpt_step(True)
    return times


ROOFS = {
    "memory": "copy float32, 64M",
    "float32": "matmul float32, 4096 x 4096 x 4096",
    "bfloat16": "matmul bfloat16, 8192 x 8192 x 8192",
}


def unit(seconds):
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def percent(share):
    return "" if share is None else f"{100 * share:.0f}%"


def report(ours, theirs):
    """The table and the list of musts, as lines of Markdown."""
    best = {what: theirs.get(name, ours.get(name)) for what, name in ROOFS.items()}
    bandwidth = ITEMS[ROOFS["memory"]].bytes / best["memory"] if best["memory"] else None
    peaks = {w: ITEMS[ROOFS[w]].flops / best[w] for w in ("float32", "bfloat16") if best[w]}

    def roof_share(name):
        it = ITEMS.get(name)
        if it is None or name not in ours:
            return None
        if it.flops:
            peak = peaks.get(it.dtype)
            return it.flops / ours[name] / peak if peak else None
        return it.bytes / ours[name] / bandwidth if bandwidth else None

    lines = []
    if bandwidth:
        lines.append(f"A copy moves {bandwidth / 1e9:.0f} GB/s (read and written).")
    lines += [f"Products in {what} reach {peak / 1e12:.1f} TFLOPS." for what, peak in peaks.items()]
    lines += ["", "| Workload | Gradus | PyTorch | of PyTorch's speed | of the roof |", "| --- | --: | --: | --: | --: |"]
    for name in ours | {n: 0 for n in theirs if n != "compiled"}:
        mine, other = ours.get(name), theirs.get(name)
        cells = [unit(mine) if mine else "-", unit(other) if other else "-"]
        cells += [percent(other / mine if mine and other else None), percent(roof_share(name))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if "compiled" in theirs:
        lines += ["", f"torch.compile makes PyTorch's training step take {unit(theirs['compiled'])}."]
    lines += ["", "The roof: the bandwidth of the copy, or where products dominate those of PyTorch's largest.", ""]
    for name, peer, least in MUSTS:
        share = roof_share(name) if peer == "the copy" else None
        if peer == "PyTorch" and name in ours and name in theirs:
            share = theirs[name] / ours[name]
        verdict = "not measured" if share is None else f"{percent(share)}, {'met' if share >= least else 'MISSED'}"
        lines.append(f"- {name}: at least {percent(least)} of {peer}: {verdict}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--build", type=pathlib.Path, default=root / "build/gpu", help="where our programs are")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure what has this in its name")
    parser.add_argument("--compile", action="store_true", help="also torch.compile the training step: takes a minute")
    parser.add_argument("--out", type=pathlib.Path, help="write the table to this file too")
    options = parser.parse_args()
    start = time.monotonic()
    make_items()
    ours, complaints = our_times(options.build, options.only)
    theirs, machine = {}, ""
    if torch is None:
        complaints.append("PyTorch is not installed: our times stand alone")
    elif not torch.cuda.is_available():
        complaints.append("PyTorch finds no GPU: our times stand alone")
    else:
        theirs = their_times(options.only, options.compile)
        machine = f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}."
    lines = [machine, *report(ours, theirs), "", *complaints]
    text = "\n".join(lines).strip() + f"\n\nTook {time.monotonic() - start:.0f} s.\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
