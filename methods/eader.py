"""EADER: End-to-End Adversarial Erasing.

Sources: the slides (S) and the released code (C). C's values are the defaults where S has none
(``omega``, ``sigma``, ``beta``, the fill, the schedule), and also for the denominators of two
losses: S divides by the number of classes, with which ``alpha`` would mean something else.

In C both networks stay in training mode in both phases, so that batch norms see the images, or the
erased copies, whichever network learns. So they do here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
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
    Trainer,
    TrainingRecipe,
)
from methods.nn.grad_cam import (
    Classifier,
    cam,
    erased_copies,
    erased_probability,
    grad_cam,
    read_off,
    resized,
    soft_mask,
    spread,
)
from methods.nn.heads import conv_head, start_classifier
from methods.nn.pairs import Pairs, mean_over_classes, mean_over_pairs, pairs_of
from methods.nn.zones import image_label_loss, logits

EPOCHS = 10
IMAGES = 10_582
BATCH = 16

AtLeast0 = Annotated[float, Field(ge=0)]


class EADER(Method):
    """A localiser learns to erase from images all that an adversary knows their classes by."""

    paper = Paper(
        "Find it if You Can: End-to-End Adversarial Erasing for Weakly-Supervised Semantic "
        "Segmentation",
        "arXiv 2020",
        "arXiv:2011.04626",
    )
    backbone_options: ClassVar[Mapping[str, Any]] = {"output_stride": 16}
    reading_options: ClassVar[tuple[str, ...]] = ("views",)

    @dataclass(frozen=True)
    class Options:
        """Weights of the losses, the mask, and the schedule of the two networks.

        ``alpha`` weighs the attention mining loss, ``beta`` the attention's area; the mask is
        sigmoid(omega · (attention - sigma)). ``localiser_steps`` and ``adversary_steps`` take
        turns, the localiser first; with 0 adversary steps the localiser learns at every step.
        They count steps of C's own schedule: in a shorter one both are shorter in proportion, so
        that the adversary has learned before most of the localiser's turns there too.
        ``normalisation`` of mining and area: over the ``pairs`` of an image and a class it holds
        (C), or over all ``classes`` of all images (S). ``attention`` at the last feature map:
        Grad-CAM with constant weights, or CAM, not clipped at 0, whose weights learn too (C both).
        ``views`` of an image that its maps are read off: its ``own``, one (C), or those of ``psa``,
        four scales and their mirror images, summed (arXiv:1803.10464: S has EADER inside PSA, and
        does not say which).
        ``shared_weights``: one network in both roles. As in C it then learns the localiser's losses
        at every step, and never the adversary's; unlike C's, its mining loss is a probability.
        """

        alpha: AtLeast0 = 0.05
        beta: AtLeast0 = 1e-5
        omega: Annotated[float, Field(gt=0)] = 100.0
        sigma: Fraction = 0.5
        attention: Literal["grad_cam", "cam"] = "grad_cam"
        normalisation: Literal["pairs", "classes"] = "pairs"
        localiser_steps: Annotated[int, Field(ge=1)] = 200
        adversary_steps: Annotated[int, Field(ge=0)] = 200
        views: Literal["own", "psa"] = "own"
        shared_weights: bool = False

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Two classifiers with a linear head each, on the backbone and on a copy of it."""
        return EaderNetwork(backbone, num_classes, head, shared=self.options.shared_weights)

    def training(self) -> TrainingRecipe:
        """C's: one constant rate for all parameters of both networks, 10 epochs."""
        return TrainingRecipe(
            iterations=EPOCHS * -(-IMAGES // BATCH),
            batch_size=BATCH,
            learning_rate=0.01,
            drops=(),
            weight_decay=1e-4,
            bias_rate=1.0,
            view="area",
            crop=448,
            test_size=448,
            colour=0.0,
        )

    def inference(self) -> InferenceRecipe:
        """C's: one scale, no mirror image, the image's own size; or PSA's, see ``Options``."""
        if self.options.views == "psa":
            return InferenceRecipe(
                (1.0, 0.5, 1.5, 2.0), flip=True, fusion="sum", normalise="max", keep_shape=True
            )
        return InferenceRecipe(flip=False, keep_shape=True)

    def fit(self, network: Any, trainer: Trainer) -> None:
        """Train both networks in turns of their share of the schedule."""
        trainer.run(network, self.in_schedule_of(trainer.recipe.iterations).losses)

    def in_schedule_of(self, iterations: int) -> EADER:
        """Return the method with turns that are to ``iterations`` what they are to C's number."""
        share = min(1.0, iterations / self.training().iterations)
        turns = {
            name: max(1, round(share * steps)) if (steps := getattr(self.options, name)) else 0
            for name in ("localiser_steps", "adversary_steps")
        }
        return type(self)(replace(self.options, **turns))

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """The losses of the network whose turn it is; no gradient reaches the other's weights."""
        if self.trains_localiser(batch.step):
            return self.localiser_losses(network, batch)
        return {"adversary": self.adversary_loss(network, batch)}

    def trains_localiser(self, step: int) -> bool:
        """Whether ``step`` is one of the localiser's."""
        options = self.options
        turn = step % (options.localiser_steps + options.adversary_steps)
        return bool(options.shared_weights or turn < options.localiser_steps)

    def localiser_losses(self, network: EaderNetwork, batch: Batch) -> dict[str, Tensor]:
        """S: L_loc + α L_am + β L_reg, each with its weight.

        Mining is the adversary's probability of the erased class, area the mean attention.
        """
        options = self.options
        pairs = pairs_of(batch)
        features, scores = network.features_and_scores(batch.images)
        maps = self.pair_maps(network, features, scores, pairs)
        attention = spread(resized(maps, batch.images.shape[2:]))
        losses = {
            "localisation": image_label_loss(scores, batch.labels),
            "area": options.beta * self._mean(attention.mean(dim=(1, 2)), pairs),
        }
        if options.alpha:
            with constant(network.adversary):
                found = self.erased_scores(network, attention, batch.images, pairs)
            probability = erased_probability(found, pairs)
            losses["mining"] = options.alpha * self._mean(probability, pairs)
        return losses

    def adversary_loss(self, network: EaderNetwork, batch: Batch) -> Tensor:
        """C: cross-entropy on the erased copies; the erased class remains a class of the image."""
        pairs = pairs_of(batch)
        with torch.no_grad():
            features, scores = network.features_and_scores(batch.images)
            maps = self.pair_maps(network, features, scores, pairs)
            attention = spread(resized(maps, batch.images.shape[2:]))
        found = self.erased_scores(network, attention, batch.images, pairs)
        if not len(found):
            return found.sum()
        return image_label_loss(found, batch.labels[pairs.images])

    def pair_maps(
        self, network: EaderNetwork, features: Tensor, scores: Tensor, pairs: Pairs
    ) -> Tensor:
        """Return the localiser's maps (P, h, w) of the present classes."""
        if self.options.attention == "cam":
            weights = network.head[-1].get_parameter("weight")
            return cam(features, weights[:, :, 0, 0], pairs)
        return grad_cam(features, scores, pairs)

    def erased_scores(
        self, network: EaderNetwork, attention: Tensor, images: Tensor, pairs: Pairs
    ) -> Tensor:
        """Return the adversary's score maps (P, C, h, w) of copies that lack one class each."""
        mask = soft_mask(attention, self.options.omega, self.options.sigma)
        scores: Tensor = network.opponent(erased_copies(images, mask, pairs))
        return scores

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """The localiser's logits."""
        return logits(network(images))

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """The localiser's maps, each spread over [0, 1].

        C spreads after resizing to the image; recipes that divide by the resized map's maximum
        make up for most of the difference.
        """
        return read_off(network, batch, partial(self.pair_maps, network))

    def _mean(self, values: Tensor, pairs: Pairs) -> Tensor:
        """Return the mean of (P,) over the pairs, or over all classes of all images."""
        if self.options.normalisation == "pairs":
            return mean_over_pairs(values)
        return mean_over_classes(values, pairs)


class EaderNetwork(Classifier):
    """The localiser, which holds the adversary as ``adversary``, or None with shared weights."""

    def __init__(self, backbone: Any, num_classes: int, head: Head, *, shared: bool) -> None:
        super().__init__(backbone, linear_head(backbone.channels, num_classes, head))
        self.adversary: Classifier | None = None
        if not shared:
            own_head = linear_head(backbone.channels, num_classes, head)
            self.adversary = Classifier(copy.deepcopy(backbone), own_head)

    @property
    def opponent(self) -> Classifier:
        """The network that sees erased copies."""
        return self if self.adversary is None else self.adversary


def linear_head(channels: int, num_classes: int, head: Head) -> nn.Sequential:
    """Return PyTorch's own initial linear layer of every cell, its bias where the profile says."""
    layers = conv_head(channels, channels, num_classes, convs=0)
    start_classifier(layers, head)
    return layers


@contextmanager
def constant(module: nn.Module | None) -> Iterator[None]:
    """Keep the parameters of ``module`` out of what is computed inside; gradients pass through."""
    parameters = [] if module is None else list(module.parameters())
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
