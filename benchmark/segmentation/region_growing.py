"""Seeded region growing of DSRG (Huang et al., CVPR 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

VOID = 255
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


def grow(
    seeds: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    image_labels: NDArray[np.bool_],
    foreground: float = 0.85,
    background: float = 0.99,
) -> NDArray[np.integer]:
    """Return the seeds (h, w) with the confident regions that they lie in.

    A cell's candidate is the most probable of the background and the image's classes; it is
    accepted above ``foreground`` or, for the background, above ``background``. A region of a class
    is an 8-connected component of its accepted cells and its seeds; all of a region that holds a
    seed of its class becomes seeds. A cell that is a seed already keeps its class (though it may
    connect others; the paper is silent).

    Args:
        seeds: Class ids, 255 where there is no seed.
        probabilities: (L, h, w), background first; DSRG takes the CRF's.
        image_labels: (L - 1,), which classes the image holds.
        foreground: Threshold of the classes.
        background: Threshold of the background.
    """
    known = np.concatenate([[0], 1 + np.flatnonzero(image_labels)])
    candidates = known[probabilities[known].argmax(axis=0)]
    thresholds = np.where(candidates == 0, background, foreground)
    accepted = probabilities[known].max(axis=0) > thresholds
    grown = seeds.copy()
    for class_id in known:
        own = seeds == class_id
        regions, _ = label(own | (accepted & (candidates == class_id)), EIGHT_NEIGHBOURS)
        grown[np.isin(regions, np.unique(regions[own])) & (seeds == VOID)] = class_id
    return grown
