"""Sparse labels: pixels that a map or the lack of saliency makes certain, and void for the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.proxy.arrays import VOID, Floats, Labels, checked, paint, required

BACKGROUND_WINS = ("boat", "train")
"""Classes over which the background always wins, where ``boat_and_train`` asks for it."""


def seeds(
    maps: Floats,
    classes: NDArray[np.integer],
    saliency: Floats | None,
    names: Sequence[str] = (),
    *,
    foreground: float = 0.2,
    background: float = 0.06,
    rank_background: float = 1,
    boat_and_train: float = 0,
) -> Labels:
    """Return each class where its map is above ``foreground`` times its maximum; void elsewhere.

    Background is where the saliency is below ``background``. arXiv:1910.05475, Sec. III-A5; its
    released code has 0.25 for the foreground. The rest is the released code's, the paper not
    saying what becomes of a pixel with several seeds: the region of the smallest area wins, the
    background's counted among them (where ``rank_background`` is 0 it loses to every class).
    Areas are counted here in the image's pixels, there in the network's cells. Of equal areas the
    lower id wins. Where ``boat_and_train`` is not 0, the background wins over these two classes
    (that code's rule, no other paper's), which are found by their ``names``, id 1 first.
    """
    if not (foreground >= 0 and background >= 0):
        raise ValueError(f"a threshold must not be negative: {foreground}, {background}")
    maps, ids, sal = checked(maps, classes, required(saliency, "seeds"))
    highest = maps.max(axis=(1, 2), keepdims=True, initial=0.0)
    regions = np.concatenate([sal[None] < background, maps > foreground * highest])
    values = np.concatenate([[0], ids])
    areas = regions.sum(axis=(1, 2))
    if not rank_background:
        areas[0] = sal.size + 1
    labels = np.full(sal.shape, VOID, np.uint8)
    paint(labels, regions, values, areas)
    if boat_and_train:
        yielding = [names.index(name) + 1 for name in BACKGROUND_WINS if name in names]
        labels[regions[0] & np.isin(labels, yielding)] = 0
    return labels
