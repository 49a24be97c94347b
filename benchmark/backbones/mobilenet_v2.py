"""MobileNetV2, in torchvision's parameter names."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

import benchmark.torchvision_schemas  # noqa: F401  (must precede torchvision)
from benchmark.backbones.layers import (
    CHANNELS_LAST,
    check_choice,
    fix_norms,
    freeze,
    limit_stride,
    stepwise,
)


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

        check_choice("output_stride", output_stride, (8, 16, 32))
        check_choice("frozen_blocks", frozen_blocks, range(20))
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
        return stepwise(self.features, images, (7, 14, len(self.features)))

    def train(self, mode: bool = True) -> MobileNetV2:
        """Switch to training, except the batch norms that keep their statistics."""
        super().train(mode)
        fixed = self.features if self.norm_eval else self.features[: self.frozen_blocks]
        fix_norms(fixed.modules())
        return self
