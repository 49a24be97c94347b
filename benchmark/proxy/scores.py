"""Labels from maps that come with a background of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.crf import dense_crf, wide_crf
from benchmark.proxy.arrays import Floats, Labels, argmax, checked


def argmax_background(maps: Floats, classes: NDArray[np.integer], background: Floats) -> Labels:
    """Return the argmax of the background map and the maps, as they are."""
    maps, ids, scores = checked(maps, classes, background)
    return argmax(scores, maps, ids)


def argmax_background_crf(
    maps: Floats,
    classes: NDArray[np.integer],
    background: Floats,
    image: NDArray[np.uint8],
    **constants: float,
) -> Labels:
    """Return the argmax after a DenseCRF whose unaries are the scores, as they are.

    ``constants`` change those of ``WIDE_CRF``, the release of arXiv:1803.10464 (jiwoon-ahn/psa),
    whose author says that its labels must pass a CRF before they train a segmentation (issue 10).
    """
    options = wide_crf(**constants)
    maps, ids, scores = checked(maps, classes, background)
    if not len(ids):
        return argmax(scores, maps, ids)
    unary = np.concatenate([scores[None], maps]).astype(np.float32)
    marginals = dense_crf(image, unary, options)
    return argmax(marginals[0], marginals[1:], ids)
