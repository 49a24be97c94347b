"""DSNA: Decoupled Spatial Neural Attention.

Source: the paper alone (P); no code was released. Where P is silent the docstrings say what was
chosen. Eq. 4 multiplies by the attention twice, a slip in a review of earlier work; it plays no
part here. The text speaks of average pooling where Eq. 9 is a sum: the sum it is, the attention's
own sum being 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.device import full_precision
from benchmark.method import (
    Batch,
    Fraction,
    Head,
    InferenceRecipe,
    Method,
    Paper,
    TrainingRecipe,
)
from methods.nn.heads import init_gaussian
from methods.nn.zones import min_max, only_present

EPSILON = 0.1
"""P Eq. 7: keeps every cell's share of the attention above 0."""

IMAGES, EPOCHS, BATCH_SIZE = 10_582, 20, 15


class DSNA(Method):
    """One detector says how much each cell counts, the other what it scores, class by class."""

    paper = Paper(
        "Decoupled Spatial Neural Attention for Weakly Supervised Semantic Segmentation",
        "IEEE TMM 2019",
        "arXiv:1803.02563",
    )
    reading_options: ClassVar[tuple[str, ...]] = ("map",)
    backbone_options: ClassVar[Mapping[str, Any]] = {"output_stride": 16}

    @dataclass(frozen=True)
    class Options:
        """P Sec. III-B and IV-B.

        ``map``: which one is the attention (P Table I). ``dropout``: rate of both drop-outs of the
        expansive detector (P Table II: 0.5 is P's default, although 0.6 does better).
        ``dropout_last`` puts the second one after the softplus; P's "right after" the convolution
        is before it, where a dropped value becomes log 2 + 0.1 and not 0. ``decoupled`` off is P
        Sec. IV-B.3, the discriminative detector alone between the two drop-outs; there
        is no other map then. ``over_classes``: the loss of an image is the sum over classes
        in P Eq. 10; ``mean`` divides it by their number, as if the rates were 20 times lower, which
        is the remedy should P's diverge.
        """

        map: Literal["merged", "expansive", "discriminative"] = "merged"
        dropout: Fraction = 0.5
        dropout_last: bool = False
        decoupled: bool = True
        over_classes: Literal["sum", "mean"] = "sum"

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Backbone and two 1×1 convolutions; the head's width has nothing to act on."""
        return DsnaNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """P Sec. IV-A: batch 15, 20 epochs, 0.01 and 0.1, a tenth after 10 epochs; flip and scale.

        Momentum, decay and the range of scales are not in P; here 0.9, 5e-4 and the suite's range.
        """
        return TrainingRecipe(
            iterations=round(EPOCHS * IMAGES / BATCH_SIZE),
            batch_size=BATCH_SIZE,
            learning_rate=0.01,
            head_rate=10.0,
            bias_rate=1.0,
            drops=(0.5,),
            weight_decay=5e-4,
            colour=0.0,
        )

    def inference(self) -> InferenceRecipe:
        """P Sec. I: one forward pass."""
        return InferenceRecipe(flip=False)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """P Eq. 10, the mean over images."""
        _, _, scores = network(batch.images)
        each = functional.binary_cross_entropy_with_logits(scores, batch.labels, reduction="none")
        per_image = each.sum(dim=1) if self.options.over_classes == "sum" else each.mean(dim=1)
        return {"classification": per_image.mean()}

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """P Eq. 9."""
        scores: Tensor = network(images)[2]
        return scores

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """The chosen map, spread over [0, 1] class by class; the merged one is P Eq. 11."""
        expansive, discriminative, scores = network(batch.images)
        if not self.options.decoupled:
            chosen = min_max(discriminative)
        elif self.options.map == "expansive":
            chosen = min_max(expansive)
        elif self.options.map == "discriminative":
            chosen = min_max(discriminative)
        else:
            chosen = merged_map(expansive, discriminative, scores)
        return only_present(chosen, batch.labels)

    def background(self, network: Any, batch: Batch) -> Tensor:
        """P Sec. III-C: how little the features of a cell sum to."""
        return background_map(network.backbone(batch.images))


class DsnaNetwork(nn.Module):
    """(B, 3, H, W) -> maps A and S (B, C, h, w) and scores p (B, C)."""

    def __init__(self, backbone: Any, num_classes: int, head: Head, options: DSNA.Options) -> None:
        super().__init__()
        self.backbone = backbone
        classifier = nn.Conv2d(backbone.channels, num_classes, 1)
        self.expansive: nn.Module
        if options.decoupled:
            self.expansive = ExpansiveDetector(
                backbone.channels, num_classes, options.dropout, options.dropout_last
            )
            self.discriminative = nn.Sequential(classifier)
        else:
            self.expansive = EvenAttention(num_classes)
            self.discriminative = nn.Sequential(
                nn.Dropout(options.dropout), classifier, nn.Dropout(options.dropout)
            )
        # P does not say how new layers start. The attention sums to 1, so that a bias of the
        # discriminative detector is a bias of the score; one of the expansive detector is not.
        init_gaussian(self.expansive, head.init_gain)
        init_gaussian(self.discriminative, head.init_gain)
        nn.init.constant_(classifier.bias, head.classifier_bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return A, S and p."""
        features = self.backbone(images)
        expansive = self.expansive(features)
        discriminative = self.discriminative(features)
        return expansive, discriminative, attended_scores(expansive, discriminative)


class ExpansiveDetector(nn.Module):
    """P Eqs. 5 to 7: features X (B, D, h, w) -> A (B, C, h, w), every map summing to 1."""

    def __init__(self, channels: int, num_classes: int, dropout: float, dropout_last: bool) -> None:
        super().__init__()
        self.before = nn.Dropout(dropout)
        self.convolution = nn.Conv2d(channels, num_classes, 1)
        self.after = nn.Dropout(dropout)
        self.dropout_last = dropout_last

    def forward(self, features: Tensor) -> Tensor:
        """Return A; drop-out is element-wise, as P says: locations and dimensions."""
        detected = self.convolution(self.before(features))
        if self.dropout_last:
            return spatial_share(self.after(expansive_activation(detected)))
        return spatial_share(expansive_activation(self.after(detected)))


class EvenAttention(nn.Module):
    """The same attention for every cell: what is left without an expansive detector."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, features: Tensor) -> Tensor:
        """Return A: with it Eq. 9 is average pooling."""
        batch, _, height, width = features.shape
        shape = (batch, self.num_classes, height, width)
        return full_precision(features).new_full(shape, 1 / (height * width))


def expansive_activation(values: Tensor) -> Tensor:
    """P Eq. 7: F(x) = log(1 + exp x) + ε."""
    return functional.softplus(values) + EPSILON


def spatial_share(values: Tensor) -> Tensor:
    """P Eq. 6: each map (h, w) of (B, C, h, w) over its sum; where that is 0, zeros."""
    values = full_precision(values)
    total = values.sum(dim=(2, 3), keepdim=True)
    return values / torch.where(total > 0, total, 1.0)


def attended_scores(expansive: Tensor, discriminative: Tensor) -> Tensor:
    """P Eqs. 8 and 9: p_c, the sum over cells of s · a: two (B, C, h, w) -> (B, C)."""
    return (full_precision(expansive) * full_precision(discriminative)).sum(dim=(2, 3))


def merged_map(expansive: Tensor, discriminative: Tensor, scores: Tensor) -> Tensor:
    """P Eq. 11: T = p̂ A + (1 − p̂) S, A and S min–max normalised per class, (B, C, h, w).

    P does not say over which classes the softmax p̂ of the scores (B, C) runs: all. Over the
    present ones alone, an image with one class would never look at S.
    """
    weight = scores.softmax(dim=1)[:, :, None, None]
    return weight * min_max(expansive) + (1 - weight) * min_max(discriminative)


def background_map(features: Tensor) -> Tensor:
    """Return 1 minus the min–max normalised channel sum of X (B, D, h, w): (B, h, w) in [0, 1].

    P Sec. III-C: a sum below 0.3 is background, which is a value above 0.7 here. A constant sum
    counts as 0, as constant maps do everywhere in the suite: such an image is all background.
    """
    return 1 - min_max(features.sum(dim=1, keepdim=True))[:, 0]
