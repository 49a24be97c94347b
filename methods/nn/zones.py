"""Attention zones: normalised maps, the masks cut from them, and the C-ReLU they steer.

Score maps may come in bfloat16; what is averaged, compared or divided here is float32.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.device import full_precision

EPSILON = 1e-8
"""Added to denominators of normalisations (SeeNet's released layer)."""


def logits(score_maps: Tensor) -> Tensor:
    """Global average pooling: (B, C, h, w) -> (B, C)."""
    return full_precision(score_maps).mean(dim=(2, 3))


def min_max(maps: Tensor) -> Tensor:
    """Scale each (h, w) map of (B, C, h, w) to [0, 1]; a constant map becomes 0."""
    maps = full_precision(maps)
    low = maps.amin(dim=(2, 3), keepdim=True)
    high = maps.amax(dim=(2, 3), keepdim=True)
    return (maps - low) / (high - low + EPSILON)


def max_normalise(maps: Tensor) -> Tensor:
    """Clip each map at 0 and divide it by its maximum: (B, C, h, w) in [0, 1]."""
    positive = full_precision(maps).clamp(min=0)
    return positive / (positive.amax(dim=(2, 3), keepdim=True) + EPSILON)


def only_present(maps: Tensor, labels: Tensor) -> Tensor:
    """Zero the maps (B, C, h, w) of classes that the labels (B, C) do not hold."""
    return maps * labels[:, :, None, None].to(maps.dtype)


@torch.no_grad()
def present_attention(normalised: Tensor, labels: Tensor) -> Tensor:
    """Return one map (B, 1, h, w) an image: the maximum over its present classes.

    The papers speak of one attention map; images have several labels. SeeNet's released layer
    normalises each present class by itself and takes the maximum over classes. No gradient.
    """
    return only_present(normalised, labels).amax(dim=1, keepdim=True)


@torch.no_grad()
def ternary_mask(
    attention: Tensor, erase: float, background: float, background_value: float = -1.0
) -> Tensor:
    """SeeNet Sec. 3.2: 0 from ``erase`` up, ``background_value`` below ``background``, else 1."""
    mask = torch.ones_like(attention)
    mask[attention < background] = background_value
    mask[attention >= erase] = 0.0
    return mask


def c_relu(features: Tensor, mask: Tensor) -> Tensor:
    """SeeNet Eq. 2, max(x, 0) × T: features (B, D, h, w), mask (B, 1, h, w), a constant."""
    return functional.relu(features) * mask.detach().to(features.dtype)


def image_label_loss(score_maps: Tensor, labels: Tensor) -> Tensor:
    """Mean sigmoid cross-entropy of C independent binary problems: maps (B, C, h, w) -> scalar."""
    return functional.binary_cross_entropy_with_logits(logits(score_maps), labels)
