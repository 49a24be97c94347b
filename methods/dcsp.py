"""DCSP: Discovering Class-Specific Pixels.

Sources: the released code (arslan-chaudhry/dcsp_segmentation, ResNet-101 alone) for every constant
and wherever the paper is silent. The harmonic mean of attention and saliency is label recipe
``harmonic_threshold``; the segmentation network's retraining is ``retrain = "adapt"`` of a row.
The released segmentation training also has a classification loss, whose gradient a slip (lists
joined, not summed) keeps from every layer but the attention's own; it is left out here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from benchmark.method import Batch, Head, InferenceRecipe, Method, Paper, TrainingRecipe
from methods.nn.heads import conv_head, init_gaussian, start_classifier
from methods.nn.zones import image_label_loss, logits, only_present


class DCSP(Method):
    """A 1×1 classifier on the backbone's features; its score maps are the attention."""

    paper = Paper(
        "Discovering Class-Specific Pixels for Weakly-Supervised Semantic Segmentation",
        "BMVC 2017",
        "arXiv:1707.05821",
    )
    supervision = "I+S"
    backbone_options: ClassVar[Mapping[str, Any]] = {
        "output_stride": 8,
        "pool_kernel": 3,
        "pool5": True,
        "dilation": 2,
    }
    """DeepLab's VGG-16; the code's own network is DeepLab-v2's ResNet-101."""

    @dataclass(frozen=True)
    class Options:
        """``train_backbone``: also train what the 1×1 layer stands on.

        The released code has this commented out and hands its optimiser the layers with "fc" in
        their names alone, of which the classification loss reaches the 1×1 layer only: the
        backbone keeps its ImageNet weights and batch-norm statistics.
        """

        train_backbone: bool = False

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Backbone, kept as it was loaded unless ``train_backbone``, and a 1×1 classifier."""
        return DcspNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """The released code's constants: rate × 10 for the new layer, × 20 for its bias.

        It scales an image by 0.5 to 1.5 and cuts 321 pixels, filled with the mean colour: VOC's
        longer sides are 500 pixels. It reads the maps at the image's own size; here images are
        warped to squares, of about the area of VOC's 500 × 375.
        """
        return TrainingRecipe(
            iterations=30_000,
            batch_size=10,
            schedule="poly",
            weight_decay=5e-4,
            head_rate=10.0,
            view="longer_side",
            side=(250, 750),
            crop=321,
            test_size=432,
            colour=0.0,
        )

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Sigmoid cross-entropy on the spatial mean."""
        return {"classification": image_label_loss(network(batch.images), batch.labels)}

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """Spatial mean of the score maps."""
        return logits(network(images))

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Each present class's score map as it is, negative values too: ``inference`` follows."""
        return only_present(network(batch.images), batch.labels)

    def inference(self) -> InferenceRecipe:
        """Maximum over three scales, then min–max; the code mirrors nothing.

        The code spreads each map over [0, 1] after it is resized to the image, with 1e-12 above
        and below the fraction, which makes a constant map 1; here on the network's cells, and a
        constant map becomes 0.
        """
        return InferenceRecipe(
            scales=(1.0, 0.75, 0.5), flip=False, fusion="maximum", normalise="min_max"
        )


class DcspNetwork(nn.Module):
    """(B, 3, H, W) -> class score maps (B, C, h, w)."""

    def __init__(self, backbone: Any, num_classes: int, head: Head, options: DCSP.Options) -> None:
        super().__init__()
        self.frozen = not options.train_backbone
        self.backbone = backbone.requires_grad_(False) if self.frozen else backbone
        self.head = conv_head(backbone.channels, backbone.channels, num_classes, convs=0)
        init_gaussian(self.head, head.init_gain)
        start_classifier(self.head, head)

    def train(self, mode: bool = True) -> DcspNetwork:
        """Switch to training, except a backbone that keeps its batch-norm statistics."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return the score maps before pooling."""
        scores: Tensor = self.head(self.backbone(images))
        return scores
