"""The feature extractors, with torchvision's parameter names so that its weights load.

Every backbone is a module with ``channels`` and ``output_stride`` and maps images (B, 3, H, W),
RGB, normalised with IMAGENET_MEAN and IMAGENET_STD, to features (B, channels, h, w). Its
``levels`` are three features of ``level_channels``, from shallow to deep, the last its own.
``frozen_blocks`` first blocks stay as they were loaded: no gradient, no new statistics.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from benchmark.backbones.mobilenet_v2 import MobileNetV2
from benchmark.backbones.resnet38 import ResNet38
from benchmark.backbones.vgg16 import VGG16
from benchmark.errors import BenchmarkError
from benchmark.registry import near_name

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _resnet() -> type[nn.Module]:
    from benchmark.backbones.resnet import ResNet  # imports mmseg, which takes seconds

    return ResNet


_BACKBONES: dict[str, Callable[[], type[nn.Module]]] = {
    "vgg16": lambda: VGG16,
    "mobilenet_v2": lambda: MobileNetV2,
    "resnet": _resnet,
    "resnet38": lambda: ResNet38,
}


def build_backbone(name: str, **options: Any) -> nn.Module:
    """Return the backbone ``name`` (vgg16, mobilenet_v2, resnet, resnet38) with its options.

    BenchmarkError for a name or an option that there is not.
    """
    if name not in _BACKBONES:
        raise BenchmarkError(f"no backbone {name!r}: choose one of {', '.join(_BACKBONES)}")
    backbone = _BACKBONES[name]()
    known = inspect.signature(backbone).parameters
    for option in options:
        if option not in known:
            raise BenchmarkError(near_name(f"option of backbone {name}", option, known))
    return backbone(**options)
