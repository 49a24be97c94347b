"""Batches: images and what is known of them, cut on the host or on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.backbones import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.augment import View, resized, translated
from benchmark.data.resident import ResidentPlanes
from benchmark.device import device, on_device, sent
from benchmark.method import Batch, LabelledImages

MEAN_COLOUR = tuple(round(255 * value) for value in IMAGENET_MEAN)


def to_tensor(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack (H, W, 3) images of one size to a normalised (B, 3, H, W) tensor on the device."""
    return normalised(on_device(np.stack(images)))


def normalised(images: Tensor) -> Tensor:
    """Return RGB images (B, H, W, 3) of 0..255 as (B, 3, H, W), by ImageNet's mean and sd."""
    mean, std = _mean_and_std(images.device)
    return ((images.float() - mean) / std).permute(0, 3, 1, 2).contiguous()


@cache
def _mean_and_std(place: torch.device) -> tuple[Tensor, Tensor]:
    """Return ImageNet's mean and sd of 0..255; kept, since sending them would have a GPU wait."""
    return (
        torch.tensor(IMAGENET_MEAN, device=place) * 255,
        torch.tensor(IMAGENET_STD, device=place) * 255,
    )


def whole_images(data: LabelledImages, size: int) -> Batch:
    """Return the images and their saliency warped to ``size`` pixels a side, on the device."""
    return images_of_shape(data, (size, size))


def images_of_shape(data: LabelledImages, shape: tuple[int, int]) -> Batch:
    """Return the images and their saliency resized to ``shape`` (H, W), on the device."""
    saliency = None
    if data.saliency is not None:
        saliency = _fractions([resized(plane, shape) for plane in data.saliency])
    images = to_tensor([resized(image, shape) for image in data.images])
    labels = torch.from_numpy(data.labels).float()
    return Batch(images, sent(labels, device()), saliency, labels_on_host=labels)


def _fractions(planes: Sequence[NDArray[np.uint8]]) -> Tensor:
    return on_device(np.stack(planes)).float() / 255


def with_mirror_images(batch: Batch) -> Batch:
    """Return the batch, and behind it its images and their saliency mirrored."""
    saliency, labels = batch.saliency, batch.labels_on_host
    return Batch(
        torch.cat([batch.images, batch.images.flip(3)]),
        torch.cat([batch.labels, batch.labels]),
        None if saliency is None else torch.cat([saliency, saliency.flip(2)]),
        labels_on_host=None if labels is None else torch.cat([labels, labels]),
    )


@dataclass(frozen=True)
class Source:
    """Images of a training with all that is cut like them."""

    images: Sequence[NDArray[np.uint8]]
    labels: NDArray[np.bool_]
    saliency: Sequence[NDArray[np.uint8]] | None
    seeds: Sequence[NDArray[np.int16]] | None


@dataclass(frozen=True)
class Look:
    """How an image is seen once, and what its colours become."""

    index: int
    view: View
    colours: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Drawn:
    """What was cut on the host of one image, its saliency and its seeds."""

    image: NDArray[np.uint8]
    label: NDArray[np.bool_]
    saliency: NDArray[np.uint8] | None
    seeds: NDArray[np.int16] | None


def _plane(
    planes: Sequence[NDArray[Any]] | None,
    index: int,
    view: View,
    *,
    padding: int,
    nearest: bool = False,
) -> NDArray[Any] | None:
    return None if planes is None else view.of(planes[index], nearest=nearest, padding=padding)


def draw(look: Look, source: Source) -> Drawn:
    """Cut what ``look`` shows, on the host."""
    return Drawn(
        look.view.of(
            source.images[look.index],
            padding=MEAN_COLOUR,
            change=lambda seen: translated(seen, look.colours),
        ),
        source.labels[look.index],
        _plane(source.saliency, look.index, look.view, padding=0),
        _plane(source.seeds, look.index, look.view, padding=-1, nearest=True),
    )


class ResidentSource:
    """A source whose images, of ``sizes`` (H, W), stay on the device."""

    def __init__(self, source: Source, sizes: Sequence[tuple[int, int]]) -> None:
        def resident(planes: Sequence[NDArray[Any]] | None) -> ResidentPlanes | None:
            return None if planes is None else ResidentPlanes(planes, sizes)

        self._images = ResidentPlanes(source.images, sizes)
        self._saliency = resident(source.saliency)
        self._seeds = resident(source.seeds)
        self._labels = source.labels

    def batch(self, looks: Sequence[Look], step: int) -> Batch:
        """Cut what ``looks`` show, on the device."""
        places, views = [look.index for look in looks], [look.view for look in looks]
        colours = [look.colours for look in looks if look.colours is not None]
        images = self._images.views(places, views, padding=MEAN_COLOUR, colours=colours)
        saliency = seeds = None
        if self._saliency is not None:
            saliency = self._saliency.views(places, views).float() / 255
        if self._seeds is not None:
            seeds = self._seeds.views(places, views, padding=-1, nearest=True).long()
        labels = torch.from_numpy(self._labels[places]).float()
        return Batch(normalised(images), sent(labels, device()), saliency, seeds, step, labels)


def stacked(drawn: Sequence[Drawn], step: int) -> Batch:
    """Return what was cut as the batch of ``step``, on the device."""
    images = to_tensor([one.image for one in drawn])
    labels = torch.from_numpy(np.stack([one.label for one in drawn])).float()
    saliency = [one.saliency for one in drawn if one.saliency is not None]
    seeds = [one.seeds for one in drawn if one.seeds is not None]
    return Batch(
        images,
        sent(labels, device()),
        _fractions(saliency) if saliency else None,
        on_device(np.stack(seeds)).long() if seeds else None,
        step,
        labels,
    )
