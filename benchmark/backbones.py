"""The feature extractors, with torchvision's parameter names so that its weights load.

Every backbone is a module with ``channels`` and ``output_stride`` and maps images (B, 3, H, W),
RGB, normalised with IMAGENET_MEAN and IMAGENET_STD, to features (B, channels, h, w). Its
``levels`` are three features of ``level_channels``, from shallow to deep, the last its own.
``frozen_blocks`` first blocks stay as they were loaded: no gradient, no new statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import benchmark.torchvision_schemas  # noqa: F401  (must precede torchvision)
from benchmark.errors import BenchmarkError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# On a CPU max pooling is several times faster in this order, and the whole VGG nearly twice.
CHANNELS_LAST = torch.channels_last

VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (channels, convolutions)


class VGG16(nn.Module):
    """VGG-16 (Simonyan and Zisserman, 2015, table 1 D) from conv1_1 to conv5_3, no batch norm.

    Pools 1 to 3 halve the map. Pool 4 halves it too at output stride 16 and keeps its size at 8.
    Pool 5 is absent, or keeps the size (``pool5``). Pools that keep the size are 3x3, padded by 1;
    those that halve it are ``pool_kernel`` wide. At 224 px: 14x14 at stride 16, 28x28 at 8.

    DeepLab-LargeFOV (Chen et al., 2015) is ``output_stride=8, pool_kernel=3, pool5=True,
    dilation=2``.

    Args:
        width: Factor on every channel number.
        output_stride: 8 or 16.
        pool_kernel: 2 (VGG) or 3 (padded by 1) for the pools that halve the map.
        pool4: Whether there is a fourth pool; only output stride 8 can do without.
        pool5: Whether there is a fifth pool, of stride 1.
        dilation: Of the three convolutions of block 5.
        frozen_blocks: How many of the five blocks are not trained.
    """

    def __init__(
        self,
        width: float = 1.0,
        output_stride: Literal[8, 16] = 16,
        pool_kernel: Literal[2, 3] = 2,
        pool5: bool = False,
        dilation: int = 1,
        frozen_blocks: int = 0,
        pool4: bool = True,
    ) -> None:
        super().__init__()
        _check_choice("output_stride", output_stride, (8, 16) if pool4 else (8,))
        _check_choice("pool_kernel", pool_kernel, (2, 3))
        _check_choice("frozen_blocks", frozen_blocks, range(6))
        halving = [nn.MaxPool2d(pool_kernel, 2, padding=pool_kernel // 3) for _ in range(4)]
        keeping = [nn.MaxPool2d(3, 1, padding=1) for _ in range(2)]
        pools: list[nn.Module] = [*halving, *keeping[:1]]
        if output_stride == 8:
            pools = [*halving[:3], *keeping]
        if not pool4:
            pools[3] = nn.Identity()  # keeps the numbers of the layers after it
        layers: list[nn.Module] = []
        channels, ends = 3, []
        for block, (full_width, convolutions) in enumerate(VGG16_BLOCKS):
            rate = dilation if block == 4 else 1
            for _ in range(convolutions):
                convolution = nn.Conv2d(
                    channels, round(full_width * width), 3, padding=rate, dilation=rate
                )
                channels = convolution.out_channels
                layers += [convolution, nn.ReLU(inplace=True)]
            layers.append(pools[block])
            ends.append(len(layers))
            if block < frozen_blocks:
                freeze(layers)
        self.features = nn.Sequential(*(layers if pool5 else layers[:-1]))
        self.channels = channels
        self.output_stride = output_stride
        self._levels = (ends[2], ends[3], len(self.features))
        self.level_channels = (round(256 * width), channels, channels)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, channels, h, w)."""
        return self.features(images.contiguous(memory_format=CHANNELS_LAST))

    def levels(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of blocks 3 and 4, after their pools if any, and of block 5."""
        return _stepwise(self.features, images, self._levels)


class MobileNetV2(nn.Module):
    """The ``features`` of torchvision's MobileNetV2 (Sandler et al., 2018).

    A stride that would pass ``output_stride`` becomes a dilation of the later convolutions.

    Args:
        output_stride: 8, 16 or 32.
        last_conv: Whether to keep the last 1x1 convolution (1,280 channels; 320 without it).
        frozen_blocks: How many of the first modules of ``features`` (of 19) are not trained.
        norm_eval: Keep the loaded batch-norm statistics everywhere (small batches).
    """

    def __init__(
        self,
        output_stride: Literal[8, 16, 32] = 32,
        last_conv: bool = True,
        frozen_blocks: int = 0,
        norm_eval: bool = False,
    ) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        _check_choice("output_stride", output_stride, (8, 16, 32))
        _check_choice("frozen_blocks", frozen_blocks, range(20))
        features = list(mobilenet_v2(weights=None).features)
        self.features = nn.Sequential(*(features if last_conv else features[:-1]))
        self.channels = 1280 if last_conv else 320
        self.level_channels = (32, 96, self.channels)
        self.output_stride = output_stride
        self.frozen_blocks = frozen_blocks
        self.norm_eval = norm_eval
        limit_stride(self, output_stride)
        freeze(features[:frozen_blocks])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, channels, h, w)."""
        return self.features(images.contiguous(memory_format=CHANNELS_LAST))

    def levels(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of the last units of 32 and of 96 channels, and the last ones."""
        return _stepwise(self.features, images, (7, 14, len(self.features)))

    def train(self, mode: bool = True) -> MobileNetV2:
        """Switch to training, except the batch norms that keep their statistics."""
        super().train(mode)
        fixed = self.features if self.norm_eval else self.features[: self.frozen_blocks]
        fix_norms(fixed.modules())
        return self


def _stepwise(layers: nn.Sequential, images: Tensor, stops: Sequence[int]) -> tuple[Tensor, ...]:
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


def _resnet(**options: Any) -> nn.Module:
    from benchmark.segmentation.resnet import ResNet  # imports mmseg, which takes seconds

    return ResNet(**options)


def _resnet38(**options: Any) -> nn.Module:
    from benchmark.backbones_resnet38 import ResNet38  # imports this module

    return ResNet38(**options)


_BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "vgg16": VGG16,
    "mobilenet_v2": MobileNetV2,
    "resnet": _resnet,
    "resnet38": _resnet38,
}


def build_backbone(name: str, **options: Any) -> nn.Module:
    """Return the backbone ``name`` (vgg16, mobilenet_v2, resnet, resnet38) with its options."""
    if name not in _BACKBONES:
        raise BenchmarkError(f"no backbone {name!r}: choose one of {', '.join(_BACKBONES)}")
    return _BACKBONES[name](**options)


def _check_choice(name: str, value: int, choices: Iterable[int]) -> None:
    choices = tuple(choices)
    if value not in choices:
        raise BenchmarkError(f"{name} {value} is not one of {', '.join(map(str, choices))}")
