"""Convolutional classification heads and the initialisation of new layers."""

from __future__ import annotations

import math

from torch import nn

from benchmark.method import Head

RELEASED_FAN_IN = 512 * 9
"""Fan-in of the layers that the released 0.01 was chosen for: 3×3 over 512 channels."""


def scaled(channels: int, head: Head) -> int:
    """Return ``channels`` times the head's width, at least 8."""
    return max(8, round(channels * head.width))


def start_classifier(layers: nn.Sequential, head: Head) -> None:
    """Set the bias of the last layer, the classifier, to where the profile starts it."""
    nn.init.constant_(layers[-1].bias, head.classifier_bias)  # type: ignore[arg-type]


def init_gaussian(module: nn.Module, gain: float = 1.0, std: float = 0.01) -> None:
    """Draw convolution weights from N(0, (gain · std)²) and set biases to 0.

    SeeNet's released prototxt has std 0.01 for 512-channel layers. At a smaller fan-in the same
    signal needs std · sqrt(4608 / fan_in); at the released width that is the released value.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.weight[0].numel()
            scale = max(1.0, math.sqrt(RELEASED_FAN_IN / fan_in)) if layer.kernel_size[0] > 1 else 1
            nn.init.normal_(layer.weight, std=gain * std * scale)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def init_xavier(module: nn.Module) -> None:
    """Xavier-uniform weights, biases 0 (ACoL's released code)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def conv_head(
    in_channels: int, channels: int, num_classes: int, *, convs: int, dropout: float = 0.0
) -> nn.Sequential:
    """Return ``convs`` 3×3 convolutions with ReLU, drop-out, and a 1×1 classifier.

    (B, in_channels, h, w) -> class score maps (B, num_classes, h, w); their spatial mean is the
    logit of each class.
    """
    layers: list[nn.Module] = []
    for index in range(convs):
        layers.append(nn.Conv2d(in_channels if index == 0 else channels, channels, 3, padding=1))
        layers.append(nn.ReLU())
    if dropout:
        layers.append(nn.Dropout(dropout))
    layers.append(nn.Conv2d(channels, num_classes, 1))
    return nn.Sequential(*layers)
