"""Labels from the regions where each class's map is high; DenseCRF may complete them.

Source: Sec. III-C of arXiv:1803.02563. Maps arrive at the image's size: regions are cut there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.crf import Probabilities, dense_crf, wide_crf
from benchmark.errors import BenchmarkError
from benchmark.proxy.arrays import VOID, Floats, Labels, checked, min_max, paint


def smallest_region(
    maps: Floats,
    classes: NDArray[np.integer],
    *,
    background: Floats,
    foreground_above: float = 0.2,
    background_below: float = 0.3,
) -> Labels:
    """Return each class's region, the smallest one on top; else background; else void.

    ``background`` (H, W) in [0, 1] is 1 minus the normalised channel sum that the paper thresholds.
    The size of a region counts its pixels before any conflict; of equal ones the lower id wins.
    Both thresholds are strict. A constant map has no region.
    """
    maps, ids, _ = checked(maps, classes, None)
    labels = np.where(1 - _checked(background, maps) < background_below, 0, VOID).astype(np.uint8)
    regions = min_max(maps) > foreground_above
    paint(labels, regions, ids)
    return labels


def refined_regions(
    maps: Floats,
    classes: NDArray[np.integer],
    *,
    background: Floats,
    image: NDArray[np.uint8],
    foreground_above: float = 0.2,
    background_below: float = 0.3,
    tau: float = 0.9,
    **crf: float,
) -> Labels:
    """Return the most likely label of every pixel after DenseCRF on ``smallest_region``.

    ``tau`` is the probability of a labelled pixel's own label (Eq. 13): the paper gives 0.5 < tau
    < 1 without a value; BenchmarkError outside [0.5, 1]. It names no constant of the CRF: ``crf``
    changes those of ``WIDE_CRF``. No pixel is void, unless all were: then there is nothing to go
    by. Of equal marginals the lower id wins.
    """
    if not 0.5 <= tau <= 1:
        raise BenchmarkError(f"label recipe refined_regions: tau {tau} is not in 0.5 to 1")
    options = wide_crf(**crf)
    labels = smallest_region(
        maps,
        classes,
        background=background,
        foreground_above=foreground_above,
        background_below=background_below,
    )
    if (labels == VOID).all():
        return labels
    ids = np.concatenate([[0], np.sort(np.asarray(classes, np.int64))])
    marginals = dense_crf(image, label_probabilities(labels, ids, tau), options)
    return ids.astype(np.uint8)[marginals.argmax(axis=0)]


def label_probabilities(labels: Labels, ids: NDArray[np.int64], tau: float) -> Probabilities:
    """Return Eqs. 12 and 13: labels (H, W) -> float32 (L, H, W), summing to 1 over ``ids`` (L,).

    ``ids`` is the paper's C_I with the background in it, so that there are two labels or more:
    without it Eq. 13 would divide by 0 in an image of one class. A lone label gets tau.
    """
    own = labels[None] == ids[:, None, None]
    others = (1 - tau) / max(len(ids) - 1, 1)
    known = np.where(own, tau, others)
    return np.where(labels == VOID, 1 / len(ids), known).astype(np.float32)


def _checked(background: Floats, maps: Floats) -> Floats:
    background = np.asarray(background, dtype=np.float64)
    if background.shape != maps.shape[1:]:
        raise ValueError(f"maps {maps.shape} and background {background.shape} differ")
    # Written so that nan fails as well.
    if not ((background >= 0) & (background <= 1)).all():
        raise ValueError("the background leaves [0, 1]")
    return background
