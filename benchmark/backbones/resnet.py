"""ResNet as a plain backbone: MMSegmentation's, with one output."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from benchmark.backbones.layers import fix_norms, initialise
from benchmark.quiet_imports import quiet_imports

with quiet_imports():
    from mmseg.models.backbones import ResNet as MMSegResNet

# output stride -> strides and dilations of the four stages
_STAGES = {
    8: ((1, 2, 1, 1), (1, 1, 2, 4)),
    16: ((1, 2, 2, 1), (1, 1, 1, 2)),
    32: ((1, 2, 2, 2), (1, 1, 1, 1)),
}


class ResNet(MMSegResNet):
    """ResNet (He et al., 2016) to the end of stage 4, in torchvision's parameter names.

    Args:
        depth: 18, 34, 50 or 101.
        base_channels: Channels of the stem and of stage 1; 64 is the published network.
        output_stride: 8, 16 or 32; the later stages are dilated to keep their field.
        frozen_blocks: How many of stem, stage 1, ..., stage 4 are not trained.
        norm_eval: Keep the loaded batch-norm statistics everywhere (small batches).
    """

    def __init__(
        self,
        depth: int = 50,
        base_channels: int = 64,
        output_stride: Literal[8, 16, 32] = 32,
        frozen_blocks: int = 0,
        norm_eval: bool = False,
    ) -> None:
        strides, dilations = _STAGES[output_stride]
        super().__init__(
            depth,
            stem_channels=base_channels,
            base_channels=base_channels,
            strides=strides,
            dilations=dilations,
            out_indices=(3,),
            frozen_stages=frozen_blocks - 1,
            norm_eval=norm_eval,
            contract_dilation=True,
        )
        self.channels = self.feat_dim
        self.output_stride = output_stride
        self.level_channels = (self.feat_dim // 4, self.feat_dim // 2, self.feat_dim)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, channels, h, w)."""
        return super().forward(images)[0]

    def levels(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of stages 2, 3 and 4."""
        features = self.maxpool(self.relu(self.norm1(self.conv1(images))))
        found = []
        for name in self.res_layers:
            features = getattr(self, name)(features)
            found.append(features)
        return tuple(found[1:])

    def train(self, mode: bool = True) -> ResNet:
        """Switch to training, except the batch norms that keep their statistics."""
        super().train(mode)
        if self.norm_eval:
            fix_norms(self.modules())
        return self
