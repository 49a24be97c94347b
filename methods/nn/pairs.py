"""The P (image, present class) pairs of a batch, and what is kept for them alone.

Pairs stand image by image, and within one image by class. Labels are (B, C), 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.device import sent
from benchmark.method import Batch


@dataclass(frozen=True)
class Pairs:
    """Which pairs a batch has: found on the host once, and kept where the images are.

    Of each pair, (P,): images, its image; classes, its class; ranks, how many of its image's
    classes come before; held, how many its image holds. kth (K, B): the k-th class of each image,
    K the most that an image holds and at least 1; where an image has fewer, class 0. shape is the
    labels' (B, C).
    """

    images: Tensor
    classes: Tensor
    ranks: Tensor
    held: Tensor
    kth: Tensor
    shape: tuple[int, int]


def labels_on_host(batch: Batch) -> Tensor:
    """Return the batch's labels on the host; a GPU is waited for where it alone has them."""
    return batch.labels.cpu() if batch.labels_on_host is None else batch.labels_on_host


def pairs_of(batch: Batch) -> Pairs:
    """Return the pairs of a batch's labels."""
    return pairs_in(labels_on_host(batch), batch.labels.device)


def pairs_in(labels: Tensor, place: torch.device) -> Pairs:
    """Return the pairs in labels (B, C) of the host, on ``place``, sent without waiting for it."""
    present = labels > 0
    images, classes = present.nonzero(as_tuple=True)
    ranks = (present.cumsum(dim=1) - 1)[images, classes]
    held = present.sum(dim=1)
    kth = classes.new_zeros((max([1, *held.tolist()]), len(labels)))
    kth[ranks, images] = classes
    kept = sent(torch.stack([images, classes, ranks, held[images]]), place)
    shape = (labels.shape[0], labels.shape[1])
    return Pairs(kept[0], kept[1], kept[2], kept[3], sent(kth, place), shape)


def placed(maps: Tensor, pairs: Pairs) -> Tensor:
    """Return maps (P, h, w) at their places in (B, C, h, w), 0 elsewhere."""
    dense = maps.new_zeros((*pairs.shape, *maps.shape[1:]))
    dense[pairs.images, pairs.classes] = maps
    return dense


def mean_over_pairs(values: Tensor) -> Tensor:
    """Return the mean of (P,); 0 of none."""
    return values.sum() / max(1, len(values))


def mean_over_classes(values: Tensor, pairs: Pairs) -> Tensor:
    """Return the mean over all classes of all images, (P,) being 0 for those that are absent."""
    images, classes = pairs.shape
    return values.sum() / max(1, images * classes)


def mean_over_images(values: Tensor, pairs: Pairs) -> Tensor:
    """Return the mean over images of the mean (P,) over each one's classes; 0 where it has none."""
    return (values / pairs.held).sum() / pairs.shape[0]
