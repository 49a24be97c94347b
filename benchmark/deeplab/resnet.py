"""Backbones whose batch norms learn with the rest, and the ResNet of DeepLabV3+."""

from __future__ import annotations

from typing import Any

from mmseg.models.backbones import ResNet as MMSegResNet
from mmseg.registry import MODELS
from torch import Tensor, nn

from benchmark.segmentation.model import DeepLabBackbone


@MODELS.register_module()
class NormedBackbone(DeepLabBackbone):
    """A ``DeepLabBackbone`` whose batch-norm statistics follow the batches slowly.

    Args:
        norm_momentum: Weight of a new batch in the running statistics; DeepLabV3's decay of
            0.9997 is 0.0003 here.
        options: ``DeepLabBackbone``'s.
    """

    def __init__(self, norm_momentum: float = 0.0003, **options: Any) -> None:
        super().__init__(**options)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = norm_momentum


@MODELS.register_module()
class DecoderResNet(NormedBackbone):
    """A ResNet that gives stage 1's features too, which the decoder of DeepLabV3+ looks at.

    Args:
        multi_grid: Factors on the dilation of the units of stage 4: at output stride 16 the
            (1, 2, 4) of DeepLabV3 (Chen et al., arXiv:1706.05587) make it 2, 4 and 8.
        options: ``NormedBackbone``'s, those of a ResNet among them.
    """

    def __init__(self, multi_grid: tuple[int, ...] = (1, 2, 4), **options: Any) -> None:
        super().__init__(name="resnet", **options)
        network: Any = self.net
        network.out_indices = (0, 3)
        dilation = 32 // network.output_stride
        for unit, factor in zip(network.layer4, multi_grid, strict=True):
            unit.conv2.dilation = unit.conv2.padding = (dilation * factor, dilation * factor)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Map images (B, 3, H, W) to the features of stage 1, at stride 4, and of stage 4."""
        return tuple(MMSegResNet.forward(self.net, images))
