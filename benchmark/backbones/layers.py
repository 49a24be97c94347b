"""What backbones of several kinds are made of. It imports none of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmark.errors import BenchmarkError

# On a CPU max pooling is several times faster in this order, and the whole VGG nearly twice.
CHANNELS_LAST = torch.channels_last


def stepwise(layers: nn.Sequential, images: Tensor, stops: Sequence[int]) -> tuple[Tensor, ...]:
    """Return the outputs of the first ``stops`` layers, e.g. of 7, 14 and all 19 of them."""
    features, start, found = images.contiguous(memory_format=CHANNELS_LAST), 0, []
    for stop in stops:
        features = layers[start:stop](features)
        found.append(features)
        start = stop
    return tuple(found)


def initialise(module: nn.Module) -> None:
    """Initialise as torchvision does: He (fan out) for convolutions, 1 and 0 for norms."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, _BatchNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def freeze(modules: Iterable[nn.Module]) -> None:
    """Take the parameters of ``modules`` out of training."""
    for module in modules:
        module.requires_grad_(False)


def fix_norms(modules: Iterable[nn.Module]) -> None:
    """Let the batch norms among ``modules`` keep and use their running statistics."""
    for module in modules:
        if isinstance(module, _BatchNorm):
            module.eval()


def limit_stride(module: nn.Module, output_stride: int) -> None:
    """Turn a chain's strides beyond ``output_stride`` into dilations, convolution by convolution.

    The convolution that loses its stride keeps the dilation so far; those after it double theirs,
    so that each sees the pixels that it saw with the stride.
    """
    stride, dilation = 1, 1
    for part in module.modules():
        if not isinstance(part, nn.Conv2d):
            continue
        reach = part.kernel_size[0] // 2
        part.dilation = (dilation, dilation)
        part.padding = (dilation * reach, dilation * reach)
        if part.stride[0] > 1 and stride == output_stride:
            dilation *= part.stride[0]
            part.stride = (1, 1)
        stride *= part.stride[0]


def check_choice(name: str, value: int, choices: Iterable[int]) -> None:
    """Raise BenchmarkError where ``value`` is none of ``choices``."""
    choices = tuple(choices)
    if value not in choices:
        raise BenchmarkError(f"{name} {value} is not one of {', '.join(map(str, choices))}")
