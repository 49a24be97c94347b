"""PSA's class activation maps: the classifier whose maps AffinityNet learns from and refines.

Source: the authors' PyTorch release (jiwoon-ahn/psa); the paper's own TensorFlow code, trained
with Adam at a rate that it does not give, is not public. What follows the classifier, affinities
and random walk, is the refinement in ``methods.affinity``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.backbones.resnet38 import ResNet38
from benchmark.method import Batch, Fraction, Head, InferenceRecipe, Method, Paper, TrainingRecipe
from methods.nn.heads import init_xavier, scaled
from methods.nn.zones import logits, only_present

EPOCHS, BATCH, TRAINING_IMAGES = 15, 16, 10_582


class PSA(Method):
    """Fully convolutional classifier, summed over four scales and their mirror images."""

    paper = Paper(
        "Learning Pixel-Level Semantic Affinity with Image-Level Supervision for "
        "Weakly Supervised Semantic Segmentation",
        "CVPR 2018",
        "arXiv:1803.10464",
    )
    backbone_options: ClassVar[Mapping[str, Any]] = {
        "output_stride": 8,
        "pool_kernel": 3,
        "dilation": 2,
        "frozen_blocks": 2,
    }

    @dataclass(frozen=True)
    class Options:
        """The release's constants.

        ``form``: ``vgg16`` adds fc6 (3×3) and fc7 (1×1) of ``channels``, and its maps are
        the square root of positive scores; ``plain`` classifies the backbone's features at once,
        and its maps are the positive scores; ``released`` is ``plain`` on ResNet-38 and ``vgg16``
        on all others. ``dropout`` drops whole channels.
        ``momentum`` is the weight decay, which the release's optimiser passes on in the momentum's
        place: none in effect; the learning rate 0.1 is tuned to that.
        """

        form: Literal["released", "vgg16", "plain"] = "released"
        channels: int = 1024
        dropout: Fraction = 0.5
        momentum: Fraction = 5e-4

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Backbone, fc6 and fc7 in the form ``vgg16``, and a classifier of every cell."""
        return PsaNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """15 epochs of 10,582 images; the last, incomplete batch of each is left out."""
        return TrainingRecipe(
            iterations=EPOCHS * (TRAINING_IMAGES // BATCH),
            batch_size=BATCH,
            learning_rate=0.1,
            schedule="poly",
            momentum=self.options.momentum,
            weight_decay=5e-4,
            head_rate=10.0,
            view="longer_side",
            side=(256, 512),
            crop=448,
            test_size=448,
            colour=0.3,
        )

    def inference(self) -> InferenceRecipe:
        """Sum over the scales and their mirror images, over each class's maximum."""
        return InferenceRecipe(
            (1.0, 0.5, 1.5, 2.0), flip=True, fusion="sum", normalise="max", keep_shape=True
        )

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Multi-label soft margin loss: sigmoid cross-entropy, mean over classes and images."""
        scores = network.class_scores(batch.images)
        return {"classification": functional.multilabel_soft_margin_loss(scores, batch.labels)}

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """Spatial mean of the score maps."""
        scores: Tensor = network.class_scores(images)
        return scores

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Positive part of each present class's score map; its square root in the form vgg16."""
        positive = network(batch.images).clamp(min=0)
        if network.form == "vgg16":
            positive = positive.sqrt()
        return only_present(positive, batch.labels)


class PsaNetwork(nn.Module):
    """(B, 3, H, W) -> class score maps (B, C, h, w).

    The classifier has no bias. Where the profile starts one, it is added to the image's scores,
    not to the maps: those keep to the release.
    """

    def __init__(self, backbone: Any, num_classes: int, head: Head, options: PSA.Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.form = options.form
        if self.form == "released":
            self.form = "plain" if isinstance(backbone, ResNet38) else "vgg16"
        channels, layers = backbone.channels, []
        if self.form == "vgg16":
            wide = scaled(options.channels, head)
            layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.ReLU()]
            layers += [nn.Dropout2d(options.dropout), nn.Conv2d(wide, wide, 1), nn.ReLU()]
            channels = wide
        layers += [nn.Dropout2d(options.dropout), nn.Conv2d(channels, num_classes, 1, bias=False)]
        self.head = nn.Sequential(*layers)
        init_xavier(self.head)
        self.bias: nn.Parameter | None = None
        if head.classifier_bias:
            self.bias = nn.Parameter(torch.full((num_classes,), head.classifier_bias))

    def forward(self, images: Tensor) -> Tensor:
        """Return the score maps before pooling."""
        scores: Tensor = self.head(self.backbone(images))
        return scores

    def class_scores(self, images: Tensor) -> Tensor:
        """Return the image's class scores (B, C)."""
        scores = logits(self(images))
        return scores if self.bias is None else scores + self.bias
