"""The head of DeepLab v1 on Wide ResNet-38."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class NormedLargeFOVHead(BaseDecodeHead):
    """LargeFOV with batch norms: 3x3 dilated, 1x1, drop-out of single values, classifier.

    As in the released retraining of SEAM (Wang et al., CVPR 2020): 512 channels, dilation 12, no
    bias before a norm, drop-out once. All layers but the norms start from He's normal
    distribution (fan out).

    Args:
        dilation: Of the 3x3 convolution.
        dropout: Before the classifier.
        norm_momentum: Weight of a new batch in the running statistics.
        options: ``BaseDecodeHead``'s.
    """

    def __init__(
        self,
        dilation: int = 12,
        dropout: float = 0.5,
        norm_momentum: float = 0.0003,
        **options: Any,
    ) -> None:
        init = {"type": "Kaiming", "layer": "Conv2d", "mode": "fan_out"}
        norm = {"type": "BN", "momentum": norm_momentum}
        super().__init__(**{"dropout_ratio": 0, "init_cfg": init, "norm_cfg": norm, **options})
        self.fov = ConvModule(
            self.in_channels,
            self.channels,
            3,
            padding=dilation,
            dilation=dilation,
            norm_cfg=self.norm_cfg,
        )
        self.fov2 = ConvModule(self.channels, self.channels, 1, norm_cfg=self.norm_cfg)
        self.drop = nn.Dropout(dropout)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Map features (B, in_channels, h, w) to class scores (B, num_classes, h, w)."""
        return self.cls_seg(self.drop(self.fov2(self.fov(self._transform_inputs(inputs)))))
