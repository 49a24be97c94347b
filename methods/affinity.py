"""AffinityNet: affinities of neighbouring cells, and a random walk of the maps over them.

Source: the authors' PyTorch release (jiwoon-ahn/psa) for every constant; the paper's own
TensorFlow code is not public. What differs here:

- the labels of pixels are decided before, not after, the mean over a cell's pixels;
- pairs are all those inside the grid; the release leaves out some at its sides and bottom;
- the image is resized to whole cells; the release pads it;
- the three levels of features are what the backbone gives (on VGG-16 blocks 3, 4 and 5; the
  release takes blocks 4, 5 and its fc6, which other methods' networks do not have).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.crf import WIDE_CRF, WideCrf, dense_crf
from benchmark.device import full_precision
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Fraction, Head, Paper, TrainingRecipe
from benchmark.proxy import resize_maps
from benchmark.refinement import Refinement
from methods.nn.affinity import (
    affinities,
    affinity_loss,
    cell_labels,
    cell_means,
    pair_ends,
    random_walk,
)
from methods.nn.heads import scaled

LEVEL_CHANNELS = (64, 128, 256)
BASE = 128
"""Two labels a pixel travel as one number: the first times BASE plus the second."""
EPOCHS, BATCH, TRAINING_IMAGES = 8, 8, 10_582


class AffinityNet(Refinement):
    """Learns which neighbouring cells belong together; spreads the maps among these."""

    paper = Paper(
        "Learning Pixel-Level Semantic Affinity with Image-Level Supervision for "
        "Weakly Supervised Semantic Segmentation",
        "CVPR 2018",
        "arXiv:1803.10464",
    )
    reading_options: ClassVar[tuple[str, ...]] = ("walk_alpha", "beta", "doublings")

    @dataclass(frozen=True)
    class Options:
        """The paper's and the release's constants.

        The background score is (1 - highest map) to a power: ``object_alpha`` where classes are
        to be trusted, ``background_alpha`` where the background is (32 in the release, 24 in the
        CVPR submission), ``walk_alpha`` for the random walk.
        ``radius`` in cells; ``beta`` the affinities' power; 2^``doublings`` steps of the walk;
        ``momentum``: none in effect, as in the classifier's training. ``crf``: changed constants of
        the release's CRF.
        """

        radius: int = 5
        object_alpha: float = 4.0
        background_alpha: float = 32.0
        walk_alpha: float = 16.0
        beta: float = 8.0
        doublings: int = 8
        momentum: Fraction = 5e-4
        crf: WideCrf = WIDE_CRF

    def network(self, backbone: Any, head: Head) -> nn.Module:
        """Backbone and four 1×1 convolutions without bias."""
        return AffinityNetwork(backbone, head)

    def training(self) -> TrainingRecipe:
        """8 epochs of 10,582 images; the last, incomplete batch of each is left out.

        The release crops images as they are; VOC's are 500 pixels long, with few exceptions.
        """
        return TrainingRecipe(
            iterations=EPOCHS * (TRAINING_IMAGES // BATCH),
            batch_size=BATCH,
            learning_rate=0.1,
            schedule="poly",
            momentum=self.options.momentum,
            weight_decay=5e-4,
            head_rate=10.0,
            view="longer_side",
            side=(500, 500),
            crop=448,
            colour=0.3,
        )

    def targets(
        self, image: NDArray[np.uint8], maps: NDArray[np.floating], classes: NDArray[np.int64]
    ) -> NDArray[np.int16]:
        """Both labels of each pixel after the CRF, as one number (see ``BASE``)."""
        if max(classes, default=0) >= BASE:
            raise BenchmarkError(f"affinities are made for fewer than {BASE} classes")
        height, width = image.shape[:2]
        scores = _over_maximum(resize_maps(maps, (height, width)))
        ids = np.concatenate([[0], classes])
        labels = [
            ids[self._crf_scores(image, scores, alpha).argmax(axis=0)]
            for alpha in (self.options.object_alpha, self.options.background_alpha)
        ]
        return (labels[0] * BASE + labels[1]).astype(np.int16)

    def _crf_scores(
        self, image: NDArray[np.uint8], scores: NDArray[np.float32], alpha: float
    ) -> NDArray[np.float32]:
        background = (1 - scores.max(axis=0, initial=0.0)) ** alpha
        unary = np.concatenate([background[None], scores])
        return unary if len(unary) == 1 else dense_crf(image, unary, self.options.crf)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the affinities of three kinds of pairs."""
        assert batch.seeds is not None
        features = full_precision(network(batch.images))
        height, width = features.shape[2:]
        sure_object, sure_background = parted(batch.seeds)
        num_labels = 1 + batch.labels.shape[1]
        labels = cell_labels(sure_object, sure_background, (height, width), num_labels)
        first, second = pair_ends(labels, self.options.radius)
        found = affinities(features, self.options.radius)
        return {"affinity": affinity_loss(found, first, second)}

    def refine(self, network: Any, image: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Background (1 - highest map) ^ 16, mean over cells, random walk."""
        options = self.options
        features = network(image)
        highest = maps.amax(dim=(1, 2), keepdim=True)
        scores = maps / torch.where(highest > 0, highest, 1.0)
        top = torch.cat([torch.zeros_like(image[0, :1]), scores]).amax(dim=0, keepdim=True)
        stacked = torch.cat([(1 - top) ** options.walk_alpha, scores])
        cells = functional.adaptive_avg_pool2d(stacked, features.shape[2:])
        walked = random_walk(
            cells,
            affinities(features, options.radius)[0],
            options.radius,
            options.beta,
            options.doublings,
        ).clamp(0, 1)
        return walked[1:], walked[0]


def parted(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two labels that ``targets`` made one number of; -1 stays in both."""
    outside = codes < 0
    return (
        torch.where(outside, -1, codes // BASE),
        torch.where(outside, -1, codes % BASE),
    )


def _over_maximum(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    highest = maps.max(axis=(1, 2), keepdims=True, initial=0.0)
    return np.asarray(maps / np.where(highest > 0, highest, 1), np.float32)


class AffinityNetwork(nn.Module):
    """(B, 3, H, W) -> features (B, D, h, w) whose differences are the affinities; D 448."""

    def __init__(self, backbone: Any, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        widths = [scaled(channels, head) for channels in LEVEL_CHANNELS]
        levels = [
            nn.Conv2d(channels, width, 1, bias=False)
            for channels, width in zip(backbone.level_channels, widths, strict=True)
        ]
        for level in levels:
            nn.init.kaiming_normal_(level.weight)
        self.levels = nn.ModuleList(levels)
        self.mixed = nn.Conv2d(sum(widths), sum(widths), 1, bias=False)
        nn.init.xavier_uniform_(self.mixed.weight, gain=4)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features; finer levels are averaged to the last one's cells."""
        found = self.backbone.levels(images)
        size = found[-1].shape[2:]
        parts = [
            functional.elu(layer(cell_means(level, size)))
            for layer, level in zip(self.levels, found, strict=True)
        ]
        return functional.elu(self.mixed(torch.cat(parts, dim=1)))
