"""ACoL: Adversarial Complementary Learning, for images with several labels.

Sources: the paper's released code (xiaomengyc/ACoL) for every constant. It knows one label an
image; SeeNet's Table 1 needs several. As in SeeNet's own mask, each present class's map is
normalised by itself and the maximum over present classes is erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.method import Batch, Fraction, Head, Method, Paper, TrainingRecipe
from methods.nn.heads import conv_head, init_xavier, scaled, start_classifier
from methods.nn.zones import (
    image_label_loss,
    logits,
    min_max,
    only_present,
    present_attention,
    ternary_mask,
)


class ACoL(Method):
    """Two classifiers; the second sees the features with the first one's attention erased."""

    paper = Paper(
        "Adversarial Complementary Learning for Weakly Supervised Object Localization",
        "CVPR 2018",
        "arXiv:1804.06962",
    )
    supervision = "I+S"
    backbone_options: ClassVar[Mapping[str, Any]] = {
        "output_stride": 8,
        "pool_kernel": 3,
        "pool5": True,
    }
    """Pools 4 and 5 keep the size; no convolution is dilated (the released code's)."""

    @dataclass(frozen=True)
    class Options:
        """``erase``: threshold on the normalised map; ``channels`` of both heads."""

        erase: Fraction = 0.6
        channels: int = 1024

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Backbone and two heads of two 3×3 convolutions each."""
        return AcolNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """ACoL's optimiser on SeeNet's 25,000 × 16 schedule: ACoL names none for VOC."""
        return TrainingRecipe(nesterov=True, weight_decay=5e-4, head_rate=10.0)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Sigmoid cross-entropy of both heads, weight 1 each."""
        first, second = network(batch.images, batch.labels)
        return {
            "first": image_label_loss(first, batch.labels),
            "second": image_label_loss(second, batch.labels),
        }

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """The first head's logits; the second would need the labels."""
        return logits(network.first_scores(images))

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Maximum of the two heads' min–max-normalised maps."""
        first, second = network(batch.images, batch.labels)
        return only_present(torch.maximum(min_max(first), min_max(second)), batch.labels)


class AcolNetwork(nn.Module):
    """(B, 3, H, W) and labels (B, C) -> score maps of both heads (B, C, h, w)."""

    def __init__(self, backbone: Any, num_classes: int, head: Head, options: ACoL.Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.erase = options.erase
        channels = scaled(options.channels, head)
        self.first = conv_head(backbone.channels, channels, num_classes, convs=2)
        self.second = conv_head(backbone.channels, channels, num_classes, convs=2)
        for layers in (self.first, self.second):
            init_xavier(layers)
            start_classifier(layers, head)

    def features(self, images: Tensor) -> Tensor:
        """Backbone features, averaged over 3×3 cells as in the released code."""
        return functional.avg_pool2d(self.backbone(images), 3, stride=1, padding=1)

    def first_scores(self, images: Tensor) -> Tensor:
        """Score maps of the head that sees everything."""
        scores: Tensor = self.first(self.features(images))
        return scores

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score maps of the first head, and of the second with the first's erased."""
        features = self.features(images)
        first = self.first(features)
        seen = present_attention(min_max(first.detach()), labels)
        mask = ternary_mask(seen, erase=self.erase, background=0.0)
        return first, self.second(features * mask)
