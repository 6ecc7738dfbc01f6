#!/usr/bin/env python3
"""Makes tests/golden/nn.safetensors: what PyTorch's recurrent, attention and Transformer layers compute, in double.

    pip install torch numpy safetensors
    tools/golden_nn.py

Of each case NAME there are the weights NAME/state/KEY, the inputs NAME/in/..., the outputs NAME/out/..., and the
gradients NAME/grad/... of sum(outputs * NAME/dout/...) with respect to weights and floating point inputs.
"""
import pathlib

import torch
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


def main():
    torch.manual_seed(20261121)
    for name, make in {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}.items():
        recurrent(name, make(5, 4, batch_first=True))
        recurrent(f"{name}_packed", make(5, 4, batch_first=True, num_layers=2, bidirectional=True), [4, 6, 1])
        recurrent(f"{name}_given", make(5, 4, batch_first=True, num_layers=2, bias=False), None, True)
    recurrent("rnn_relu", nn.RNN(5, 4, batch_first=True, nonlinearity="relu"))

    drop = torch.tensor([[False, False, True, False, True], [False] * 5])
    hide = torch.randn(4, 5) > 0.7
    hide[:, 0] = False
    one, many = torch.randn(2, 4, 6), torch.randn(2, 5, 6)

    def attention(module, x):
        output, weights = module(x["query"], x["key"], x["value"], key_padding_mask=drop, attn_mask=hide,
                                 average_attn_weights=False)
        return {"output": output, "weights": weights}

    case("mha", nn.MultiheadAttention(6, 3, batch_first=True), {"query": one, "key": many, "value": many + 1}, attention)
    case("mha_sizes", nn.MultiheadAttention(6, 2, batch_first=True, kdim=3, vdim=4),
         {"query": one, "key": torch.randn(2, 5, 3), "value": torch.randn(2, 5, 4)}, attention)
    tensors["drop"], tensors["hide"] = drop, hide

    source_drop = drop
    causal = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    for norm_first in (False, True):
        suffix = "_pre" if norm_first else "_post"
        options = dict(dropout=0.0, batch_first=True, norm_first=norm_first)
        case("encoder_layer" + suffix, nn.TransformerEncoderLayer(6, 2, 8, activation="gelu", **options),
             {"x": many}, lambda m, x: {"output": m(x["x"], src_key_padding_mask=source_drop)})
        case("decoder_layer" + suffix, nn.TransformerDecoderLayer(6, 2, 8, **options), {"x": one, "memory": many},
             lambda m, x: {"output": m(x["x"], x["memory"], tgt_mask=causal, memory_key_padding_mask=source_drop)})
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True), 2,
                                  enable_nested_tensor=False)
    for layer in stack.layers:  # copies of one layer until changed
        for p in layer.parameters():
            nn.init.normal_(p, 0, 0.3)
    case("encoder", stack, {"x": many}, lambda m, x: {"output": m(x["x"])})

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
