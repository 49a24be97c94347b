"""Sparse labels: the strongest places of each class, the least salient ones as background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.proxy.arrays import VOID, Floats, Labels, checked, paint


def localisation_cues(
    maps: Floats,
    classes: NDArray[np.integer],
    background: Floats,
    foreground: float = 0.2,
    background_share: float = 0.1,
) -> Labels:
    """Return the localisation cues of arXiv:1603.06098 (and of its released files).

    A class where its map is above ``foreground`` times the map's maximum; where classes meet, the
    one of the smaller region (of equal ones the lower id). Background on the ``background_share``
    of the pixels that look most like it, ties included, unless a class is there; nowhere where
    the background map is constant. The rest is void.

    The released cues are cut on the 41x41 cells; these at the size of the maps given.
    """
    if not (foreground >= 0 and 0 <= background_share <= 1):
        raise ValueError(
            f"foreground {foreground} must not be negative, background_share {background_share} "
            "must lie in [0, 1]"
        )
    maps, ids, background = checked(maps, classes, background)
    labels = np.full(background.shape, VOID, dtype=np.uint8)
    if background_share > 0 and background.min() < background.max():
        labels[background >= _highest(background, background_share)] = 0
    regions = maps > foreground * maps.max(axis=(1, 2), keepdims=True, initial=0.0)
    paint(labels, regions, ids)
    return labels


def _highest(values: Floats, share: float) -> float:
    """Return the least of the ``share`` of highest values, at least one value."""
    count = max(1, int(share * values.size))
    return float(np.partition(values.ravel(), -count)[-count])
