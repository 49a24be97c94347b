"""VGG-16, in torchvision's parameter names."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from benchmark.backbones.layers import CHANNELS_LAST, check_choice, freeze, initialise, stepwise

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
        check_choice("output_stride", output_stride, (8, 16) if pool4 else (8,))
        check_choice("pool_kernel", pool_kernel, (2, 3))
        check_choice("frozen_blocks", frozen_blocks, range(6))
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
        return stepwise(self.features, images, self._levels)
