#!/usr/bin/env python3
"""Writes tests/golden/transforms.safetensors: torchvision's results for tests/image_augment_test.cpp.

Usage: python3 tools/golden_transforms.py   (needs PyTorch, torchvision and safetensors)
"""
import os

import torch
from safetensors.torch import save_file
from torchvision.transforms.v2 import InterpolationMode, RandAugment
from torchvision.transforms.v2 import functional as F

torch.manual_seed(1)
pictures = {
    # Odd sizes, and pixels that are whole numbers of 1/255; "many" has enough of them for equalize to do something.
    "rgb": torch.randint(0, 256, (3, 11, 13)) / 255.0,
    "grey": torch.randint(40, 200, (1, 12, 7)) / 255.0,
    "many": (torch.rand(3, 40, 30) ** 2 * 220).round() / 255.0,
}
tensors = {"in/" + name: picture.contiguous() for name, picture in pictures.items()}

augment = RandAugment(interpolation=InterpolationMode.BILINEAR, num_magnitude_bins=31)
for name, picture in pictures.items():
    height, width = picture.shape[1:]
    for operation, (magnitudes, signed) in RandAugment._AUGMENTATION_SPACE.items():
        if (name == "many") != (operation == "Equalize"):
            continue
        for magnitude in (0, 9, 30) if operation == "Posterize" else (9, -24) if signed else (9,):
            strengths = magnitudes(31, height, width)
            strength = 0.0 if strengths is None else float(strengths[abs(magnitude)]) * (-1 if magnitude < 0 else 1)
            result = picture if operation == "Identity" else augment._apply_image_or_video_transform(
                picture, operation, strength, interpolation=InterpolationMode.BILINEAR, fill={})
            tensors[f"out/{operation}/{magnitude}/{name}"] = result.contiguous().clone()

rgb = pictures["rgb"]
for turn in (-0.5, -0.1, 1 / 3):
    tensors[f"hue/{turn:.3f}"] = F.adjust_hue(rgb, turn).contiguous()
# The box of random_resized_crop: top, left, height, width.
tensors["crop/2,3,6,9"] = F.resized_crop(rgb, 2, 3, 6, 9, [11, 13], antialias=True).contiguous()
tensors["crop/0,0,11,1"] = F.resized_crop(rgb, 0, 0, 11, 1, [11, 13], antialias=True).contiguous()

path = os.path.join(os.path.dirname(__file__), "..", "tests", "golden", "transforms.safetensors")
save_file(tensors, path)
print(len(tensors), "tensors,", os.path.getsize(path), "bytes")
