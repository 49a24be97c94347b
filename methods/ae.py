"""AE: adversarial erasing, the image-level ancestor of the self-erasing methods.

Sources: the paper's procedure as later papers describe it (their comparison tables among them); no
code was released, and the constants were not read in the paper itself: a classifier is trained at
every step on images without what the earlier steps found, and the regions of all steps are merged.
Not here: its second half, prohibitive segmentation learning ("AE w/o PSL" in the tables), and its
background, which the label recipe takes from saliency maps.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.batches import MEAN_COLOUR
from benchmark.method import Batch, Fraction, Head, Method, Paper, Trainer, TrainingRecipe
from benchmark.proxy.arrays import resize_maps
from methods.nn.heads import conv_head, init_gaussian, scaled, start_classifier
from methods.nn.zones import image_label_loss, logits, max_normalise, only_present

Image = NDArray[np.uint8]


class AdversarialErasing(Method):
    """Plain CAM, several times over; each time what was found before is gone from the images."""

    paper = Paper(
        "Object Region Mining with Adversarial Erasing: A Simple Classification to Semantic "
        "Segmentation Approach",
        "CVPR 2017",
        "arXiv:1703.08448",
    )
    supervision = "I+S"
    backbone_options: ClassVar[Mapping[str, Any]] = {"output_stride": 8}

    @dataclass(frozen=True)
    class Options:
        """``steps`` classifiers; cells above ``threshold`` times a class's maximum are erased.

        ``start``: every classifier starts from the initial weights, or from its predecessor's, head
        included. The head is CAM's: ``head_convs`` 3×3 convolutions of ``channels``.
        """

        steps: Literal[1, 2, 3, 4] = 3
        threshold: Fraction = 0.2
        start: Literal["initial", "previous"] = "initial"
        head_convs: Literal[1, 2] = 1
        channels: int = 1024
        dropout: Fraction = 0.0

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """As many fully convolutional classifiers as steps."""
        return ErasingNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """Each step: CAM's schedule, so that the rows of one table differ in the method alone.

        No colour jitter, which would recolour what was erased.
        """
        return TrainingRecipe(head_rate=10.0, colour=0.0)

    def fit(self, network: Any, trainer: Trainer) -> None:
        """Train one classifier after the other; which images it sees, the earlier ones decide.

        After a kill the finished steps are loaded and the erasing, which has no chance in it, is
        done again.
        """
        classifiers = network.classifiers()
        images: Sequence[Image] = trainer.data.images
        for number, classifier in enumerate(classifiers, 1):
            if number > 1:
                images = self._erased(classifiers[: number - 1], trainer, number)
                if self.options.start == "previous":
                    classifier.load_state_dict(classifiers[number - 2].state_dict())
            trainer.run(classifier, self.losses, name=f"step{number}", images=images)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Sigmoid cross-entropy on the spatial mean, of any one classifier."""
        return {"classification": image_label_loss(network(batch.images), batch.labels)}

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """The first classifier's logits; the later ones would need the labels."""
        return logits(network(images))

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Maximum of all steps' maps, each read off the image without what came before."""
        return mined(network.classifiers(), batch, self.options.threshold)

    def _erased(
        self, classifiers: Sequence[nn.Module], trainer: Trainer, number: int
    ) -> Sequence[Image]:
        for classifier in classifiers:
            classifier.eval()
        found: list[NDArray[np.float32]] = []
        label = f"{trainer.label}: erasing for step{number}"
        with torch.no_grad(), trainer.progress.task(label, len(trainer.data.images)) as task:
            for places, batch in trainer.whole_images():
                maps = mined(classifiers, batch, self.options.threshold)
                found.extend(maps.amax(dim=1).cpu().numpy())
                task.advance(len(places))
        return ErasedImages(trainer.data.images, found, self.options.threshold)


class Classifier(nn.Module):
    """(B, 3, H, W) -> class score maps (B, C, h, w)."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return the score maps before pooling."""
        scores: Tensor = self.head(self.backbone(images))
        return scores


class ErasingNetwork(Classifier):
    """The first step's classifier, and in ``later`` the other steps'."""

    def __init__(
        self, backbone: Any, num_classes: int, head: Head, options: AdversarialErasing.Options
    ) -> None:
        super().__init__(backbone, _head(backbone.channels, num_classes, head, options))
        self.later = nn.ModuleList(
            Classifier(
                copy.deepcopy(backbone), _head(backbone.channels, num_classes, head, options)
            )
            for _ in range(options.steps - 1)
        )

    def classifiers(self) -> list[nn.Module]:
        """Return all steps' classifiers; the first shares its layers with this network."""
        return [Classifier(self.backbone, self.head), *self.later]


@dataclass(frozen=True)
class ErasedImages(Sequence[Image]):
    """Images with the mean colour where ``found`` (h, w) exceeds the threshold.

    Made when they are looked at: all of a data set's at once would take its memory again.
    """

    images: Sequence[Image]
    found: Sequence[NDArray[np.float32]]
    threshold: float

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        return erased_image(self.images[index], self.found[index], self.threshold)


def mined(classifiers: Sequence[nn.Module], batch: Batch, threshold: float) -> Tensor:
    """Return the maximum (B, C, h, w) of the classifiers' maps; absent classes are 0.

    Each map is the positive part of the scores over its maximum, read off the images (B, 3, H, W)
    without what the classifiers before it have found.
    """
    found = batch.labels[:, :, None, None] * 0
    for classifier in classifiers:
        scores = classifier(erased(batch.images, found.amax(dim=1, keepdim=True), threshold))
        found = torch.maximum(found, only_present(max_normalise(scores), batch.labels))
    return found


def erased(images: Tensor, found: Tensor, threshold: float) -> Tensor:
    """Return normalised images (B, 3, H, W) with 0 where ``found`` (B, 1, h, w) is above.

    0 is the mean colour, here ImageNet's, which is what normalisation subtracts. The map is resized
    before it is compared, bilinearly, as the training images' are.
    """
    size = images.shape[2:]
    resized = functional.interpolate(found, size, mode="bilinear", align_corners=False)
    return images.masked_fill(resized > threshold, 0.0)


def erased_image(image: Image, found: NDArray[np.float32], threshold: float) -> Image:
    """Return the image (H, W, 3) with the mean colour where ``found`` (h, w) is above."""
    region = resize_maps(found[None], (image.shape[0], image.shape[1]))[0] > threshold
    return np.where(region[..., None], np.array(MEAN_COLOUR, np.uint8), image)


def _head(
    inputs: int, num_classes: int, head: Head, options: AdversarialErasing.Options
) -> nn.Sequential:
    layers = conv_head(
        inputs,
        scaled(options.channels, head),
        num_classes,
        convs=options.head_convs,
        dropout=options.dropout,
    )
    init_gaussian(layers, head.init_gain)
    start_classifier(layers, head)
    return layers
