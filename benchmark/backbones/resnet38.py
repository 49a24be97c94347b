"""Wide ResNet-38: model A1 of Wu, Shen and van den Hengel (arXiv:1611.10080), without its pool.

Pre-activation residual units; all parameter names are those of the PyTorch port in PSA's release
(jiwoon-ahn/psa), so that its weights load, and the MXNet release's after renaming.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.backbones.layers import check_choice, fix_norms, freeze, initialise

# stage -> (channels inside, channels out, units); the first unit of stages 2 to 4 halves the map
STAGES = {2: (128, 128, 3), 3: (256, 256, 3), 4: (512, 512, 6), 5: (512, 1024, 3)}
BOTTLENECKS = {6: (2048, 0.3), 7: (4096, 0.5)}  # stage -> (channels out, share dropped)
LEVELS = ("b5", "b6")
"""The units whose activated input is a level of features, before the network's own output."""


class ResNet38(nn.Module):
    """Wide ResNet-38 from conv1a to bn7 with its ReLU.

    At output stride 8 stage 5 is dilated by 2 (but for its first convolution) and stages 6 and 7
    by 4; at 16, stage 5 halves the map and stages 6 and 7 are dilated by 2.

    Args:
        width: Factor on every channel number.
        output_stride: 8 (PSA) or 16.
        frozen_blocks: How many of conv1a, b2, ..., b7 are not trained; PSA's code: 2.
        norm_eval: Every batch norm keeps its statistics, scale and shift; PSA's code: True.
    """

    def __init__(
        self,
        width: float = 1.0,
        output_stride: Literal[8, 16] = 8,
        frozen_blocks: int = 0,
        norm_eval: bool = False,
    ) -> None:
        super().__init__()
        check_choice("output_stride", output_stride, (8, 16))
        check_choice("frozen_blocks", frozen_blocks, range(8))
        self.output_stride = output_stride
        self.norm_eval = norm_eval
        dilation = 16 // output_stride
        channels = round(64 * width)
        self.conv1a = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        blocks: list[list[nn.Module]] = [[self.conv1a]]
        for stage, (inside, out, units) in STAGES.items():
            stride = 2 if stage < 5 or output_stride == 16 else 1
            later = dilation if stage == 5 else 1
            shape = (round(inside * width), round(out * width))
            blocks.append([])
            for unit in range(units):
                first = later if unit else 1  # the first convolution still sees undilated cells
                module = Unit(channels, *shape, stride=stride, first=first, dilation=later)
                self.add_module(f"b{stage}_{unit}" if unit else f"b{stage}", module)
                blocks[-1].append(module)
                channels, stride = shape[1], 1
        for stage, (out, dropout) in BOTTLENECKS.items():
            wide = round(out * width)
            last = Bottleneck(channels, wide, dilation=2 * dilation, dropout=dropout)
            self.add_module(f"b{stage}", last)
            blocks.append([last])
            channels = wide
        self.bn7 = nn.BatchNorm2d(channels)
        self.channels = channels
        self.level_channels = (round(512 * width), round(1024 * width), channels)
        initialise(self)
        self._frozen = [module for block in blocks[:frozen_blocks] for module in block]
        freeze(self._frozen)
        if norm_eval:
            freeze(module for module in self.modules() if isinstance(module, nn.BatchNorm2d))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, channels, h, w)."""
        return self.levels(images)[-1]

    def levels(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the activated inputs of b5 and b6, and what ``forward`` returns."""
        features = images
        seen: list[Tensor] = []
        for name, module in self.named_children():
            if name == "bn7":
                break
            if name in LEVELS:
                seen.append(module.activated(features))  # type: ignore[operator]
            features = module(features)
        return seen[0], seen[1], functional.relu(self.bn7(features))

    def train(self, mode: bool = True) -> ResNet38:
        """Switch to training, except the batch norms that keep their statistics."""
        super().train(mode)
        for part in [self] if self.norm_eval else self._frozen:
            fix_norms(part.modules())
        return self


class Unit(nn.Module):
    """Two 3x3 convolutions, each after batch norm and ReLU, and a shortcut.

    Where the shape changes the shortcut is a 1x1 convolution of the first activation.
    """

    def __init__(
        self, channels: int, inside: int, out: int, *, stride: int, first: int, dilation: int
    ) -> None:
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(channels)
        self.conv_branch2a = nn.Conv2d(
            channels, inside, 3, stride, padding=first, dilation=first, bias=False
        )
        self.bn_branch2b1 = nn.BatchNorm2d(inside)
        self.conv_branch2b1 = nn.Conv2d(
            inside, out, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.conv_branch1: nn.Conv2d | None = None
        if channels != out or stride != 1:
            self.conv_branch1 = nn.Conv2d(channels, out, 1, stride, bias=False)

    def activated(self, features: Tensor) -> Tensor:
        """Return the unit's input after its first batch norm and ReLU."""
        return functional.relu(self.bn_branch2a(features))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, out, h / stride, w / stride)."""
        active = self.activated(features)
        shortcut = features if self.conv_branch1 is None else self.conv_branch1(active)
        inner = functional.relu(self.bn_branch2b1(self.conv_branch2a(active)))
        return shortcut + self.conv_branch2b1(inner)


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 of a quarter, half and all of the channels, and a shortcut.

    Whole channels are dropped before the second and the third.
    """

    def __init__(self, channels: int, out: int, *, dilation: int, dropout: float) -> None:
        super().__init__()
        self.conv_branch1 = nn.Conv2d(channels, out, 1, bias=False)
        self.bn_branch2a = nn.BatchNorm2d(channels)
        self.conv_branch2a = nn.Conv2d(channels, out // 4, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(out // 4)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = nn.Conv2d(
            out // 4, out // 2, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.bn_branch2b2 = nn.BatchNorm2d(out // 2)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = nn.Conv2d(out // 2, out, 1, bias=False)

    def activated(self, features: Tensor) -> Tensor:
        """Return the unit's input after its first batch norm and ReLU."""
        return functional.relu(self.bn_branch2a(features))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, out, h, w)."""
        active = self.activated(features)
        inner = torch.relu(self.bn_branch2b1(self.conv_branch2a(active)))
        inner = self.conv_branch2b1(self.dropout_2b1(inner))
        inner = self.dropout_2b2(torch.relu(self.bn_branch2b2(inner)))
        return self.conv_branch1(active) + self.conv_branch2b2(inner)
