"""The parts of DeepLab-LargeFOV and DeepLab-ASPP in MMSegmentation's registry."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule, ModuleList
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from benchmark.backbones import build_backbone
from benchmark.weights import load_backbone, load_state_dict


@MODELS.register_module()
class DeepLabBackbone(BaseModule):
    """A backbone of ``benchmark.backbones`` as MMSegmentation wants it.

    Args:
        name: vgg16, mobilenet_v2 or resnet.
        weights: A file with the backbone's initial weights; random without.
        options: The backbone's own.
    """

    def __init__(self, name: str, weights: str | None = None, **options: Any) -> None:
        super().__init__()
        self.net = build_backbone(name, **options)
        self.weights = weights

    def init_weights(self) -> None:
        """Load the initial weights; what is not loaded was initialised when it was built."""
        if self.weights is not None:
            load_backbone(self.net, load_state_dict(self.weights), self.weights)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Map images (B, 3, H, W) to a tuple of one feature map (B, C, h, w)."""
        return (self.net(images),)


@MODELS.register_module()
class LargeFOVHead(BaseDecodeHead):
    """fc6 (3x3, dilated), fc7 (1x1) and the classifier (1x1) of DeepLab-LargeFOV.

    Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected
    CRFs", ICLR 2015: dilation 12, 1,024 channels, each of fc6 and fc7 followed by a ReLU and
    dropout of single values at 0.5. New layers start from He's normal distribution, the
    classifier from a normal one of deviation 0.01.

    Args:
        dilation: Of fc6.
        dropout: After fc6 and after fc7.
        label_stride: Compare the scores with every ``label_stride``-th pixel of the labels, as
            the paper does with 8; by default the scores are interpolated to all pixels.
        options: ``BaseDecodeHead``'s: in_channels, channels, num_classes, loss_decode...
    """

    def __init__(
        self,
        dilation: int = 12,
        dropout: float = 0.5,
        label_stride: int | None = None,
        **options: Any,
    ) -> None:
        classifier = {"type": "Normal", "std": 0.01, "override": {"name": "conv_seg"}}
        layers = {"type": "Kaiming", "layer": "Conv2d"}
        super().__init__(**{"dropout_ratio": 0, "init_cfg": [layers, classifier], **options})
        self.fc6 = nn.Conv2d(
            self.in_channels, self.channels, 3, padding=dilation, dilation=dilation
        )
        self.fc7 = nn.Conv2d(self.channels, self.channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(dropout)
        self.label_stride = label_stride

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Map features (B, in_channels, h, w) to class scores (B, num_classes, h, w)."""
        features = self.drop(self.relu(self.fc6(self._transform_inputs(inputs))))
        return self.cls_seg(self.drop(self.relu(self.fc7(features))))

    def _stack_batch_gt(self, batch_data_samples: list[SegDataSample]) -> Tensor:
        """Return the labels (B, 1, H, W) to compare the scores with."""
        labels = super()._stack_batch_gt(batch_data_samples)
        return labels[..., :: self.label_stride, :: self.label_stride]


@MODELS.register_module()
class ASPPSumHead(BaseDecodeHead):
    """The atrous spatial pyramid of DeepLab v2: LargeFOV heads of several dilations, summed.

    Chen et al., "DeepLab", PAMI 2018: four branches, each with its own fc6, fc7 and classifier
    (VGG-16), or each a single 3x3 classifier (ResNet-101).

    Args:
        dilations: Of the branches' fc6, or of their single layer.
        direct: Whether the branches are single classifiers; then no channels and no dropout.
        dropout: After each fc6 and fc7.
        label_stride: As in ``LargeFOVHead``.
        options: ``BaseDecodeHead``'s; ``channels`` are those of each branch.
    """

    def __init__(
        self,
        dilations: tuple[int, ...] = (6, 12, 18, 24),
        direct: bool = False,
        dropout: float = 0.5,
        label_stride: int | None = None,
        **options: Any,
    ) -> None:
        init = {"type": "Normal", "layer": "Conv2d", "std": 0.01} if direct else None
        super().__init__(**{"dropout_ratio": 0, "init_cfg": init, **options})
        self.direct = direct
        del self.conv_seg  # the branches have theirs
        self.branches = ModuleList(
            [
                nn.Conv2d(self.in_channels, self.num_classes, 3, padding=rate, dilation=rate)
                if direct
                else LargeFOVHead(rate, dropout, label_stride, **options)
                for rate in dilations
            ]
        )
        self.label_stride = label_stride

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Map features (B, in_channels, h, w) to class scores (B, num_classes, h, w)."""
        features = self._transform_inputs(inputs) if self.direct else inputs
        return torch.stack([branch(features) for branch in self.branches]).sum(dim=0)

    def _stack_batch_gt(self, batch_data_samples: list[SegDataSample]) -> Tensor:
        """Return the labels (B, 1, H, W) to compare the scores with."""
        labels = super()._stack_batch_gt(batch_data_samples)
        return labels[..., :: self.label_stride, :: self.label_stride]
