"""DeepLab on VGG-16: the published networks, whose fc6 and fc7 come from ImageNet too."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule, ModuleList
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from benchmark.backbones.layers import initialise
from benchmark.backbones.vgg16 import VGG16
from benchmark.deeplab.fully_connected import fully_connected
from benchmark.weights import load_backbone, load_state_dict


class FullyConnected(nn.Module):
    """fc6 (3x3, dilated) and fc7 (1x1), each followed by a ReLU and drop-out of single values."""

    def __init__(self, in_channels: int, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.fc6 = nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation)
        self.fc7 = nn.Conv2d(channels, channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, channels, h, w)."""
        features = self.drop(self.relu(self.fc6(features)))
        return self.drop(self.relu(self.fc7(features)))


@MODELS.register_module()
class DeepLabVGG16(BaseModule):
    """VGG-16 from conv1_1 to fc7, at output stride 8; one fc6 and fc7 a dilation.

    One dilation of 12 is LargeFOV (Chen et al., ICLR 2015), four are ASPP (PAMI 2018). Every
    branch begins from the same weights: see ``benchmark.deeplab.fully_connected``.

    Args:
        dilations: Of fc6, a branch each.
        average_pool: Whether a 3x3 average comes before fc6, as in the released LargeFOV, DSRG and
            SGAN; DeepLab v2's released ASPP has none.
        channels: Of fc6 and fc7; 1,024 where weights are loaded.
        dropout: After each fc6 and fc7.
        width: Factor on the channel numbers of conv1_1 to conv5_3.
        weights: A file with an ImageNet VGG-16, its fully connected layers included; random
            without.
    """

    def __init__(
        self,
        dilations: tuple[int, ...] = (12,),
        average_pool: bool = False,
        channels: int = 1024,
        dropout: float = 0.5,
        width: float = 1.0,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self.net = VGG16(width=width, output_stride=8, pool_kernel=3, pool5=True, dilation=2)
        # As in Caffe, the zeros beyond the border count in the mean.
        self.average = nn.AvgPool2d(3, 1, padding=1) if average_pool else nn.Identity()
        self.branches = ModuleList(
            [FullyConnected(self.net.channels, channels, rate, dropout) for rate in dilations]
        )
        initialise(self.branches)
        self.weights = weights

    def init_weights(self) -> None:
        """Load the initial weights; what is not loaded was initialised when it was built."""
        if self.weights is None:
            return
        state = load_state_dict(self.weights)
        load_backbone(self.net, state, self.weights)
        layers = fully_connected(state, self.weights)
        for branch in self.branches:
            load_backbone(branch, layers, self.weights)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map images (B, 3, H, W) to fc7's features of each branch, (B, channels, h, w)."""
        features = self.average(self.net(images))
        return tuple(branch(features) for branch in self.branches)


@MODELS.register_module()
class SummedClassifiersHead(BaseDecodeHead):
    """fc8 of DeepLab on VGG-16: a 1x1 classifier for every feature map, summed.

    The classifiers start from a normal distribution of deviation 0.01.

    Args:
        maps: How many feature maps the backbone gives.
        label_stride: Compare the scores with every ``label_stride``-th pixel of the labels, as
            the papers do with 8; by default the scores are interpolated to all pixels.
        options: ``BaseDecodeHead``'s; ``in_channels`` are those of each map.
    """

    def __init__(self, maps: int = 1, label_stride: int | None = None, **options: Any) -> None:
        init = {"type": "Normal", "layer": "Conv2d", "std": 0.01}
        super().__init__(**{"dropout_ratio": 0, "init_cfg": init, **options})
        del self.conv_seg  # each map has its own
        self.classifiers = ModuleList(
            [nn.Conv2d(self.in_channels, self.num_classes, 1) for _ in range(maps)]
        )
        self.label_stride = label_stride

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Map features, each (B, in_channels, h, w), to class scores (B, num_classes, h, w)."""
        pairs = zip(self.classifiers, inputs, strict=True)
        return torch.stack([classify(features) for classify, features in pairs]).sum(dim=0)

    def _stack_batch_gt(self, batch_data_samples: list[SegDataSample]) -> Tensor:
        """Return the labels (B, 1, H, W) to compare the scores with."""
        labels = super()._stack_batch_gt(batch_data_samples)
        return labels[..., :: self.label_stride, :: self.label_stride]
