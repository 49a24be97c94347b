"""Labels from attention alone: a constant background score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.proxy.arrays import Floats, Labels, argmax, checked


def background_threshold(
    maps: Floats,
    classes: NDArray[np.integer],
    saliency: Floats | None = None,
    threshold: float = 0.3,
) -> Labels:
    """Return the argmax of a constant background score and each map over its maximum.

    Needs no saliency, and looks at none. A map that is 0 everywhere wins nowhere.
    """
    return next(background_thresholds(maps, classes, (threshold,)))


def background_thresholds(
    maps: Floats, classes: NDArray[np.integer], thresholds: Sequence[float]
) -> Iterator[Labels]:
    """Yield the labels of ``background_threshold`` at each threshold, the maps compared once."""
    if not all(threshold >= 0 for threshold in thresholds):
        raise ValueError(f"a threshold must not be negative: {list(thresholds)}")
    maps, ids, _ = checked(maps, classes, None)
    highest = maps.max(axis=(1, 2), keepdims=True, initial=0.0)
    scores = maps / np.where(highest > 0, highest, 1.0)
    foreground = argmax(np.zeros(maps.shape[1:]), scores, ids)
    best = scores.max(axis=0, initial=0.0)
    for threshold in thresholds:
        yield np.where(best > threshold, foreground, np.uint8(0))
