#!/usr/bin/env python3
"""Makes tests/golden/nn.safetensors: what PyTorch's recurrent, attention and Transformer layers compute, in double.
Where PyTorch has no such layer, its formula is written out here.

    pip install torch numpy safetensors
    tools/golden_nn.py

Of each case NAME there are the weights NAME/state/KEY, the inputs NAME/in/..., the outputs NAME/out/..., and the
gradients NAME/grad/... of sum(outputs * NAME/dout/...) with respect to weights and floating point inputs.
"""
import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

tensors = {}


def case(name, module, inputs, run, parameters=None):
    """run(module, inputs) gives a dict of outputs."""
    module = module.double().train()
    inputs = {key: value.double().requires_grad_() if value.is_floating_point() else value
              for key, value in inputs.items()}
    outputs = run(module, inputs)
    state = module.state_dict()
    for key, value in state.items():
        tensors[f"{name}/state/{key}"] = value.clone()
    loss = 0
    for key, value in outputs.items():
        direction = torch.randn(value.shape, dtype=torch.float64)
        tensors[f"{name}/out/{key}"] = value.detach().contiguous().clone()
        tensors[f"{name}/dout/{key}"] = direction
        loss = loss + (value * direction).sum()
    loss.backward()
    for key, value in inputs.items():
        tensors[f"{name}/in/{key}"] = value.detach().clone()
        if value.is_floating_point():
            tensors[f"{name}/grad/{key}"] = value.grad.clone()
    for key, value in module.named_parameters():
        tensors[f"{name}/grad/{key}"] = value.grad.clone()


def recurrent(name, layer, lengths=None, given=False):
    lstm = isinstance(layer, nn.LSTM)
    inputs = {"x": torch.randn(3, 6, 5)}
    if lengths:
        inputs["lengths"] = torch.tensor(lengths)
    if given:
        shape = (layer.num_layers * (2 if layer.bidirectional else 1), 3, layer.hidden_size)
        inputs["h0"] = torch.randn(shape)
        if lstm:
            inputs["c0"] = torch.randn(shape)

    def run(module, given_inputs):
        x = given_inputs["x"]
        state = None
        if given:
            state = (given_inputs["h0"], given_inputs["c0"]) if lstm else given_inputs["h0"]
        if lengths:
            x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, last = module(x, state)
        if lengths:
            output, _ = pad_packed_sequence(output, batch_first=True, total_length=6)
        h, c = last if lstm else (last, None)
        return {"output": output, "h": h} | ({"c": c} if lstm else {})

    case(name, layer, inputs, run)


# --- what PyTorch has no layer for ----------------------------------------------------------------------------------


class Scored(nn.Module):
    """Luong et al. 2015, section 3.1; additive: Bahdanau et al. 2015, appendix A.1.2, with Tu et al.'s coverage."""

    def __init__(self, kind, query_dim, memory_dim, hidden=0, coverage=False):
        super().__init__()
        self.kind = kind
        if kind == "general":
            self.weight = nn.Parameter(torch.randn(query_dim, memory_dim))
        if kind == "additive":
            self.query, self.key = nn.Linear(query_dim, hidden, bias=False), nn.Linear(memory_dim, hidden)
            self.v = nn.Linear(hidden, 1, bias=False)
            if coverage:
                self.cover = nn.Linear(1, hidden, bias=False)

    def scores(self, query, memory, coverage=None):
        if self.kind == "additive":
            total = self.query(query)[:, :, None] + self.key(memory)[:, None]
            if coverage is not None:
                total = total + self.cover(coverage[..., None])
            return self.v(total.tanh())[..., 0]
        if self.kind == "general":
            query = query @ self.weight
        return query @ memory.mT / (math.sqrt(query.shape[-1]) if self.kind == "scaled_dot" else 1)

    def forward(self, x):
        scores = self.scores(x["query"], x["memory"], x.get("coverage"))
        weights = scores.masked_fill(x["drop"][:, None], -math.inf).softmax(-1)
        return {"output": weights @ x["memory"], "weights": weights}


class Local(nn.Module):
    """Local-p: Luong et al. 2015, section 3.2, with places counted from 0."""

    def __init__(self, query_dim, memory_dim, window):
        super().__init__()
        self.place, self.v = nn.Linear(query_dim, query_dim, bias=False), nn.Linear(query_dim, 1, bias=False)
        self.score, self.window = Scored("general", query_dim, memory_dim), window

    def forward(self, x):
        lengths, keys = x["lengths"][:, None, None], torch.arange(x["memory"].shape[1])
        centre = (lengths - 1) * torch.sigmoid(self.v(self.place(x["query"]).tanh()))
        drop = ((keys - centre).abs() > self.window) | (keys >= lengths)
        weights = self.score.scores(x["query"], x["memory"]).masked_fill(drop, -math.inf).softmax(-1)
        weights = weights * torch.exp(-(keys - centre) ** 2 / (2 * (self.window / 2) ** 2))
        return {"output": weights @ x["memory"], "weights": weights}


class LowRank(nn.Module):
    """Linformer: Wang et al. 2020, section 4; keys and values are mixed before they are projected."""

    def __init__(self, embed_dim, heads, length, rank):
        super().__init__()
        self.attention = nn.MultiheadAttention(embed_dim, heads, batch_first=True)
        self.mix_keys, self.mix_values = (nn.Parameter(torch.randn(rank, length)) for _ in range(2))

    def forward(self, x):
        n = x["x"].shape[1]
        output, weights = self.attention(x["x"], self.mix_keys[:, :n] @ x["x"], self.mix_values[:, :n] @ x["x"],
                                         average_attn_weights=False)
        return {"output": output, "weights": weights}


def rotated(x):
    """Rotary positions (Su et al. 2021), feature i paired with i + d/2."""
    n, half = x.shape[-2], x.shape[-1] // 2
    angle = torch.arange(n)[:, None] * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


class Grouped(nn.Module):
    """Causal self-attention with fewer heads of keys (Ainslie et al. 2023), with or without rotary positions."""

    def __init__(self, embed_dim, heads, kv_heads, rotary):
        super().__init__()
        self.sizes = [heads * (embed_dim // heads), kv_heads * (embed_dim // heads), kv_heads * (embed_dim // heads)]
        self.in_proj_weight = nn.Parameter(torch.randn(sum(self.sizes), embed_dim))
        self.in_proj_bias = nn.Parameter(torch.randn(sum(self.sizes)))
        self.out_proj, self.head_dim, self.rotary = nn.Linear(embed_dim, embed_dim), embed_dim // heads, rotary

    def forward(self, x):
        parts = F.linear(x["x"], self.in_proj_weight, self.in_proj_bias).split(self.sizes, -1)
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in parts)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return {"output": self.out_proj(seen.transpose(1, 2).flatten(2))}


class Relative(nn.Module):
    """T5's buckets of distances: Raffel et al. 2020, section 2.1."""

    def __init__(self, heads, buckets, max_distance, bidirectional):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(buckets, heads))
        self.max_distance, self.bidirectional = max_distance, bidirectional

    def forward(self, queries, keys):
        side = self.weight.shape[0] // (2 if self.bidirectional else 1)
        ahead = torch.arange(keys)[None] - (torch.arange(queries) + keys - queries)[:, None]
        far = ahead.abs() if self.bidirectional else (-ahead).clamp(min=0)
        exact = side // 2
        share = torch.log(far.clamp(min=1).double() / exact) / math.log(self.max_distance / exact)
        bucket = torch.where(far < exact, far, (exact + (share * (side - exact)).long()).clamp(max=side - 1))
        if self.bidirectional:
            bucket = bucket + side * (ahead > 0)
        return self.weight[bucket].permute(2, 0, 1)


def straight_through(x):
    """Jang et al. 2017 with the noise given: hard forward, the soft one's gradient."""
    soft = torch.softmax((x["logits"] + x["noise"]) / 0.7, -1)
    return {"output": F.one_hot(soft.argmax(-1), soft.shape[-1]) - soft.detach() + soft}


def other_attention():
    query, memory = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    drop = torch.tensor([[False, False, True, False, True], [False] * 5])
    for kind in ("dot", "scaled_dot"):
        case(f"scored_{kind}", Scored(kind, 4, 4), {"query": query, "memory": memory, "drop": drop}, lambda m, x: m(x))
    wide = torch.randn(2, 5, 6)
    case("scored_general", Scored("general", 4, 6), {"query": query, "memory": wide, "drop": drop}, lambda m, x: m(x))
    case("scored_additive", Scored("additive", 4, 6, 3), {"query": query, "memory": wide, "drop": drop},
         lambda m, x: m(x))
    case("scored_coverage", Scored("additive", 4, 6, 3, True),
         {"query": query, "memory": wide, "drop": drop, "coverage": torch.rand(2, 3, 5)}, lambda m, x: m(x))
    case("local", Local(4, 6, 2), {"query": query, "memory": torch.randn(2, 9, 6), "lengths": torch.tensor([9, 5])},
         lambda m, x: m(x))
    case("low_rank", LowRank(6, 2, 7, 3), {"x": torch.randn(2, 5, 6)}, lambda m, x: m(x))
    case("grouped", Grouped(8, 4, 2, False), {"x": torch.randn(2, 5, 8)}, lambda m, x: m(x))
    case("rotary", Grouped(8, 2, 2, True), {"x": torch.randn(2, 5, 8)}, lambda m, x: m(x))
    for bidirectional in (False, True):
        case("relative" + ("_both" if bidirectional else ""), Relative(2, 8, 16, bidirectional), {},
             lambda m, x: {"output": m(21, 24)})
    case("gumbel", nn.Module(), {"logits": torch.randn(3, 5), "noise": -(-torch.rand(3, 5).log()).log()},
         lambda m, x: straight_through(x))

    # A bias for each head, such as ALiBi's (Press et al. 2022) or a learned one, and a window.
    def biased(module, x, bias):
        output, weights = module(x["x"], x["x"], x["x"], attn_mask=bias, average_attn_weights=False)
        return {"output": output, "weights": weights}

    place = torch.arange(5)
    alibi = -(place[:, None] - place).abs() * 2.0 ** (-8 / 2 * torch.arange(1, 3, dtype=torch.float64))[:, None, None]
    alibi = alibi.masked_fill(place > place[:, None], -math.inf)
    case("alibi", nn.MultiheadAttention(6, 2, batch_first=True), {"x": torch.randn(2, 5, 6)},
         lambda m, x: biased(m, x, alibi.repeat(2, 1, 1)))
    case("mha_bias", nn.MultiheadAttention(6, 2, bias=False, batch_first=True),
         {"x": torch.randn(2, 5, 6), "bias": torch.randn(2, 5, 5)},
         lambda m, x: biased(m, x, x["bias"].repeat(2, 1, 1)))
    outside = ((place - place[:, None]) > 1) | ((place[:, None] - place) > 2)
    case("window", nn.MultiheadAttention(6, 2, batch_first=True), {"x": torch.randn(2, 5, 6)},
         lambda m, x: biased(m, x, outside))


def main():
    torch.manual_seed(20261121)
    for name, make in {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}.items():
        recurrent(name, make(5, 4, batch_first=True))
        recurrent(f"{name}_packed", make(5, 4, batch_first=True, num_layers=2, bidirectional=True), [4, 6, 1])
        recurrent(f"{name}_given", make(5, 4, batch_first=True, num_layers=2, bias=False), None, True)
        recurrent(f"{name}_all", make(5, 3, batch_first=True, bidirectional=True), [5, 2, 6], True)
    recurrent("rnn_relu", nn.RNN(5, 4, batch_first=True, nonlinearity="relu"))

    drop = torch.tensor([[False, False, True, False, True], [False] * 5])
    hide = torch.randn(4, 5) > 0.7
    hide[:, 0] = False
    one, many = torch.randn(2, 4, 6), torch.randn(2, 5, 6)

    def attention(module, x):
        output, weights = module(x["query"], x["key"], x["value"], key_padding_mask=drop, attn_mask=hide,
                                 average_attn_weights=False)
        return {"output": output, "weights": weights}

    case("mha", nn.MultiheadAttention(6, 3, batch_first=True), {"query": one, "key": many, "value": many + 1},
         attention)
    case("mha_sizes", nn.MultiheadAttention(6, 2, batch_first=True, kdim=3, vdim=4),
         {"query": one, "key": torch.randn(2, 5, 3), "value": torch.randn(2, 5, 4)}, attention)
    tensors["drop"], tensors["hide"] = drop, hide

    source_drop = drop
    causal = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    for norm_first in (False, True):
        suffix = "_pre" if norm_first else "_post"
        options = dict(dropout=0.0, batch_first=True, norm_first=norm_first)
        for activation in ("relu", "gelu"):
            options |= dict(activation=activation, bias=activation == "relu" or norm_first)
            name = "layer" + suffix + "_" + activation
            case("encoder_" + name, nn.TransformerEncoderLayer(6, 2, 8, **options), {"x": many},
                 lambda m, x: {"output": m(x["x"], src_key_padding_mask=source_drop)})
            case("decoder_" + name, nn.TransformerDecoderLayer(6, 2, 8, **options), {"x": one, "memory": many},
                 lambda m, x: {"output": m(x["x"], x["memory"], tgt_mask=causal, memory_key_padding_mask=source_drop)})

    def different(stack):  # copies of one layer until changed
        for p in stack.parameters():
            nn.init.normal_(p, 0, 0.3)
        return stack

    options = dict(dim_feedforward=8, dropout=0.0, batch_first=True)
    case("encoder", different(nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, **options), 2,
                                                    enable_nested_tensor=False)),
         {"x": many}, lambda m, x: {"output": m(x["x"])})
    options["norm_first"] = True
    case("encoder_pre", different(nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, **options), 2,
                                                        norm=nn.LayerNorm(6), enable_nested_tensor=False)),
         {"x": many}, lambda m, x: {"output": m(x["x"], src_key_padding_mask=source_drop)})
    case("decoder_pre", different(nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, **options), 2,
                                                        norm=nn.LayerNorm(6))),
         {"x": one, "memory": many},
         lambda m, x: {"output": m(x["x"], x["memory"], tgt_mask=causal, memory_key_padding_mask=source_drop)})
    other_attention()

    def cell(module, x):
        after = module(x["x"], (x["h0"], x["c0"]) if "c0" in x else x["h0"])
        return {"h": after[0], "c": after[1]} if "c0" in x else {"h": after}

    for name, module in {"rnn_cell": nn.RNNCell(5, 4, nonlinearity="relu"), "gru_cell": nn.GRUCell(5, 4, bias=False),
                         "lstm_cell": nn.LSTMCell(5, 4)}.items():
        states = ["h0", "c0"] if name == "lstm_cell" else ["h0"]
        case(name, module, {"x": torch.randn(3, 5)} | {key: torch.randn(3, 4) for key in states}, cell)

    out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "nn.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, out)
    print(f"{len(tensors)} tensors in {out}")


if __name__ == "__main__":
    main()
