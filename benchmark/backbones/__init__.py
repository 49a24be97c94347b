"""The feature extractors, with torchvision's parameter names so that its weights load.

Every backbone is a module with ``channels`` and ``output_stride`` and maps images (B, 3, H, W),
RGB, normalised with IMAGENET_MEAN and IMAGENET_STD, to features (B, channels, h, w). Its
``levels`` are three features of ``level_channels``, from shallow to deep, the last its own.
``frozen_blocks`` first blocks stay as they were loaded: no gradient, no new statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmark.backbones.mobilenet_v2 import MobileNetV2
from benchmark.backbones.resnet38 import ResNet38
from benchmark.backbones.vgg16 import VGG16
from benchmark.errors import BenchmarkError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _resnet(**options: Any) -> nn.Module:
    from benchmark.backbones.resnet import ResNet  # imports mmseg, which takes seconds

    return ResNet(**options)


_BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "vgg16": VGG16,
    "mobilenet_v2": MobileNetV2,
    "resnet": _resnet,
    "resnet38": ResNet38,
}


def build_backbone(name: str, **options: Any) -> nn.Module:
    """Return the backbone ``name`` (vgg16, mobilenet_v2, resnet, resnet38) with its options."""
    if name not in _BACKBONES:
        raise BenchmarkError(f"no backbone {name!r}: choose one of {', '.join(_BACKBONES)}")
    return _BACKBONES[name](**options)
