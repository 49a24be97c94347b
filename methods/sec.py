"""SEC: the localisation cues of Seed, Expand and Constrain.

The paper's three losses belong to the segmentation network (the configs sec_*); here are the
classifier and its two maps that the cues are cut from: class activation maps for the foreground
and a gradient saliency for the background. The training code of the cues was never released; the
constants are those of its network files and of what the author answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.method import (
    Batch,
    Fraction,
    Head,
    InferenceRecipe,
    Method,
    Paper,
    TrainingRecipe,
)
from methods.nn.heads import init_gaussian, scaled
from methods.nn.zones import image_label_loss, logits, max_normalise, only_present

VGG16_CONVOLUTIONS = 13
CONV4_1 = 7
"""conv4_1's place among VGG-16's convolutions."""


class SEC(Method):
    """A classifier's maps for the foreground cues, its gradient for the background cues."""

    paper = Paper(
        "Seed, Expand and Constrain: Three Principles for Weakly-Supervised Image Segmentation",
        "ECCV 2016",
        "arXiv:1603.06098",
    )
    backbone_options: ClassVar[Mapping[str, Any]] = {
        "output_stride": 8,
        "pool_kernel": 3,
        "pool4": False,
    }
    """Pools 4 and 5 are removed."""

    @dataclass(frozen=True)
    class Options:
        """``channels`` of both head convolutions; ``dropout`` after each."""

        channels: int = 1024
        dropout: Fraction = 0.5

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Backbone, two 3×3 convolutions, linear classifier of every cell."""
        return SecNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """SEC's segmentation schedule with a step of 4,000, as its author says of the cues.

        Released, only the classifier learns ten times as fast; here the whole head does, for it
        begins from random weights.
        """
        return TrainingRecipe(
            iterations=8_000,
            batch_size=15,
            drops=(0.5,),
            weight_decay=5e-4,
            head_rate=10.0,
            view="warp",
            crop=321,
            test_size=321,
            flip=False,
            colour=0.0,
        )

    def inference(self) -> InferenceRecipe:
        """One view of each image."""
        return InferenceRecipe(flip=False)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Sigmoid cross-entropy on the spatial mean."""
        return {"classification": image_label_loss(network(batch.images), batch.labels)}

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """Spatial mean of the score maps."""
        return logits(network(images))

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Positive part of each present class's score map over its maximum."""
        return only_present(max_normalise(network(batch.images)), batch.labels)

    def background(self, network: Any, batch: Batch) -> Tensor:
        """Share of the image's cells that are more salient, (B, h, w) in [0, 1]: low saliency, 1.

        The saliency is the largest gradient of the sum of the class scores by a channel of
        conv4_1's (rectified) features, after a 3×3 median. Released: a separate VGG's; here the
        classifier's own. On another backbone than VGG-16 its last features take conv4_1's place.
        """
        return share_above(median3(network.gradient(batch.images).float().abs().amax(dim=1)))


class SecNetwork(nn.Module):
    """(B, 3, H, W) -> class score maps (B, C, h, w).

    SEC's classifier has no bias; it gets one where the profile does not start it at 0.
    """

    def __init__(self, backbone: Any, num_classes: int, head: Head, options: SEC.Options) -> None:
        super().__init__()
        self.backbone = backbone
        channels = scaled(options.channels, head)
        classifier = nn.Conv2d(channels, num_classes, 1, bias=head.classifier_bias != 0)
        self.head = nn.Sequential(
            nn.Conv2d(backbone.channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.Dropout(options.dropout),
            classifier,
        )
        init_gaussian(self.head, head.init_gain, std=0.005)
        if classifier.bias is not None:
            nn.init.constant_(classifier.bias, head.classifier_bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return the score maps before pooling."""
        scores: Tensor = self.head(self.backbone(images))
        return scores

    @torch.enable_grad()
    def gradient(self, images: Tensor) -> Tensor:
        """Return the gradient (B, D, h, w) of the summed class scores by conv4_1's features."""
        features: list[Tensor] = []
        hook = background_layer(self.backbone).register_forward_hook(
            lambda _, inputs, output: features.append(output)
        )
        try:
            # Blocks that are not trained would otherwise leave no graph.
            scores = logits(self(images.detach().requires_grad_()))
        finally:
            hook.remove()
        # The ReLU after the convolution works in place: these are the rectified features.
        (found,) = torch.autograd.grad(scores.sum(), features)
        return found


def background_layer(backbone: nn.Module) -> nn.Module:
    """Return VGG-16's conv4_1, and any other backbone itself."""
    convolutions = [part for part in backbone.modules() if isinstance(part, nn.Conv2d)]
    return convolutions[CONV4_1] if len(convolutions) == VGG16_CONVOLUTIONS else backbone


def median3(maps: Tensor) -> Tensor:
    """Return the median of each cell's 3×3 neighbourhood, (B, h, w), edges repeated."""
    padded = functional.pad(maps[:, None], (1, 1, 1, 1), mode="replicate")
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    return windows.sort(dim=4).values[:, 0, ..., 4]  # on a GPU torch's median is not deterministic


def share_above(maps: Tensor) -> Tensor:
    """Return for each cell which share of the map's cells is higher, (B, h, w) in [0, 1)."""
    flat = maps.flatten(1).contiguous()
    not_higher = torch.searchsorted(flat.sort(dim=1).values, flat, right=True)
    return (1 - not_higher / flat.shape[1]).reshape(maps.shape)
