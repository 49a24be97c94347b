"""SGAN: Saliency Guided Self-attention Network.

Sources: the paper (P, arXiv v1) and the released code (R). P leaves open what R settles, and P's
Eq. 3 as printed may divide by 0; so the defaults of the attention (key width, scaling, shift of
the rows, average over non-salient cells, border ring), of the branches, of the seed loss's mean
and of the maps that are read are R's. Each is an option. The schedule and the weights are P's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.device import full_precision, without_autocast
from benchmark.errors import BenchmarkError
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
from methods.nn.heads import scaled, start_classifier
from methods.nn.self_attention import (
    NonSalient,
    Normalisation,
    context_attention,
    gathered,
    salient_cells,
    similarities,
)
from methods.nn.zones import image_label_loss, logits, max_normalise, only_present

UNLABELLED = -1


class SGAN(Method):
    """Self-attention spreads the evidence within salient regions; CAM seeds keep classes apart."""

    paper = Paper(
        "Saliency Guided Self-attention Network for Weakly-supervised Semantic Segmentation",
        "arXiv 2019",
        "arXiv:1910.05475v1",
    )
    supervision = "I+S"
    backbone_options: ClassVar[Mapping[str, Any]] = {
        "output_stride": 8,
        "pool_kernel": 3,
        "pool4": False,
    }

    @dataclass(frozen=True)
    class Options:
        """Defaults as the module says.

        ``variant``: the rows of P Table II. SGAN-SEED has no segmentation branch and no seed loss
        (nor has SGAN where ``seed_weight``, P's λ, is 0: P Table III), SGAN-SAL-SEED attends over
        all positions besides, Baseline has no attention either.
        ``key_channels``: of keys and queries; 512, the features' own, in P.
        ``normalisation`` of a row of similarities: ``row_sum`` is P Eq. 3, ``shifted`` R's,
        ``softmax`` in R but unused. All see R's similarities, P's times key_channels^-1/2: a
        factor that cancels in Eq. 3.
        ``non_salient``: non-salient cells attend to each other alike (``average``, R), by
        ``similarity`` (P Eq. 2) or to ``none``.
        ``salient``: threshold on the saliency (R; P names none here, and this as β for background
        seeds). ``ring``: whether the outermost cells count as non-salient (R).
        ``channels`` and ``dropout`` (of whole channels) of the classification branch: R.
        ``initial_seed``: share of a class's maximum above which the CAM of the classifier trained
        first gives a seed. ``seed_mean``: over all labelled cells of the ``batch`` (R), or over
        those of each ``image`` and then over the images (P Eq. 5; without a cell an image's is 0).
        ``maps``: ``sum`` of CAM and segmentation logits (R), or the ``cam`` alone.
        ``schedule``: P divides the rate by 10 every 2,000 iterations, R decays it polynomially.
        """

        variant: Literal["SGAN", "SGAN-SEED", "SGAN-SAL-SEED", "Baseline"] = "SGAN"
        key_channels: int = 256
        normalisation: Normalisation = "shifted"
        non_salient: NonSalient = "average"
        salient: Fraction = 0.06
        ring: bool = True
        channels: int = 1024
        dropout: Fraction = 0.5
        initial_seed: Fraction = 0.3
        seed_weight: float = 0.15
        seed_mean: Literal["batch", "image"] = "batch"
        maps: Literal["sum", "cam"] = "sum"
        schedule: Literal["steps", "poly"] = "steps"

    @property
    def needs_saliency(self) -> bool:  # type: ignore[override]
        """Whether the variant's attention is guided by saliency."""
        return self.options.variant in ("SGAN", "SGAN-SEED")

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Backbone, attention, classification branch and segmentation branch."""
        return SganNetwork(backbone, num_classes, head, self.options)

    def training(self) -> TrainingRecipe:
        """P Sec. IV-A2; the doubled bias rate and the tenfold rate of new layers are R's."""
        return TrainingRecipe(
            iterations=8_000,
            batch_size=15,
            schedule=self.options.schedule,
            drops=(0.25, 0.5, 0.75),
            weight_decay=5e-4,
            head_rate=10.0,
            view="warp",
            crop=321,
            test_size=321,
            colour=0.0,
        )

    def inference(self) -> InferenceRecipe:
        """One view of the image (R)."""
        return InferenceRecipe(flip=False)

    def fit(self, network: Any, trainer: Trainer) -> None:
        """Train a plain classifier, take the initial seeds from its CAM, train the network.

        P Sec. III-A3. P and R leave the classifier's training open: it is the Baseline, on the
        same recipe. Without a seed loss the network alone is trained.
        """
        seeds = None
        if network.segmentation is not None:
            seeder = network.seeder()
            trainer.run(seeder, self.losses, name="seeder")
            seeds = initial_seeds(seeder, trainer, self.options.initial_seed)
        trainer.run(network, self.losses, seeds=seeds)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """P Eq. 6, and λ times Eq. 5 where there is a segmentation branch."""
        cam, segmentation = network(batch.images, batch.saliency)
        losses = {"classification": image_label_loss(cam, batch.labels)}
        if segmentation is not None:
            seeds = on_cells(batch.seeds, segmentation)
            loss = seed_loss(segmentation, seeds, self.options.seed_mean)
            losses["seed"] = self.options.seed_weight * loss
        return losses

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """Spatial mean of the CAM logits."""
        return logits(network(images, saliency)[0])

    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Positive part of CAM plus segmentation logits over its maximum; classes present only."""
        cam, segmentation = network(batch.images, batch.saliency)
        if segmentation is not None and self.options.maps == "sum":
            cam = cam + segmentation
        return only_present(max_normalise(cam), batch.labels)


class SganNetwork(nn.Module):
    """Images (B, 3, H, W) and saliency (B, H, W) -> CAM and segmentation logits (B, C, h, w)."""

    def __init__(self, backbone: Any, num_classes: int, head: Head, options: SGAN.Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_classes = num_classes
        self.head = head
        self.options = options
        self.attention = (
            None
            if options.variant == "Baseline"
            else SelfAttention(backbone.channels, scaled(options.key_channels, head), options)
        )
        self.classification = classification_branch(backbone.channels, num_classes, head, options)
        self.segmentation = (
            nn.Conv2d(backbone.channels, num_classes, 1)
            if options.variant == "SGAN" and options.seed_weight
            else None
        )

    def forward(self, images: Tensor, saliency: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the CAM logits, and the segmentation logits where there is such a branch."""
        features = self.backbone(images)
        if self.attention is not None:
            features = self.attention(features, saliency)
        segmentation = None if self.segmentation is None else self.segmentation(features)
        return self.classification(features), segmentation

    def seeder(self) -> SganNetwork:
        """Return a new Baseline on a copy of the backbone as it is now."""
        options = replace(self.options, variant="Baseline")
        backbone = copy.deepcopy(self.backbone)
        seeder = SganNetwork(backbone, self.num_classes, self.head, options)
        return seeder.to(next(self.parameters()).device)


class SelfAttention(nn.Module):
    """P Sec. III-A2: features (B, C, h, w) and saliency (B, H, W) -> E (B, C, h, w)."""

    def __init__(self, in_channels: int, channels: int, options: SGAN.Options) -> None:
        super().__init__()
        self.options = options
        self.key = nn.Conv2d(in_channels, channels, 1)
        self.query = nn.Conv2d(in_channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor, saliency: Tensor | None) -> Tensor:
        """Return E = γ D X + X (P Eq. 4)."""
        return self.gamma * gathered(features, self.context(features, saliency)) + features

    def context(self, features: Tensor, saliency: Tensor | None) -> Tensor:
        """Return the context attention map D (B, N, N)."""
        with without_autocast(features.device):
            # In bfloat16 a row's similarities of both signs may cancel in another way.
            exact = full_precision(features)
            keys = self.key(exact)
            found = similarities(keys / math.sqrt(keys.shape[1]), self.query(exact))
        return context_attention(
            found,
            self.salient(features, saliency).flatten(1),
            self.options.normalisation,
            self.options.non_salient,
        )

    def salient(self, features: Tensor, saliency: Tensor | None) -> Tensor:
        """Return the salient cells, bool (B, h, w): all without guidance (S = 1 in P Eq. 3)."""
        batch, _, height, width = features.shape
        if self.options.variant == "SGAN-SAL-SEED":
            return torch.ones(batch, height, width, dtype=torch.bool, device=features.device)
        if saliency is None:
            raise BenchmarkError(
                f"{self.options.variant} needs saliency maps: give a saliency source, or choose "
                "the variant SGAN-SAL-SEED or Baseline"
            )
        return salient_cells(saliency, (height, width), self.options.salient, self.options.ring)


def classification_branch(
    in_channels: int, num_classes: int, head: Head, options: SGAN.Options
) -> nn.Sequential:
    """Return 3×3 convolution, ReLU, drop-out of channels, 1×1 classifier (R; P is silent).

    Initial weights are PyTorch's own, as in R, so that the head's gain, which is for Gaussian
    ones, changes nothing. R's classifier has no bias; it gets one only where the profile starts
    the classifiers' biases elsewhere than at 0, since without one there is nothing to start.
    """
    channels = scaled(options.channels, head)
    layers = nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.Dropout2d(options.dropout),
        nn.Conv2d(channels, num_classes, 1, bias=head.classifier_bias != 0),
    )
    if head.classifier_bias:
        start_classifier(layers, head)
    return layers


def seed_loss(scores: Tensor, seeds: Tensor, mean: Literal["batch", "image"]) -> Tensor:
    """P Eq. 5: cross-entropy at labelled cells of the softmax over the foreground classes.

    scores (B, C, h, w); seeds (B, h, w), class indices or -1. 0 where no cell is labelled.
    """
    losses = functional.cross_entropy(scores, seeds, ignore_index=UNLABELLED, reduction="none")
    labelled = (seeds != UNLABELLED).sum(dim=(1, 2))
    if mean == "batch":
        return losses.sum() / labelled.sum().clamp(min=1)
    return (losses.sum(dim=(1, 2)) / labelled.clamp(min=1)).mean()


def on_cells(seeds: Tensor | None, scores: Tensor) -> Tensor:
    """Return the seed at the centre of each cell of ``scores``: (B, H, W) -> (B, h, w).

    All -1 where there are no seeds.
    """
    batch, _, height, width = scores.shape
    if seeds is None:
        return torch.full((batch, height, width), UNLABELLED, device=scores.device)
    return resized_seeds(seeds, (height, width))


def resized_seeds(seeds: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, H, W) to the nearest, pixel centres on pixel centres."""
    planes = functional.interpolate(seeds[:, None].float(), size, mode="nearest-exact")
    return planes[:, 0].long()


def seed_cells(cam: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Return the classes (B, h, w) whose CAM is above ``threshold`` times its maximum, else -1.

    cam (B, C, h, w); only classes of ``labels`` (B, C) count. Of several the one that is highest
    relative to its maximum is taken: P and R do not say.
    """
    highest, classes = only_present(max_normalise(cam), labels).max(dim=1)
    return torch.where(highest > threshold, classes, UNLABELLED)


@torch.no_grad()
def initial_seeds(
    seeder: SganNetwork, trainer: Trainer, threshold: float
) -> list[NDArray[np.int16]]:
    """Return the seeds (H, W) of all training images, each of its own size: classes or -1."""
    seeder.eval()
    seeds = []
    for places, batch in trainer.whole_images():
        cells = seed_cells(seeder(batch.images, None)[0], batch.labels, threshold)
        for place, one in zip(places, cells, strict=True):
            height, width = trainer.data.images[place].shape[:2]
            full = resized_seeds(one[None], (height, width))[0]
            seeds.append(full.cpu().numpy().astype(np.int16))
    return seeds


@torch.no_grad()
def context_map(
    network: SganNetwork, image: Tensor, saliency: Tensor | None, pixel: tuple[int, int]
) -> Tensor:
    """Return how much each cell (h, w) gathers from the one under ``pixel`` (P Fig. 4).

    A column of the context attention map. image (3, H, W), normalised; saliency (H, W); pixel
    (row, column) of the image. BenchmarkError outside the image and without attention.
    """
    (row, column), (height, width) = pixel, image.shape[1:]
    if network.attention is None:
        raise BenchmarkError("the Baseline has no context attention map")
    if not (0 <= row < height and 0 <= column < width):
        raise BenchmarkError(f"pixel {pixel} lies outside the image of {height} by {width}")
    features = network.backbone(image[None])
    context = network.attention.context(features, None if saliency is None else saliency[None])
    cells_high, cells_wide = features.shape[2:]
    place = row * cells_high // height * cells_wide + column * cells_wide // width
    return context[0, :, place].view(cells_high, cells_wide)
