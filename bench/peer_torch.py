"""PyTorch's side of the benchmarks: the items of kernels.cpp and train_steps.cpp by the same names.

bench.py talks to it as to those programs (see serve.cpp), with one answer more: `set NAME` gives the name of the
variant that was fastest of those an item has. `set NAME @VARIANT` takes that one. PyTorch is made as strong as it can
be: denormals are flushed as ours are, and its memory is kept between calls (bench.py sets malloc up so).
"""

import copy
import itertools
import json
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

aten = torch.ops.aten
torch.set_flush_denormal(True)
torch.manual_seed(0)
ITEMS = {}


def item(name, make):
    """make() gives a call, or a dictionary of calls that do the same in different ways."""
    ITEMS[name] = make


def plain(make):
    """Inputs made by `make`, and calls without gradients."""

    def with_inputs():
        calls = make()

        def quiet(call):
            def run():
                with torch.no_grad():
                    call()

            return run

        return {n: quiet(c) for n, c in calls.items()} if isinstance(calls, dict) else quiet(calls)

    return with_inputs


def both_ways(make):
    """`make` gives (x, parameters, f): y = f(x) and its gradients, which are forgotten again."""

    def with_inputs():
        x, parameters, f = make()
        leaves = [x.requires_grad_()] + [p.requires_grad_() for p in parameters]
        g = torch.randn_like(f(x))

        def run():
            f(x).backward(g)
            for leaf in leaves:
                leaf.grad = None

        return run

    return with_inputs


# --- element-wise ---------------------------------------------------------------------------------------------------


def binary_into(f, n):
    def make():
        a, b, y = torch.randn(n), torch.randn(n), torch.zeros(n)
        return lambda: f(a, b, out=y)

    return plain(make)


def copy_into(n):
    a, y = torch.randn(n), torch.zeros(n)
    return lambda: y.copy_(a)


def unary_into(f, n, positive):
    def make():
        x, y = (torch.rand if positive else torch.randn)(n), torch.zeros(n)
        return lambda: f(x, y)

    return plain(make)


def gradient_into(f, n):
    def make():
        x, g, y = torch.rand(n), torch.randn(n), torch.zeros(n)
        return lambda: f(g, x, grad_input=y)

    return plain(make)


UNARY = {
    **{
        name: (lambda x, y, f=getattr(torch, name): f(x, out=y))
        for name in ("exp", "tanh", "sigmoid", "erf", "log", "sin", "cos", "sqrt")
    },
    "gelu": lambda x, y: aten.gelu.out(x, out=y),
    "gelu tanh": lambda x, y: aten.gelu.out(x, approximate="tanh", out=y),
    "silu": lambda x, y: aten.silu.out(x, out=y),
    "relu": lambda x, y: torch.clamp_min(x, 0, out=y),
}
item("add 64M, into", binary_into(torch.add, 1 << 26))
item("copy 64M, into", plain(lambda: copy_into(1 << 26)))
for name, f in UNARY.items():
    for label, n in (("64K", 64 << 10), ("4M", 4 << 20)):
        item(f"{name} {label}, into", unary_into(f, n, name in ("log", "sqrt")))
for name in ("tanh", "sigmoid", "gelu", "silu"):
    item(f"{name} gradient 4M, into", gradient_into(getattr(aten, name + "_backward").grad_input, 4 << 20))


def with_input(f, *shape):
    def make():
        x = torch.randn(*shape)
        return lambda: f(x)

    return plain(make)


def gradient_of(f, *shape):
    return both_ways(lambda: (torch.randn(*shape), [], f))


item("bfloat16 of 4M", with_input(lambda x: x.to(torch.bfloat16), 4 << 20))
item("normal numbers, 4M", plain(lambda: lambda: torch.randn(4 << 20)))
item("dropout 4M", with_input(lambda x: F.dropout(x, 0.1), 4 << 20))
item("dropout 4M, both ways", gradient_of(lambda x: F.dropout(x, 0.1), 4 << 20))

# --- rows, reductions, optimisers -----------------------------------------------------------------------------------

item("softmax 4096x1024", with_input(lambda x: torch.softmax(x, -1), 4096, 1024))
item("softmax 4096x1024, both ways", gradient_of(lambda x: torch.softmax(x, -1), 4096, 1024))
item("log_softmax 12288x25", with_input(lambda x: torch.log_softmax(x, -1), 12288, 25))
item("sort 64x4096", with_input(lambda x: torch.sort(x, dim=-1, stable=True), 64, 4096))
item("log_softmax 1600x8000", with_input(lambda x: torch.log_softmax(x, -1), 1600, 8000))
item("log_softmax 1600x8000, both ways", gradient_of(lambda x: torch.log_softmax(x, -1), 1600, 8000))


def cross_entropy():
    y = torch.randint(0, 8000, (1600,))
    return torch.randn(1600, 8000), [], lambda x: F.cross_entropy(x, y)


def norm(f, shape, *parameters):
    """f(x, parameters) for inputs of `shape`; `parameters` are fills (sizes, value) of which the gradients count."""

    def make():
        p = [torch.full((size,), value) for size, value in parameters]
        return torch.randn(*shape), p, lambda x: f(x, *p)

    def forward():
        x, _, g = make()
        return lambda: g(x)

    return plain(forward), both_ways(make)


def batch_norm():
    mean, var = torch.zeros(32), torch.ones(32)
    return lambda x, w, b: F.batch_norm(x, mean, var, w, b, True)


item("cross_entropy 1600x8000, both ways", both_ways(cross_entropy))
for name, (forward, both) in {
    "layer_norm 4096x256": norm(lambda x, w, b: F.layer_norm(x, (256,), w, b), (4096, 256), (256, 1.0), (256, 0.0)),
    "rms_norm 4096x256": norm(lambda x, w: F.rms_norm(x, (256,), w, 1e-6), (4096, 256), (256, 1.0)),
    "batch_norm 64x32x28x28": norm(batch_norm(), (64, 32, 28, 28), (32, 1.0), (32, 0.0)),
}.items():
    item(name, forward)
    item(name + ", both ways", both)


def embedding():
    index = torch.randint(0, 8000, (64, 25))
    return torch.randn(8000, 256), [], lambda w: F.embedding(index, w)


item("embedding 1600 of 8000x256, both ways", both_ways(embedding))
item("sum of 256x256x256", with_input(lambda x: x.sum(), 256, 256, 256))
for axis in range(3):
    item(f"sum over axis {axis} of 256x256x256", with_input(lambda x, a=axis: x.sum(a), 256, 256, 256))
    item(f"amax over axis {axis} of 256x256x256", with_input(lambda x, a=axis: x.amax(a), 256, 256, 256))
item("transpose 2048x2048", with_input(lambda x: x.t().contiguous(), 2048, 2048))
item("permute 64x25x8x32 to 64x8x25x32", with_input(lambda x: x.permute(0, 2, 1, 3).contiguous(), 64, 25, 8, 32))


def parameters():
    all = [torch.randn(1 << 20, requires_grad=True) for _ in range(10)]
    for p in all:
        p.grad = torch.randn(1 << 20)
    return all


def optimiser(type, **options):
    """The loop over parameters, the one over lists of them, and the fused one."""

    def make():
        ways = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
        return {n: type(parameters(), **options, **way).step for n, way in ways.items()}

    return make


def clip():
    p = parameters()
    return {
        n: (lambda f=f: nn.utils.clip_grad_norm_(p, 1e9, foreach=f)) for n, f in (("loop", False), ("foreach", True))
    }


item("Adam, 10.5M parameters", optimiser(torch.optim.Adam))
item("SGD with momentum, 10.5M parameters", optimiser(torch.optim.SGD, lr=1e-3, momentum=0.9))
item("clip_grad_norm_, 10.5M parameters", clip)

# --- convolutions and pools -----------------------------------------------------------------------------------------


def convolution(name, batch, inputs, outputs, size, kernel, stride=1, groups=1):
    pad = kernel // 2
    out = (size + 2 * pad - kernel) // stride + 1

    def way(which, layout):
        shape = ((batch, inputs, size, size), (outputs, inputs // groups, kernel, kernel), (batch, outputs, out, out))
        x, w, g = (torch.randn(*s).to(memory_format=layout) for s in shape)
        if which == "forward":
            return lambda: F.conv2d(x, w, None, stride, pad, 1, groups)
        mask = [which == "input's gradient", which == "weight's gradient", False]
        return lambda: aten.convolution_backward(
            g, x, w, None, [stride] * 2, [pad] * 2, [1] * 2, False, [0] * 2, groups, mask
        )

    for which in ("forward", "input's gradient", "weight's gradient"):
        item(
            f"{name}, {which}",
            plain(
                lambda which=which: {
                    "NCHW": way(which, torch.contiguous_format),
                    "channels_last": way(which, torch.channels_last),
                }
            ),
        )


convolution("64x1x28x28 to 16, 3x3", 64, 1, 16, 28, 3)
convolution("64x16x14x14 to 32, 3x3", 64, 16, 32, 14, 3)
convolution("64x32x14x14 to 64, 5x5", 64, 32, 64, 14, 5)
convolution("8x64x56x56 to 64, 3x3", 8, 64, 64, 56, 3)
convolution("8x64x56x56 to 128, 3x3 by 2", 8, 64, 128, 56, 3, 2)
convolution("8x256x7x7 to 256, 3x3", 8, 256, 256, 7, 3)
convolution("8x64x56x56 to 256, 1x1", 8, 64, 256, 56, 1)
convolution("8x128x28x28 depthwise, 3x3", 8, 128, 128, 28, 3, 1, 128)
item("max_pool2d 64x32x28x28 by 2", with_input(lambda x: F.max_pool2d(x, 2), 64, 32, 28, 28))
item("max_pool2d 64x32x28x28 by 2, both ways", gradient_of(lambda x: F.max_pool2d(x, 2), 64, 32, 28, 28))
item("avg_pool2d 64x32x28x28 by 2, both ways", gradient_of(lambda x: F.avg_pool2d(x, 2), 64, 32, 28, 28))

# --- attention ------------------------------------------------------------------------------------------------------


def attention(batch, queries, keys, causal):
    def make():
        q, (k, v) = torch.randn(batch, 8, queries, 64), torch.randn(2, batch, 8, keys, 64)
        return q, [k, v], lambda q: F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    def forward():
        q, _, f = make()
        return lambda: f(q)

    name = f"attention {batch}x8x{queries} to {keys}{', causal' if causal else ''}"
    item(f"{name}, forward", plain(forward))
    item(f"{name}, both ways", both_ways(make))


for sizes in (
    (8, 64, 64, True),
    (4, 512, 512, False),
    (4, 512, 512, True),
    (1, 4096, 4096, False),
    (1, 4096, 4096, True),
    (32, 1, 512, False),
):
    attention(*sizes)

# --- layers whose weights stay --------------------------------------------------------------------------------------


def linear(m, n, k, dtype):
    def make():
        x, w, b = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype), torch.randn(n).to(dtype)
        return lambda: F.linear(x, w, b)

    return plain(make)


for dtype in (torch.float32, torch.bfloat16):
    for m, n, k in ((1, 1024, 256), (1, 4096, 4096), (32, 1024, 256), (64, 768, 256), (64, 256, 784), (1024,) * 3):
        item(f"linear {m}x{n}x{k} {str(dtype)[6:]}", linear(m, n, k, dtype))

# --- what an op costs by itself, from Python ------------------------------------------------------------------------


def pair(recorded):
    return torch.randn(10, requires_grad=recorded), torch.randn(10, requires_grad=recorded)


def add(recorded):
    a, b = pair(recorded)
    return lambda: a + b


def add_backward():
    (a, b), g = pair(True), torch.ones(10)

    def run():
        (a + b).backward(g)
        a.grad = b.grad = None

    return run


def add_in_place():
    a, b = torch.zeros(10), torch.zeros(10)
    return lambda: a.add_(b)


def small_linear():
    x, w, b = torch.randn(1, 16), torch.randn(16, 16, requires_grad=True), torch.randn(16, requires_grad=True)
    return lambda: F.linear(x, w, b)


def small_transpose():
    x = torch.randn(4, 5, requires_grad=True)
    return lambda: x.transpose(0, 1)


item("add of 10 elements, gradients on", lambda: add(True))
item("add of 10 elements, gradients off", lambda: add(False))
item("add of 10 elements and backward", add_backward)
item("add_ of 10 elements in place, gradients off", add_in_place)
item("sum of 10 elements, gradients off", lambda: (lambda a: (lambda: a.sum()))(torch.randn(10)))
item("linear 1x16 to 16, gradients on", small_linear)
item("transpose of 4x5, gradients on", small_transpose)

# --- training steps -------------------------------------------------------------------------------------------------


def step(model, loss, adam, large=False):
    """loss(model), backward and Adam, or no Adam: eager with each Adam, and compiled if GRADUS_BENCH_COMPILE is 1.

    The looping Adam is left out where the model is large: it never wins there."""

    def way(compiled, **options):
        m = copy.deepcopy(model)
        optimizer = torch.optim.Adam(m.parameters(), **options)
        forward = torch.compile(lambda: loss(m)) if compiled else lambda: loss(m)

        def run():
            optimizer.zero_grad(set_to_none=True)
            forward().backward()
            if adam:
                optimizer.step()

        return run

    if adam:
        ways = {
            "eager, fused Adam": way(False, fused=True),
            "eager, foreach Adam": way(False, foreach=True),
        }
        if not large:
            ways["eager, looping Adam"] = way(False, foreach=False)
    else:
        ways = {"eager": way(False)}
    if os.environ.get("GRADUS_BENCH_COMPILE") == "1":
        ways["compiled" + (", fused Adam" if adam else "")] = way(True, **({"fused": True} if adam else {}))
    return ways


def mlp():
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def classify(model, *shape, adam=True, large=False):
    """A step of model() on such images or rows: images in both layouts, and ReLUs in place too."""

    def make():
        y, ways = torch.randint(0, 10, (shape[0],)), {}
        layouts = ("", ", channels_last") if len(shape) == 4 else ("",)
        for layout, in_place in itertools.product(layouts, ("", ", ReLU in place")):
            m, x = model(), torch.randn(*shape)
            relus = [module for module in m.modules() if isinstance(module, nn.ReLU) and not module.inplace]
            if in_place and not relus:
                continue
            for module in relus:
                module.inplace = bool(in_place)
            if layout:
                m, x = m.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
            calls = step(m, lambda f, x=x: F.cross_entropy(f(x), y), adam, large)
            ways |= {name + layout + in_place: call for name, call in calls.items()}
        return ways

    return make


def tiny():
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))


def tiny_forward():
    m, x = tiny(), torch.randn(1, 2)
    return lambda: m(x)


def tiny_step(adam):
    x = torch.randn(1, 2)
    return step(tiny(), lambda f: f(x).sum(), adam)


class Attention(nn.Module):
    """Multi-head attention of x to `memory`, or to itself. Keys, values and queries come of one product if they can."""

    def __init__(self, d, heads, bias=True):
        super().__init__()
        self.project, self.out = nn.Linear(d, 3 * d, bias=bias), nn.Linear(d, d, bias=bias)
        self.heads = heads

    def forward(self, x, memory=None, causal=False):
        d = x.size(-1)
        if memory is None:
            parts = self.project(x).split(d, -1)
        else:
            (wq, wm), (bq, bm) = (p.split([d, 2 * d]) for p in (self.project.weight, self.project.bias))
            parts = F.linear(x, wq, bq), *F.linear(memory, wm, bm).split(d, -1)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A layer of an encoder or decoder, normalised before each part or after it; dropout at the end of parts."""

    def __init__(self, d, heads, ffn, dropout, decoder=False, causal=False, first=False, activation=F.relu, bias=True):
        super().__init__()
        self.attention = Attention(d, heads, bias)
        self.to_memory = Attention(d, heads, bias) if decoder else None
        self.wide, self.narrow = nn.Linear(d, ffn, bias=bias), nn.Linear(ffn, d, bias=bias)
        self.norms = nn.ModuleList(nn.LayerNorm(d, bias=bias) for _ in range(3 if decoder else 2))
        self.causal, self.first, self.activation, self.dropout = causal, first, activation, dropout

    def drop(self, x):
        return F.dropout(x, self.dropout) if self.dropout else x

    def forward(self, x, memory=None):
        parts = [lambda y: self.attention(y, causal=self.causal)]
        if self.to_memory:
            parts.append(lambda y: self.to_memory(y, memory))
        parts.append(lambda y: self.narrow(self.activation(self.wide(y))))
        for norm, part in zip(self.norms, parts):
            x = x + self.drop(part(norm(x))) if self.first else norm(x + self.drop(part(x)))
        return x


class Translator(nn.Module):
    """As nn::Transformer. Nothing is padded here, and PyTorch is spared the mask that says so."""

    def __init__(self, vocabulary, shared, layers, d, heads, ffn, dropout, places):
        super().__init__()
        self.source = nn.Embedding(vocabulary, d, padding_idx=0)
        self.target = self.source if shared else nn.Embedding(vocabulary, d, padding_idx=0)
        for table in (self.source, self.target):
            nn.init.normal_(table.weight, std=d**-0.5)
        self.encoder = nn.ModuleList(Layer(d, heads, ffn, dropout) for _ in range(layers))
        self.decoder = nn.ModuleList(Layer(d, heads, ffn, dropout, True, True) for _ in range(layers))
        angle = torch.arange(places)[:, None] * 10000.0 ** (-torch.arange(0, d, 2) / d)
        self.register_buffer("positions", torch.stack([angle.sin(), angle.cos()], -1).flatten(1))
        self.dropout = dropout

    def embed(self, table, x):
        y = table(x) * table.weight.size(1) ** 0.5 + self.positions
        return F.dropout(y, self.dropout) if self.dropout else y

    def forward(self, source, target):
        memory, y = self.embed(self.source, source), self.embed(self.target, target)
        for layer in self.encoder:
            memory = layer(memory)
        for layer in self.decoder:
            y = layer(y, memory)
        return F.linear(y, self.target.weight)


class Gpt(nn.Module):
    """As text_models::Gpt."""

    def __init__(self, vocabulary, block, layers, d, heads, bias):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, d), nn.Parameter(0.02 * torch.randn(block, d))
        nn.init.normal_(self.tokens.weight, std=0.02)
        options = {"causal": True, "first": True, "activation": F.gelu, "bias": bias}
        self.layers = nn.Sequential(*(Layer(d, heads, 4 * d, 0, **options) for _ in range(layers)))
        self.norm = nn.LayerNorm(d, bias=bias)

    def forward(self, x):
        y = self.norm(self.layers(self.tokens(x) + self.positions))
        return F.linear(y, self.tokens.weight)


def translator(batch, places, label_smoothing, vocabulary, **options):
    source, target, y = (torch.randint(1, vocabulary, (batch, places)) for _ in range(3))
    loss = lambda m: F.cross_entropy(m(source, target).flatten(0, 1), y.flatten(), label_smoothing=label_smoothing)
    return step(Translator(vocabulary, places=places, **options), loss, True, large=True)


def language_model(batch, block, **options):
    x, y = (torch.randint(1, 65, (batch, block)) for _ in range(2))
    return step(Gpt(65, block, **options), lambda m: F.cross_entropy(m(x).flatten(0, 1), y.flatten()), True, large=True)


item(
    "Transformer 3+3 layers, d 256, batch 64x25, vocabulary 8000",
    lambda: translator(64, 25, 0, 8000, shared=False, layers=3, d=256, heads=8, ffn=1024, dropout=0),
)
item(
    "Transformer 4+4 layers, d 128, batch 256x16, vocabulary 10000, dropout",
    lambda: translator(256, 16, 0.1, 10000, shared=True, layers=4, d=128, heads=4, ffn=256, dropout=0.3),
)
item("GPT 6 layers, d 384, batch 8x256", lambda: language_model(8, 256, layers=6, d=384, heads=6, bias=True))
item("GPT 4 layers, d 128, batch 12x64", lambda: language_model(12, 64, layers=4, d=128, heads=4, bias=False))
for suffix, adam in (("", True), (", no Adam", False)):
    item("MLP 784-256-128-10, batch 64" + suffix, classify(mlp, 64, 784, adam=adam))
    item("CNN 16-pool-32-pool-128-10, batch 64" + suffix, classify(cnn, 64, 1, 28, 28, adam=adam))
    item("tiny MLP 2-16-16-1, batch 1" + suffix, lambda adam=adam: tiny_step(adam))
item("tiny MLP 2-16-16-1, batch 1, forward", tiny_forward)


def classifier_cnn():
    """As the image classifier's cnn."""
    layers, channels = [], 1
    for wider in (32, 64, 128):
        layers += [nn.Conv2d(channels, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider)]
        layers += [nn.MaxPool2d(2), nn.ReLU()]
        channels = wider
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1152, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10))


class Block(nn.Module):
    """As nn::ResidualBlock of the basic kind."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        same = stride == 1 and channels == width
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.branch(x)
        y += self.shortcut(x)
        return self.relu(y)


def resnet(width, blocks):
    """As the image classifier's, with so many blocks in each stage."""
    layers = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    channels = width
    for stage, count in enumerate(blocks):
        for i in range(count):
            layers.append(Block(channels, width << stage, 2 if stage > 0 and i == 0 else 1))
            channels = width << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Vit(nn.Module):
    """As the image classifier's, with a class token and learned positions."""

    def __init__(self, layers, d, heads, patch, patches):
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, d, patch, patch), nn.Linear(d, 10)
        self.token = nn.Parameter(torch.zeros(1, 1, d))
        self.positions = nn.Parameter(0.02 * torch.randn(1 + patches, d))
        self.layers = nn.Sequential(*(Layer(d, heads, 4 * d, 0, first=True, activation=F.gelu) for _ in range(layers)))
        self.norm = nn.LayerNorm(d)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.size(0), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.layers(x)[:, 0]))


item("image classifier cnn, 64x1x28x28", classify(classifier_cnn, 64, 1, 28, 28))
item("image classifier resnet 20, 64x3x32x32", classify(lambda: resnet(16, (3, 3, 3)), 64, 3, 32, 32))
item("image classifier resnet 18, 32x3x32x32", classify(lambda: resnet(64, (2, 2, 2, 2)), 32, 3, 32, 32, large=True))
item("ViT 6 layers, d 192, 32x3x32x32 in 4x4", classify(lambda: Vit(6, 192, 3, 4, 64), 32, 3, 32, 32, large=True))


class Seq2Seq(nn.Module):
    """text_models::Seq2Seq: a bidirectional encoder, and a decoder that is fed with what it saw the step before. All
    sentences are full, so that this one needs no masks."""

    def __init__(self, words, h):
        super().__init__()
        self.source, self.target = nn.Embedding(words, h, padding_idx=0), nn.Embedding(words, h, padding_idx=0)
        self.encoder, self.decoder = nn.GRU(h, h, bidirectional=True, batch_first=True), nn.GRUCell(2 * h, h)
        self.query, self.key, self.v = nn.Linear(h, h, bias=False), nn.Linear(2 * h, h), nn.Linear(h, 1, bias=False)
        self.bridge, self.combine, self.output = nn.Linear(2 * h, h), nn.Linear(3 * h, h), nn.Linear(h, words)

    def forward(self, source, target):
        memory, last = self.encoder(self.source(source))
        state = torch.tanh(self.bridge(torch.cat([last[0], last[1]], 1)))
        keys, words, seen, outputs = self.key(memory), self.target(target), torch.zeros_like(state), []
        for word in words.unbind(1):
            state = self.decoder(torch.cat([word, seen], 1), state)
            scores = self.v(torch.tanh(self.query(state).unsqueeze(1) + keys)).squeeze(2)
            context = torch.bmm(torch.softmax(scores, 1).unsqueeze(1), memory).squeeze(1)
            seen = torch.tanh(self.combine(torch.cat([context, state], 1)))
            outputs.append(seen)
        return self.output(torch.stack(outputs, 1))


def translate(batch, places, words):
    source, target, following = (torch.randint(1, words, (batch, places)) for _ in range(3))
    return step(Seq2Seq(words, 256), lambda m: F.cross_entropy(m(source, target).flatten(0, 1), following.flatten()), True)


item(
    "GRU seq2seq, additive attention, hidden 256, batch 64, 20->20, vocabulary 8000",
    lambda: translate(64, 20, 8000),
)

# --- serving --------------------------------------------------------------------------------------------------------


def time_calls(call, seconds, clock):
    """As time_calls in time_calls.cpp."""
    now = time.thread_time if clock == "processor" else time.perf_counter
    start, calls = now(), 0
    while True:
        call()
        calls += 1
        if now() - start >= min(0.2 * seconds, 0.02):
            break
    per_sample = range(max(1, int(20e-6 * calls / (now() - start))))
    samples, start = [], now()
    begin = start
    while not samples or begin - start < seconds:
        for _ in per_sample:
            call()
        end = now()
        samples.append((end - begin) / len(per_sample))
        begin = end
    samples.sort()
    return [samples[len(samples) // 2], samples[len(samples) // 10]]


def fastest(calls, wanted):
    """The variant that is wanted, or else the fastest in three rounds."""
    if wanted:
        return wanted, calls[wanted]
    best = {}
    for _ in range(3):
        for name in list(calls):
            try:
                best[name] = min(best.get(name, 1e9), time_calls(calls[name], 0.02, "wall")[1])
            except Exception as error:  # a compiler that is missing, a fused optimiser that there is not
                print(f"PyTorch, {name}: {str(error).splitlines()[0]}", file=sys.stderr)
                del calls[name]
    name = min(best, key=best.get)
    return name, calls[name]


def main():
    call, answers = None, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what PyTorch prints is no answer
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        answer = True
        if word == "version":
            answer = f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
        elif word == "threads":
            torch.set_num_threads(int(rest))
        elif word == "set":
            name, _, variant = rest.partition(" @")
            calls = call = answer = None
            if name in ITEMS:
                calls = ITEMS[name]()
                answer, call = fastest(calls, variant) if isinstance(calls, dict) else ("", calls)
                calls = None
        elif word == "time":
            seconds, clock = rest.split()
            answer = time_calls(call, float(seconds), clock)
        elif word == "calls":
            for _ in range(int(rest)):
                call()
        else:
            answer = {"error": "not understood: " + line}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
