"""The Xception-65 of DeepLabV3+, as timm has it."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from benchmark.weights import load_backbone, load_state_dict

STRIDE_4, LAST = 1, 4  # among the feature maps that timm's Xception tells of


def xception65(output_stride: int = 16) -> Any:
    """Return timm's aligned Xception-65 without its classifier, of random weights.

    Strides beyond ``output_stride`` become dilations, as in Chen et al. (arXiv:1802.02611); the
    weights' names and shapes are the same at 8, 16 and 32.
    """
    import benchmark.torchvision_schemas  # noqa: F401, I001  before timm, which imports torchvision
    from timm import create_model  # takes seconds

    network: Any = create_model("xception65", num_classes=0, output_stride=output_stride)
    network.output_stride = output_stride  # the size of test images depends on it
    return network


@MODELS.register_module()
class DecoderXception(BaseModule):
    """Xception-65 with the features at stride 4 that the decoder of DeepLabV3+ looks at.

    These are the second separable convolution of the second block, as in the released code; there
    before its ReLU, here after. No unit dilates more than the stride asks for: the released code
    uses a multi-grid on ResNets alone.

    Args:
        output_stride: 8, 16 or 32.
        norm_momentum: Weight of a new batch in the running statistics of the batch norms.
        weights: A file with timm's ImageNet weights; random without.
    """

    def __init__(
        self, output_stride: int = 16, norm_momentum: float = 0.0003, weights: str | None = None
    ) -> None:
        super().__init__()
        self.net = xception65(output_stride)
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = norm_momentum
        self.weights = weights

    def init_weights(self) -> None:
        """Load the initial weights; what is not loaded was initialised when it was built."""
        if self.weights is not None:
            load_backbone(self.net, load_state_dict(self.weights), self.weights)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map images (B, 3, H, W) to features (B, 256, H/4, W/4) and (B, 2048, h, w)."""
        indices = [STRIDE_4, LAST]
        return tuple(
            self.net.forward_intermediates(images, indices=indices, intermediates_only=True)
        )
