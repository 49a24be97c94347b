"""GAIN: Guided Attention Inference Network.

Sources: the paper (P) and a re-implementation by others (R, alokwhitewolf); the authors released no
code. P gives no value for the mask's ω and σ and no normalisation of the map: those are R's, with
R's constant minimum and maximum. R trains on one class an image and with constant Grad-CAM weights.

P does not say how VGG-16 goes on after its last convolution, where Grad-CAM reads. Here two 3×3
convolutions stand for fc6 and fc7, and the classifier's score maps are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.method import (
    Batch,
    Fraction,
    Head,
    InferenceRecipe,
    Method,
    Paper,
    TrainingRecipe,
)
from methods.nn.grad_cam import (
    Classifier,
    erased_copies,
    erased_probability,
    grad_cam,
    read_off,
    resized,
    soft_mask,
    spread,
)
from methods.nn.heads import conv_head, init_gaussian, scaled, start_classifier
from methods.nn.pairs import Pairs, labels_on_host, mean_over_images, pairs_in
from methods.nn.zones import image_label_loss, logits

EPOCHS = 35
IMAGES = 10_582


class GAIN(Method):
    """A classifier learns attention without which it cannot tell an image's classes."""

    paper = Paper(
        "Tell Me Where to Look: Guided Attention Inference Network",
        "CVPR 2018",
        "arXiv:1802.10171",
    )
    supervision = "I+S"
    backbone_options: ClassVar[Mapping[str, Any]] = {"output_stride": 16}

    @dataclass(frozen=True)
    class Options:
        """The weight of mining (P: 1), the mask's constants (R), and P's or R's variants.

        ``classes``: mining of ``all`` an image's classes (P), or of ``one``, drawn at random (R).
        ``second_order``: gradients reach what Grad-CAM's channel weights depend on (P, attention
        "trained end-to-end"; off in R). ``head_convs`` 3×3 convolutions of ``channels`` after the
        backbone, 0 for a linear head.
        """

        alpha: Annotated[float, Field(ge=0)] = 1.0
        omega: Annotated[float, Field(gt=0)] = 8.0
        sigma: Fraction = 0.5
        classes: Literal["all", "one"] = "all"
        second_order: bool = True
        head_convs: Literal[0, 1, 2] = 2
        channels: int = 1024

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """One classifier, which serves both streams."""
        convs = self.options.head_convs
        channels = scaled(self.options.channels, head) if convs else backbone.channels
        layers = conv_head(backbone.channels, channels, num_classes, convs=convs)
        init_gaussian(layers, head.init_gain)
        start_classifier(layers, head)
        return Classifier(backbone, layers)

    def training(self) -> TrainingRecipe:
        """P's batch, constant rate and 35 epochs; momentum, decay and views are SeeNet's."""
        return TrainingRecipe(
            iterations=EPOCHS * IMAGES, batch_size=1, learning_rate=1e-5, drops=(), bias_rate=1.0
        )

    def inference(self) -> InferenceRecipe:
        """One scale, no mirror image: P speaks of neither."""
        return InferenceRecipe(flip=False)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """P: L_self = L_cl + α L_am.

        L_am is the mean over an image's classes of the probability of each in the image without its
        attention; here also the mean over images, which P takes one at a time.
        """
        options = self.options
        features, scores = network.features_and_scores(batch.images)
        losses = {"classification": image_label_loss(scores, batch.labels)}
        if options.alpha:
            labels = labels_on_host(batch)
            mined = labels if options.classes == "all" else one_class_each(labels)
            pairs = pairs_in(mined, batch.labels.device)
            maps = grad_cam(features, scores, pairs, second_order=options.second_order)
            losses["mining"] = options.alpha * self.mining_loss(network, maps, batch.images, pairs)
        return losses

    def mining_loss(
        self, network: Classifier, maps: Tensor, images: Tensor, pairs: Pairs
    ) -> Tensor:
        """Return L_am of the maps (P, h, w) of the pairs that are mined."""
        attention = spread(resized(maps, images.shape[2:]), constant_extremes=True)
        mask = soft_mask(attention, self.options.omega, self.options.sigma)
        probability = erased_probability(network(erased_copies(images, mask, pairs)), pairs)
        return mean_over_images(probability, pairs)

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """The first stream's logits."""
        return logits(network(images))

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Grad-CAM of each present class, spread over [0, 1]."""
        return read_off(network, batch, grad_cam)


def one_class_each(labels: Tensor) -> Tensor:
    """Return labels (B, C) with one of each image's classes, drawn at random; none of none.

    On the host, as the labels are: the same draw whatever the network is trained on.
    """
    draw = (torch.rand(labels.shape, device=labels.device) + 1) * labels
    return torch.zeros_like(labels).scatter(1, draw.argmax(dim=1, keepdim=True), 1.0) * labels
