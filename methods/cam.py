"""Class activation maps on VGG-16: a fully convolutional classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from benchmark.method import Batch, Fraction, Head, Method, Paper, TrainingRecipe
from methods.nn.heads import conv_head, init_gaussian, scaled, start_classifier
from methods.nn.zones import image_label_loss, logits, max_normalise, only_present


class CAM(Method):
    """Plain CAM: a fully convolutional classifier whose score maps are the attention."""

    paper = Paper(
        "Learning Deep Features for Discriminative Localization", "CVPR 2016", "arXiv:1512.04150"
    )
    backbone_options: ClassVar[Mapping[str, Any]] = {"output_stride": 8}

    @dataclass(frozen=True)
    class Options:
        """``head_convs`` 3×3 convolutions of ``channels`` (one in the paper, two as SEC's cues)."""

        head_convs: Literal[1, 2] = 1
        channels: int = 1024
        dropout: Fraction = 0.0

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Backbone, convolutions with ReLU, linear classifier of every cell."""
        return CamNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """SeeNet's schedule, so that the rows of one table differ in the method alone."""
        return TrainingRecipe(head_rate=10.0)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Sigmoid cross-entropy on the spatial mean."""
        return {"classification": image_label_loss(network(batch.images), batch.labels)}

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """Spatial mean of the score maps."""
        return logits(network(images))

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Positive part of each present class's score map over its maximum."""
        return only_present(max_normalise(network(batch.images)), batch.labels)


class CamNetwork(nn.Module):
    """(B, 3, H, W) -> class score maps (B, C, h, w)."""

    def __init__(self, backbone: Any, num_classes: int, head: Head, options: CAM.Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = conv_head(
            backbone.channels,
            scaled(options.channels, head),
            num_classes,
            convs=options.head_convs,
            dropout=options.dropout,
        )
        init_gaussian(self.head, head.init_gain)
        start_classifier(self.head, head)

    def forward(self, images: Tensor) -> Tensor:
        """Return the score maps before pooling."""
        scores: Tensor = self.head(self.backbone(images))
        return scores
