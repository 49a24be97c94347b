"""Labels from attention and saliency: the harmonic mean, and the rules released later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.proxy.arrays import VOID, Floats, Labels, argmax, checked, min_max, required


@dataclass(frozen=True)
class ReleaseRules:
    """Constants of the rules that the authors of arXiv:1810.09821 released a year later.

    Source: gen_gt.py in the code of their ICCV 2019 paper; scores there are 8-bit grey values.

    Attributes:
        minimum_score: scores below it count as 0.
        conflict: a pixel with more than one score (background's too) above it is void.
        doubtful_saliency: background at or above it is void.
        doubtful_attention: background where any attention is above it is void.
        minimum_foreground: an image with a smaller share of foreground pixels is void as a whole.
    """

    minimum_score: float = 0.3
    conflict: float = 0.9
    doubtful_saliency: float = 32 / 255
    doubtful_attention: float = 0.8
    minimum_foreground: float = 0.01


def harmonic_mean(attention: Floats, saliency: Floats, weight: float = 1.0) -> Floats:
    """Return (w + 1) / (w / A + 1 / D) per pixel, and 0 where A or D is 0."""
    if not weight > 0:
        raise ValueError(f"the weight must be above 0, not {weight}")
    a = np.asarray(attention, dtype=np.float64)
    d = np.asarray(saliency, dtype=np.float64)
    # The same fraction without the two divisions by what may be 0.
    below = weight * d + a
    return np.where(below > 0, (weight + 1) * a * d / np.where(below > 0, below, 1.0), 0.0)


def algorithm1(
    maps: Floats, classes: NDArray[np.integer], saliency: Floats | None, weight: float = 1.0
) -> Labels:
    """Return the argmax of background 1 - D and the harmonic means of each map with D.

    Algorithm 1 of arXiv:1810.09821, to the letter: no threshold, no void pixel.
    """
    maps, ids, sal = checked(maps, classes, required(saliency, "algorithm1"))
    return argmax(1 - sal, harmonic_mean(maps, sal, weight), ids)


def harmonic_threshold(
    maps: Floats,
    classes: NDArray[np.integer],
    saliency: Floats | None,
    weight: float = 1.0,
    threshold: float = 0.4,
) -> Labels:
    """Return the argmax of the harmonic means of each map with D, background where all are low.

    Released code of arXiv:1707.05821: 2 / (1/A + 1/D), background where the maximum over the
    classes is below 0.4, no void pixel. Its 1e-12 beside A and D keeps it from dividing by 0;
    here the mean is exactly 0 where either is 0.
    """
    if not threshold >= 0:
        raise ValueError(f"a threshold must not be negative: {threshold}")
    maps, ids, sal = checked(maps, classes, required(saliency, "harmonic_threshold"))
    scores = harmonic_mean(maps, sal, weight)
    foreground = argmax(np.zeros(sal.shape), scores, ids)
    return np.where(scores.max(axis=0, initial=0.0) < threshold, np.uint8(0), foreground)


def released(
    maps: Floats, classes: NDArray[np.integer], saliency: Floats | None, **constants: float
) -> Labels:
    """Return the labels of the later released rules: void at conflicts and doubtful background.

    Constants are those of ``ReleaseRules``. An image without a class becomes void as a whole.
    """
    rules = ReleaseRules(**constants)
    maps, ids, sal = checked(maps, classes, required(saliency, "released"))
    attention = min_max(maps)
    scores = np.concatenate([1 - sal[None], attention])
    scores[scores < rules.minimum_score] = 0
    labels = argmax(scores[0], scores[1:], ids)
    labels[(scores > rules.conflict).sum(axis=0) > 1] = VOID
    doubtful = (sal >= rules.doubtful_saliency) | (attention > rules.doubtful_attention).any(axis=0)
    labels[(labels == 0) & doubtful] = VOID
    foreground = (labels != 0) & (labels != VOID)
    if foreground.mean() < rules.minimum_foreground:
        labels[:] = VOID
    return labels
