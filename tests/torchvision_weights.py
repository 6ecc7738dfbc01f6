"""Saves models of torchvision with random weights, running statistics too: DIR/NAME.safetensors is the state_dict,
DIR/NAME.logits.safetensors has two images and the logits for them.

    python3 tests/torchvision_weights.py DIR resnet18 vit_b_16 vit_small
"""
import sys

import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models.vision_transformer import VisionTransformer


def vit_small():
    return VisionTransformer(image_size=32, patch_size=8, num_layers=3, num_heads=2, hidden_dim=32, mlp_dim=128,
                             num_classes=7)


def main():
    folder = sys.argv[1]
    for name in sys.argv[2:]:
        torch.manual_seed(1)
        model = vit_small() if name == "vit_small" else getattr(torchvision.models, name)()
        size = getattr(model, "image_size", 224)
        with torch.no_grad():
            for key, value in model.state_dict().items():
                if key.endswith("running_var"):
                    value.uniform_(0.5, 2)
                elif value.is_floating_point():
                    value.add_(torch.randn(value.shape) * 0.02)
            images = torch.randn(2, 3, size, size)
            logits = model.eval()(images)
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(state, f"{folder}/{name}.safetensors")
        save_file({"images": images, "logits": logits}, f"{folder}/{name}.logits.safetensors")


if __name__ == "__main__":
    main()
