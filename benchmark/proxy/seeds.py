"""Sparse labels: pixels that a map or the lack of saliency makes certain, and void for the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.proxy.arrays import VOID, Floats, Labels, checked, paint, required


def seeds(
    maps: Floats,
    classes: NDArray[np.integer],
    saliency: Floats | None,
    foreground: float = 0.2,
    background: float = 0.06,
    rank_background: float = 1,
    boat: float = 4,
    train: float = 19,
) -> Labels:
    """Return each class where its map is above ``foreground`` times its maximum; void elsewhere.

    Background is where the saliency is below ``background``. arXiv:1910.05475, Sec. III-A5; its
    released code has 0.25 for the foreground. The rest is the released code's, the paper not
    saying what becomes of a pixel with several seeds: the region of the smallest area wins, the
    background's counted among them (where ``rank_background`` is 0 it loses to every class); over
    the classes of the ids ``boat`` and ``train`` (VOC's; 0 for no such class) the background
    always wins. Areas are counted here in the image's pixels, there in the network's cells. Of
    equal areas the lower id wins.
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
    labels[regions[0] & np.isin(labels, [boat, train])] = 0
    return labels
