"""Losses of segmentation networks that learn from a few labelled cells and from image labels.

SEC is Kolesnikov and Lampert, "Seed, Expand and Constrain", ECCV 2016; DSRG is Huang et al.,
CVPR 2018; SGAN is Yao and Gong, IEEE Access 2020 (arXiv:1910.05475), whose Eqs. 8 and 9 are DSRG's
two losses. Each is a mean over the images of the batch.

Shapes: probabilities (B, L, h, w), background first, above 0 everywhere (``floored_softmax``);
labels (B, h, w), 255 where there is no seed; image labels (B, L - 1), 0 or 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

VOID = 255
PROBABILITY_FLOOR = 1e-4
"""Added to (SEC's softmax layer) or the least of (its CRF layer) a cell's probabilities."""
COUNT_FLOOR = 1e-4
"""The least number of seeds to divide by (DSRG's released code)."""


def floored_softmax(scores: Tensor) -> Tensor:
    """Return the softmax over dimension 1 plus 1e-4, scaled to sum to 1 again (SEC)."""
    raised = functional.softmax(scores, dim=1) + PROBABILITY_FLOOR
    return raised / raised.sum(dim=1, keepdim=True)


def seed_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """SEC's L_seed: the mean of -log p over all seeds of an image; 0 for one without seeds."""
    return -_mean_log(probabilities, labels, labels != VOID).mean()


def balanced_seed_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """DSRG's, SGAN's Eq. 8: the mean over foreground seeds plus that over background seeds."""
    foreground = _mean_log(probabilities, labels, (labels != VOID) & (labels != 0))
    return -(foreground + _mean_log(probabilities, labels, labels == 0)).mean()


def _mean_log(probabilities: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean log probability of the ``chosen`` cells' labels, (B,); 0 without any."""
    ids = torch.where(chosen, labels, 0)
    logs = probabilities.gather(1, ids[:, None])[:, 0].log()
    return (logs * chosen).sum(dim=(1, 2)) / chosen.sum(dim=(1, 2)).clamp(min=COUNT_FLOOR)


def expand_loss(
    probabilities: Tensor,
    image_labels: Tensor,
    foreground_decay: float = 0.996,
    background_decay: float = 0.999,
) -> Tensor:
    """SEC's L_expand: -log G of the present classes, -log(1 - max) of the absent, -log G_bg.

    G is the global weighted rank pooling with the decay named. The first two are means over the
    classes concerned, 0 where there is none; the background always counts as present. The decays
    are SEC's for 41x41 cells.
    """
    cells = probabilities.flatten(2)
    present = image_labels.bool()
    pooled = rank_pooled(cells[:, 1:], foreground_decay).log()
    absent = (1 - cells[:, 1:].amax(dim=2)).log()
    background = rank_pooled(cells[:, 0], background_decay).log()
    return -(_class_mean(pooled, present) + _class_mean(absent, ~present) + background).mean()


def rank_pooled(values: Tensor, decay: float) -> Tensor:
    """Global weighted rank pooling (SEC's G): (..., N) -> (...).

    The mean of the values with weights decay ** (rank - 1), the highest value having rank 1.
    """
    ranks = torch.arange(values.shape[-1], device=values.device, dtype=values.dtype)
    weights = decay**ranks
    ordered = values.sort(dim=-1, descending=True).values
    return (ordered * weights).sum(dim=-1) / weights.sum()


def _class_mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Return each image's mean (B,) of the ``chosen`` of its C values; 0 without any."""
    return (values * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1)


def constrain_loss(
    probabilities: Tensor, refined: Tensor, ratio_range: tuple[float, float] | None = None
) -> Tensor:
    """SEC's L_constrain, SGAN's boundary loss (Eq. 9): the mean of KL(refined || p) over the cells.

    ``refined`` (B, L, h, w), what the CRF made of the probabilities, above 0, is a constant.
    ``ratio_range`` bounds refined / probabilities, [0.05, 20] in DSRG's and SGAN's released code;
    beyond it there is no gradient.
    """
    target = refined.detach()
    ratio = target / probabilities
    if ratio_range is not None:
        ratio = ratio.clamp(*ratio_range)
    return (target * ratio.log()).sum(dim=1).mean()
