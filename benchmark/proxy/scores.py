"""Labels from maps that come with a background of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.proxy.arrays import Floats, Labels, argmax, checked

CRF_CONSTANTS = (
    "iterations",
    "gaussian_weight",
    "gaussian_sd",
    "bilateral_weight",
    "bilateral_sd_xy",
    "bilateral_sd_rgb",
)


def argmax_background(
    maps: Floats, classes: NDArray[np.integer], background: Floats | None
) -> Labels:
    """Return the argmax of the background map and the maps, as they are."""
    maps, ids, scores = checked(maps, classes, _required(background, "argmax_background"))
    return argmax(scores, maps, ids)


def argmax_background_crf(
    maps: Floats,
    classes: NDArray[np.integer],
    background: Floats | None,
    image: NDArray[np.uint8],
    *,
    iterations: float = 10,
    gaussian_weight: float = 3.0,
    gaussian_sd: float = 3.0,
    bilateral_weight: float = 10.0,
    bilateral_sd_xy: float = 80.0,
    bilateral_sd_rgb: float = 13.0,
) -> Labels:
    """Return the argmax after a DenseCRF whose unaries are the scores, as they are.

    The defaults are the CRF constants of the release of arXiv:1803.10464 (jiwoon-ahn/psa), whose
    author says that its labels must pass a CRF before they train a segmentation (issue 10).
    """
    from benchmark.crf import CrfOptions, dense_crf

    maps, ids, scores = checked(maps, classes, _required(background, "argmax_background_crf"))
    if not len(ids):
        return argmax(scores, maps, ids)
    options = CrfOptions(
        iterations=int(iterations),
        gaussian_weight=gaussian_weight,
        gaussian_sd=gaussian_sd,
        bilateral_weight=bilateral_weight,
        bilateral_sd_xy=bilateral_sd_xy,
        bilateral_sd_rgb=bilateral_sd_rgb,
    )
    unary = np.concatenate([scores[None], maps]).astype(np.float32)
    marginals = dense_crf(image, unary, options)
    return argmax(marginals[0], marginals[1:], ids)


def _required(background: Floats | None, recipe: str) -> Floats:
    if background is None:
        raise BenchmarkError(
            f"label recipe {recipe} needs background maps: choose a method or a refinement that "
            "has them, or background_threshold"
        )
    return background
