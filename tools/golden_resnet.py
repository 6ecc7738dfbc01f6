#!/usr/bin/env python3
"""Makes tests/golden/resnet.safetensors: what PyTorch computes for the models of the image classifier without tokens
and for their blocks, in double.

    pip install torch torchvision numpy safetensors
    tools/golden_resnet.py

Blocks are cases as in golden_nn.py. Of models, whose weights would be too many to keep, each tensor of the state is
made of sines (`wave`, numbered in the order of their names), and so are the images; there are the logits when training
(NAME/train) and afterwards when evaluating (NAME/eval), and of the gradients of sum(logits * wave) the length and the
product with a wave (NAME/grad/KEY, NAME/grad/images).
"""
import pathlib

import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from golden_nn import case, tensors


def wave(shape, number):
    i = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(number + 0.7 * i + 0.01 * i * i).reshape(shape)


@torch.no_grad()
def set_waves(model):
    for number, (name, value) in enumerate(sorted(model.state_dict().items())):
        numbers = wave(value.shape, number)
        if value.dim() > 1:
            value.copy_(numbers * (4 / value[0].numel())**0.5)
        elif name.endswith("weight") or name.endswith("running_var"):
            value.copy_(1 + 0.3 * numbers)
        elif not name.endswith("num_batches_tracked"):
            value.copy_(0.1 * numbers)


def summary(gradient):
    return torch.stack([gradient.norm(), (gradient * wave(gradient.shape, 0.5)).sum()])


def model(name, net, image, trains=True):
    """trains=False: without a pass in training mode, for a model whose training is random."""
    net = net.double()
    set_waves(net)
    images = wave((3, *image), 1).requires_grad_()
    logits = net.train(trains)(images)
    (logits * wave(logits.shape, 2)).sum().backward()
    if trains:
        tensors[f"{name}/train"] = logits.detach()
    tensors[f"{name}/eval"] = net.eval()(images).detach()
    tensors[f"{name}/grad/images"] = summary(images.grad)
    for key, value in net.named_parameters():
        tensors[f"{name}/grad/{key}"] = summary(value.grad)


# --- blocks ---------------------------------------------------------------------------------------------------------


class ChannelAttention(nn.Module):
    """Woo et al. 2018, equation 2."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        mean = nn.functional.adaptive_avg_pool2d(x, 1)
        largest = nn.functional.adaptive_max_pool2d(x, 1)
        return torch.sigmoid(self.fc2(self.fc1(mean).relu()) + self.fc2(self.fc1(largest).relu()))


class SpatialAttention(nn.Module):
    """Equation 3."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        pooled = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        return torch.sigmoid(self.conv(pooled))


class CBAM(nn.Module):

    def __init__(self, channels, squeezed):
        super().__init__()
        self.channel = ChannelAttention(channels, squeezed)
        self.spatial = SpatialAttention()

    def forward(self, x):
        x = x * self.channel(x)
        self.map = self.spatial(x)
        return x * self.map


class NonLocalBlock(nn.Module):
    """Wang et al. 2018, equation 6 with the embedded Gaussian."""

    def __init__(self, channels, inner):
        super().__init__()
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.W = nn.Conv2d(inner, channels, 1)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        theta, phi, g = self.theta(x).flatten(2), self.phi(x).flatten(2), self.g(x).flatten(2)
        self.weights = torch.einsum("bci,bcj->bij", theta, phi).softmax(2)
        y = torch.einsum("bij,bcj->bci", self.weights, g)
        return x + self.bn(self.W(y.unflatten(2, x.shape[2:])))


def conv(channels, out, kernel, stride=1):
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)


class ResidualBlock(nn.Module):
    """torchvision's BasicBlock or Bottleneck, or their pre-activated forms: He et al. 2016b, figure 4 (e)."""

    def __init__(self, channels, width, bottleneck=False, stride=1, pre=False, first=False, attention=None):
        super().__init__()
        out = 4 * width if bottleneck else width
        layers = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)] if bottleneck else \
                 [(channels, width, 3, stride), (width, width, 3, 1)]
        self.count, self.pre, self.first = len(layers), pre, first
        for i, layer in enumerate(layers):
            setattr(self, f"conv{i + 1}", conv(*layer))
            setattr(self, f"bn{i + 1}", nn.BatchNorm2d(layer[0] if pre else layer[1]))
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(conv(channels, out, 1, stride))
            if not pre:
                self.downsample.append(nn.BatchNorm2d(out))
        if attention:
            reduction = attention[1]
            if attention[0] == "se":
                self.se = torchvision.ops.SqueezeExcitation(out, out // reduction)
            else:
                self.cbam = CBAM(out, out // reduction)

    def attend(self, y):
        return self.se(y) if hasattr(self, "se") else self.cbam(y) if hasattr(self, "cbam") else y

    def forward(self, x):
        layers = [(getattr(self, f"conv{i + 1}"), getattr(self, f"bn{i + 1}")) for i in range(self.count)]
        if self.pre:
            activated = self.bn1(x).relu()
            y = activated
            for i, (conv_i, bn_i) in enumerate(layers):
                y = conv_i(y if i == 0 else bn_i(y).relu())
            shortcut = self.downsample(activated) if self.downsample else activated if self.first else x
            return self.attend(y) + shortcut
        y = x
        for i, (conv_i, bn_i) in enumerate(layers):
            y = bn_i(conv_i(y))
            if i + 1 < self.count:
                y = y.relu()
        return (self.attend(y) + (self.downsample(x) if self.downsample else x)).relu()


# --- models ---------------------------------------------------------------------------------------------------------


class ResNet(nn.Module):

    def __init__(self, channels, classes, blocks, width, bottleneck=False, large_stem=False, pre=False, attention=None,
                 non_local=False):
        super().__init__()
        self.large_stem, self.stages = large_stem, len(blocks)
        self.conv1 = conv(channels, width, 7 if large_stem else 3, 2 if large_stem else 1)
        self.bn1 = None if pre else nn.BatchNorm2d(width)
        made, self.non_local = width, None
        for stage, count in enumerate(blocks):
            if non_local and stage + 1 == self.stages:
                self.non_local = NonLocalBlock(made, made // 2)
            layer = nn.Sequential()
            for i in range(count):
                layer.append(ResidualBlock(made, width << stage, bottleneck, 2 if stage > 0 and i == 0 else 1, pre,
                                           stage == 0 and i == 0, attention))
                made = (width << stage) * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", layer)
        self.norm = nn.BatchNorm2d(made) if pre else None
        self.fc = nn.Linear(made, classes)

    def forward(self, x):
        x = self.conv1(x)
        if self.bn1:
            x = self.bn1(x).relu()
        if self.large_stem:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            if self.non_local and stage + 1 == self.stages:
                x = self.non_local(x)
            x = getattr(self, f"layer{stage + 1}")(x)
        if self.norm:
            x = self.norm(x).relu()
        return self.fc(x.mean((2, 3)))


class SoftmaxRegression(nn.Module):

    def __init__(self, pixels, classes):
        super().__init__()
        self.linear = nn.Linear(pixels, classes)

    def forward(self, x):
        return self.linear(x.flatten(1))


class Mlp(nn.Module):

    def __init__(self, pixels, classes):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(pixels, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU())
        self.classifier = nn.Linear(128, classes)

    def forward(self, x):
        return self.classifier(self.hidden(x.flatten(1)))


class LeNet(nn.Module):

    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        for layer in (self.conv1, self.conv2):
            x = nn.functional.max_pool2d(layer(x).relu(), 2)
        return self.fc3(self.fc2(self.fc1(x.flatten(1)).relu()).relu())


class Cnn(nn.Module):

    def __init__(self, channels, classes):
        super().__init__()
        self.features = nn.Sequential()
        for out in (32, 64, 128):
            for layer in (conv(channels, out, 3), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)):
                self.features.append(layer)
            channels = out
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(128 * 9, 256), nn.ReLU(), nn.Dropout(0.3))
        self.classifier = nn.Linear(256, classes)

    def forward(self, x):
        return self.classifier(self.hidden(nn.functional.adaptive_avg_pool2d(self.features(x), 3)))


def check_against_torchvision():
    """That ResNet above is torchvision's, where that has such a network."""
    for theirs, options in ((torchvision.models.resnet18(), dict(blocks=(2, 2, 2, 2))),
                            (torchvision.models.resnet50(), dict(blocks=(3, 4, 6, 3), bottleneck=True))):
        ours = ResNet(3, 1000, width=64, large_stem=True, **options)
        set_waves(theirs)
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(2, 3, 64, 64)
        assert torch.equal(theirs(x), ours(x)) and torch.equal(theirs.eval()(x), ours.eval()(x))


def main():
    torch.manual_seed(20)
    with torch.no_grad():
        check_against_torchvision()
    x = torch.randn(2, 4, 6, 5)
    output = lambda m, inputs: {"output": m(inputs["x"])}
    case("basic", ResidualBlock(4, 4), {"x": x}, output)
    case("basic_wider", ResidualBlock(4, 6, stride=2), {"x": x}, output)
    case("bottleneck", ResidualBlock(4, 2, True, stride=2), {"x": x}, output)
    case("basic_pre", ResidualBlock(4, 4, pre=True), {"x": x}, output)
    case("basic_first", ResidualBlock(4, 4, pre=True, first=True), {"x": x}, output)
    case("bottleneck_pre", ResidualBlock(4, 2, True, stride=2, pre=True), {"x": x}, output)
    case("basic_se", ResidualBlock(4, 4, attention=("se", 2)), {"x": x}, output)
    case("basic_cbam", ResidualBlock(4, 4, attention=("cbam", 2)), {"x": x},
         lambda m, inputs: {"output": m(inputs["x"]), "map": m.cbam.map})
    case("se", torchvision.ops.SqueezeExcitation(4, 2), {"x": x}, output)
    case("cbam", CBAM(4, 2), {"x": x}, lambda m, inputs: {"output": m(inputs["x"]), "map": m.map})
    case("non_local", NonLocalBlock(4, 3), {"x": x},
         lambda m, inputs: {"output": m(inputs["x"]), "weights": m.weights.unsqueeze(1)})

    with torch.no_grad():
        nets = {
            "linear": SoftmaxRegression(63, 5), "mlp": Mlp(63, 5), "lenet": LeNet(10),
            "resnet": ResNet(3, 5, (1, 1, 1), 4),
            "resnet18": ResNet(3, 5, (2, 2, 2, 2), 4, large_stem=True),
            "resnet50": ResNet(1, 5, (3, 4, 6, 3), 4, bottleneck=True),
            "resnet_pre": ResNet(3, 5, (2, 2, 2), 4, pre=True),
            "resnet50_pre": ResNet(3, 5, (3, 4, 6, 3), 4, bottleneck=True, large_stem=True, pre=True),
            "se_resnet": ResNet(3, 5, (1, 1, 1), 8, attention=("se", 4)),
            "cbam_resnet": ResNet(3, 5, (1, 1, 1), 8, attention=("cbam", 4)),
            "self_attention_cnn": ResNet(3, 5, (1, 1, 1), 4, non_local=True),
        }
    images = {"linear": (1, 9, 7), "mlp": (1, 9, 7), "lenet": (1, 28, 28), "resnet18": (3, 70, 65),
              "resnet50": (1, 28, 25), "resnet50_pre": (3, 70, 65)}
    for name, net in nets.items():
        model(name, net, images.get(name, (3, 13, 12)))
    model("cnn", Cnn(3, 5), (3, 26, 24), trains=False)

    out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "resnet.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, out)
    print(f"{len(tensors)} tensors in {out}")


if __name__ == "__main__":
    main()
