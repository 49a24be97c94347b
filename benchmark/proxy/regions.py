"""Labels from the regions where each class's map is high; DenseCRF may complete them.

Source: Sec. III-C of arXiv:1803.02563. Maps arrive at the image's size: regions are cut there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.crf import CrfOptions, Probabilities, dense_crf
from benchmark.errors import BenchmarkError
from benchmark.proxy.arrays import VOID, Floats, Labels, checked, min_max


@dataclass(frozen=True)
class RefinementRules:
    """Constants of ``refined_regions``.

    The paper names the first two. It gives 0.5 < tau < 1 without a value, and no constant of the
    CRF: these are the ones that the released code of arXiv:1803.10464 (PSA) makes its labels with.

    Attributes:
        foreground_above: a class's region is where its min-max normalised map is above it.
        background_below: background is where 1 minus the background map is below it.
        tau: probability of a labelled pixel's own label (Eq. 13).
        iterations: mean-field steps; a whole number.
        gaussian_weight: as in ``CrfOptions``, like the rest.
        gaussian_sd: in pixels.
        bilateral_weight: of the kernel on position and colour.
        bilateral_sd_xy: in pixels.
        bilateral_sd_rgb: in grey levels of 0..255.
    """

    foreground_above: float = 0.2
    background_below: float = 0.3
    tau: float = 0.9
    iterations: float = 10
    gaussian_weight: float = 3.0
    gaussian_sd: float = 3.0
    bilateral_weight: float = 10.0
    bilateral_sd_xy: float = 80.0
    bilateral_sd_rgb: float = 13.0

    def crf(self) -> CrfOptions:
        """Return what the CRF takes of these."""
        return CrfOptions(
            int(self.iterations),
            self.gaussian_weight,
            self.gaussian_sd,
            self.bilateral_weight,
            self.bilateral_sd_xy,
            self.bilateral_sd_rgb,
        )


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
    sizes = regions.sum(axis=(1, 2))
    for place in np.lexsort((-ids, -sizes)):
        labels[regions[place]] = ids[place]
    return labels


def refined_regions(
    maps: Floats,
    classes: NDArray[np.integer],
    *,
    background: Floats,
    image: NDArray[np.uint8],
    **constants: float,
) -> Labels:
    """Return the most likely label of every pixel after DenseCRF on ``smallest_region``.

    Constants are those of ``RefinementRules``; BenchmarkError where tau leaves [0.5, 1]. No pixel
    is void, unless all were: then there is nothing to go by. Of equal marginals the lower id wins.
    """
    rules = RefinementRules(**constants)
    if not 0.5 <= rules.tau <= 1:
        raise BenchmarkError(f"label recipe refined_regions: tau {rules.tau} is not in 0.5 to 1")
    labels = smallest_region(
        maps,
        classes,
        background=background,
        foreground_above=rules.foreground_above,
        background_below=rules.background_below,
    )
    if (labels == VOID).all():
        return labels
    ids = np.concatenate([[0], np.sort(np.asarray(classes, np.int64))])
    marginals = dense_crf(image, label_probabilities(labels, ids, rules.tau), rules.crf())
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
