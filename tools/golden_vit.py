#!/usr/bin/env python3
"""Makes tests/golden/vit.safetensors: what torchvision's VisionTransformer computes, in double, with patches, with a
convolutional stem, and without a class token, for which the mean of the patches and fixed positions stand in.

    pip install torch torchvision numpy safetensors
    tools/golden_vit.py

Cases are as in golden_nn.py.
"""
import math
import pathlib
from functools import partial

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.vision_transformer import ConvStemConfig, VisionTransformer

from golden_nn import case, tensors

SIZE = dict(image_size=12, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=32, num_classes=3)


def sinusoids(places, features):
    """Vaswani et al. 2017, section 3.5."""
    rates = torch.exp(torch.arange(0, features, 2).double() * (-math.log(10000) / features))
    angles = torch.arange(places).double()[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class MeanOfPatches(VisionTransformer):

    def __init__(self, **options):
        super().__init__(**options)
        del self.class_token, self.encoder.pos_embedding
        side, half = self.image_size // self.patch_size, self.hidden_dim // 2
        row, column = sinusoids(side, half)[:, None], sinusoids(side, half)[None, :]
        positions = torch.cat([row.expand(side, side, half), column.expand(side, side, half)], -1)
        self.encoder.register_buffer("pos_embedding", positions.reshape(1, side * side, 2 * half))

    def forward(self, x):
        return self.heads(self.encoder(self._process_input(x)).mean(1))


def random(module):
    """With no weight at the 0 or 1 where torchvision starts it, so that every gradient is seen."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn(p.shape) * 0.3)
    return module


def main():
    torch.manual_seed(4)
    convolution = partial(ConvStemConfig, kernel_size=3, stride=2, norm_layer=nn.BatchNorm2d,
                          activation_layer=partial(nn.ReLU, inplace=False))
    models = {
        "vit": VisionTransformer(**SIZE),
        "vit_mean": MeanOfPatches(**SIZE),
        "conv_vit": VisionTransformer(**SIZE, conv_stem_configs=[convolution(4), convolution(8)]),
    }
    for name, model in models.items():
        case(name, random(model), {"x": torch.randn(2, 3, 12, 12)}, lambda m, x: {"logits": m(x["x"])})
    out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "vit.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, out)
    print(f"{len(tensors)} tensors in {out}")


if __name__ == "__main__":
    main()
