"""The P (image, present class) pairs of a batch, and what is kept for them alone.

Pairs stand in the order of ``labels.nonzero()``: image by image, and within one image by class.
Labels are (B, C), 0 or 1.
"""

from __future__ import annotations

from torch import Tensor


def pair_images(labels: Tensor) -> Tensor:
    """Return which image (P,) each pair is of."""
    return labels.nonzero(as_tuple=True)[0]


def pair_classes(labels: Tensor) -> Tensor:
    """Return which class (P,) each pair is of."""
    return labels.nonzero(as_tuple=True)[1]


def placed(maps: Tensor, labels: Tensor) -> Tensor:
    """Return maps (P, h, w) at their places in (B, C, h, w), 0 elsewhere."""
    dense = maps.new_zeros((*labels.shape, *maps.shape[1:]))
    dense[pair_images(labels), pair_classes(labels)] = maps
    return dense


def mean_over_pairs(values: Tensor) -> Tensor:
    """Return the mean of (P,); 0 of none."""
    return values.sum() / max(1, len(values))


def mean_over_classes(values: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over all classes of all images, (P,) being 0 for those that are absent."""
    return values.sum() / max(1, labels.numel())


def mean_over_images(values: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over images of the mean (P,) over each one's classes; 0 where it has none."""
    classes = (labels != 0).sum(dim=1)[pair_images(labels)]
    return (values / classes).sum() / len(labels)
