"""Grad-CAM and CAM of the classes that images hold, the soft mask, and the copies it erases.

Maps here are kept for the P (image, present class) pairs of a batch, see ``methods.nn.pairs``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.device import without_autocast
from benchmark.method import Batch
from methods.nn.pairs import Pairs, pairs_of, placed
from methods.nn.zones import logits

PairMaps = Callable[[Tensor, Tensor, Pairs], Tensor]


class Classifier(nn.Module):
    """A backbone and a head that scores every cell; the spatial mean of the scores are the logits.

    With a linear head this is global average pooling followed by a linear layer.
    """

    def __init__(self, backbone: Any, head: nn.Sequential) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to class score maps (B, C, h, w)."""
        scores: Tensor = self.head(self.backbone(images))
        return scores

    def features_and_scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, D, h, w) and score maps (B, C, h, w) as ``grad_cam`` needs them.

        The scores have a graph back to the features even where the caller has turned gradients off
        or nothing before the features learns.
        """
        features = self.backbone(images)
        if not features.requires_grad:
            features = features.detach().requires_grad_()
        with torch.enable_grad():
            return features, self.head(features)


def grad_cam(
    features: Tensor, score_maps: Tensor, pairs: Pairs, *, second_order: bool = False
) -> Tensor:
    """Return ReLU(Σ_d w_d · features_d) (P, h, w), w_d the mean of d logit_c / d features_d.

    Selvaraju et al., ICCV 2017, Eqs. 1 and 2. ``features`` (B, D, h, w) must require a gradient and
    lead to ``score_maps`` (B, C, h', w'), whose spatial means are the logits.

    The weights are constants for the graph, or functions of all that they depend on with
    ``second_order``. Images must not meet in the head, as they would in a batch norm that trains.
    """
    rows = torch.arange(len(features), device=features.device)
    weights = []
    with torch.enable_grad():
        scores = logits(score_maps)
        for kth in pairs.kth:
            # No image's logit depends on another one's features: differentiate them at once.
            (gradient,) = torch.autograd.grad(
                scores[rows, kth].sum(), features, retain_graph=True, create_graph=second_order
            )
            weights.append(gradient.mean(dim=(2, 3)))
    maps = _weighted_sum(features, torch.stack(weights))
    return functional.relu(maps)[pairs.ranks, pairs.images]


def cam(features: Tensor, classifier: Tensor, pairs: Pairs) -> Tensor:
    """Return Σ_d w_cd · features_d (P, h, w), any sign, of a linear head with weights (C, D).

    Zhou et al., CVPR 2016, Eq. 2. Gradients reach the weights too.
    """
    weights = classifier[:, None].expand(-1, len(features), -1)
    return _weighted_sum(features, weights)[pairs.classes, pairs.images]


def resized(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize (P, h, w) to (P, H, W), bilinear with half-pixel centres."""
    return functional.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def spread(maps: Tensor, *, constant_extremes: bool = False) -> Tensor:
    """Subtract each (h, w) map's minimum, then divide by its maximum; a constant map becomes 0.

    ``constant_extremes`` keeps minimum and maximum out of the graph. No ε: Grad-CAM's weights
    carry the factor 1 / (h · w), so that maps may be very small.
    """
    low = maps.amin(dim=(1, 2), keepdim=True)
    shifted = maps - (low.detach() if constant_extremes else low)
    high = shifted.amax(dim=(1, 2), keepdim=True)
    divisor = torch.where(high > 0, high, 1.0)
    return shifted / (divisor.detach() if constant_extremes else divisor)


def soft_mask(attention: Tensor, omega: float, sigma: float) -> Tensor:
    """Return sigmoid(ω · (A - σ)), near 1 where the attention is above σ (GAIN's T(A))."""
    return torch.sigmoid(omega * (attention - sigma))


def erased_copies(images: Tensor, mask: Tensor, pairs: Pairs) -> Tensor:
    """Return one copy (P, 3, H, W) a pair, each of its image times 1 - its mask (P, H, W).

    Normalised images are 0 at the mean colour: what is erased takes that colour.
    """
    return images[pairs.images] * (1 - mask[:, None])


def erased_probability(score_maps: Tensor, pairs: Pairs) -> Tensor:
    """Return each copy's probability (P,) of the class that it lacks, from scores (P, C, h, w)."""
    scores = logits(score_maps).gather(1, pairs.classes[:, None])[:, 0]
    return torch.sigmoid(scores.to(_precision(scores)))


def read_off(network: Classifier, batch: Batch, pair_maps: PairMaps) -> Tensor:
    """Return the maps (B, C, h, w) of a batch, each spread over [0, 1], without a gradient.

    ``pair_maps`` makes (P, h, w) of features, score maps and pairs, as ``grad_cam`` does.
    """
    features, scores = network.features_and_scores(batch.images)
    pairs = pairs_of(batch)
    return placed(spread(pair_maps(features, scores, pairs).detach()), pairs)


def _weighted_sum(features: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_d weights (K, B, D) · features (B, D, h, w) as (K, B, h, w).

    In full precision: a steep mask on bfloat16 maps would have a few grey levels.
    """
    precision = _precision(features)
    with without_autocast(features.device):
        return torch.einsum("kbd,bdhw->kbhw", weights.to(precision), features.to(precision))


def _precision(tensor: Tensor) -> torch.dtype:
    """Return float32, or float64 where the tensor has it."""
    return torch.promote_types(tensor.dtype, torch.float32)
