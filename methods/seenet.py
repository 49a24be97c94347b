"""SeeNet: Self-Erasing Network for Integral Object Attention.

Sources: the paper (P) and the released inference code (R). Where they differ the paper's value is
the default: R erases at 0.8 and flips below 0.0 (no cell), has two head convolutions, and drops
out half of S_A's last features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.method import Batch, Fraction, Head, Method, Paper, TrainingRecipe
from methods.nn.heads import conv_head, init_gaussian, scaled, start_classifier
from methods.nn.zones import (
    c_relu,
    image_label_loss,
    logits,
    max_normalise,
    min_max,
    only_present,
    present_attention,
    ternary_mask,
)


class SeeNet(Method):
    """S_A finds, S_B sees self-erased features, S_C learns that background holds no class."""

    paper = Paper(
        "Self-Erasing Network for Integral Object Attention", "NeurIPS 2018", "arXiv:1810.09821"
    )
    supervision = "I+S"
    backbone_options: ClassVar[Mapping[str, Any]] = {"output_stride": 16}

    @dataclass(frozen=True)
    class Options:
        """P Sec. 5.1, relative to the attention's maximum.

        ``erase`` δh and ``background`` δl bound the zones of S_B; ``background_branch`` bounds the
        zone that S_C sees ((δh + δl)/2 where None); ``flip_sign`` off zeroes the background zone of
        S_B instead (P Table 1, setting 2); ``head_convs`` 3 in P, 2 in R; ``dropout`` in S_A, 0.5
        in R.
        """

        erase: Fraction = 0.7
        background: Fraction = 0.05
        background_branch: Fraction | None = None
        flip_sign: bool = True
        head_convs: Literal[2, 3] = 3
        dropout: Fraction = 0.0

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Backbone and three heads of 512 channels."""
        return SeeNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """P Sec. 5.1; momentum 0.9 and the doubled bias rate are R's."""
        return TrainingRecipe()

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """P Sec. 3.3: L = L_A + L_B + L_C; the target of S_C is the zero vector."""
        score_a, score_b, score_c = network(batch.images, batch.labels)
        return {
            "a": image_label_loss(score_a, batch.labels),
            "b": image_label_loss(score_b, batch.labels),
            "c": image_label_loss(score_c, torch.zeros_like(batch.labels)),
        }

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """S_A's logits; S_B would need the labels."""
        return logits(network.score_a(images))

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """P Sec. 3.3: maximum of the normalised maps of S_A and S_B; S_C is discarded."""
        score_a, score_b = network.score_a_and_b(batch.images, batch.labels)
        fused = torch.maximum(max_normalise(score_a), max_normalise(score_b))
        return only_present(fused, batch.labels)


class SeeNetwork(nn.Module):
    """(B, 3, H, W) and labels (B, C) -> score maps (B, C, h, w) of S_A, S_B and S_C."""

    def __init__(
        self, backbone: Any, num_classes: int, head: Head, options: SeeNet.Options
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.options = options
        inputs, channels, convs = backbone.channels, scaled(512, head), options.head_convs
        self.a = conv_head(inputs, channels, num_classes, convs=convs, dropout=options.dropout)
        self.b = conv_head(inputs, channels, num_classes, convs=convs)
        self.c = conv_head(inputs, channels, num_classes, convs=convs)
        for layers in (self.a, self.b, self.c):
            init_gaussian(layers, head.init_gain)
            start_classifier(layers, head)

    def score_a(self, images: Tensor) -> Tensor:
        """Score maps of S_A."""
        scores: Tensor = self.a(functional.relu(self.backbone(images)))
        return scores

    def score_a_and_b(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Score maps of S_A and S_B."""
        features = self.backbone(images)
        score_a = self.a(functional.relu(features))
        return score_a, self.b(c_relu(features, self.mask_b(score_a, labels)))

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the score maps of all three branches."""
        features = self.backbone(images)
        score_a = self.a(functional.relu(features))
        score_b = self.b(c_relu(features, self.mask_b(score_a, labels)))
        score_c = self.c(c_relu(features, self.mask_c(score_a, labels)))
        return score_a, score_b, score_c

    def mask_b(self, score_a: Tensor, labels: Tensor) -> Tensor:
        """The ternary mask T_A: erased 0, background −1 (0 without sign flipping), else 1."""
        value = -1.0 if self.options.flip_sign else 0.0
        zones = attention_zones(score_a, labels)
        return ternary_mask(zones, self.options.erase, self.options.background, value)

    def mask_c(self, score_a: Tensor, labels: Tensor) -> Tensor:
        """Strategy II: 1 in the background zone below ``background_branch``, else 0."""
        factor = self.options.background_branch
        if factor is None:
            factor = (self.options.erase + self.options.background) / 2
        return (attention_zones(score_a, labels) < factor).to(score_a.dtype)


def attention_zones(score_a: Tensor, labels: Tensor) -> Tensor:
    """Return M_A (B, 1, h, w): clipped, min–max per present class, maximum over classes (R)."""
    return present_attention(min_max(score_a.detach().clamp(min=0)), labels)
