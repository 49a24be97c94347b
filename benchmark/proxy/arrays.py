"""What the recipes share: checks, resizing, argmax, normalisation."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError

VOID = 255
Floats = NDArray[np.floating]
Labels = NDArray[np.uint8]


def resize_maps(maps: Floats, size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize (P, h, w) to (P, H, W), bilinear with half-pixel centres, edges repeated."""
    height, width = size
    resized = np.empty((len(maps), height, width), dtype=np.float32)
    for source, target in zip(maps, resized, strict=True):
        plane = np.ascontiguousarray(source, dtype=np.float32)
        cv2.resize(plane, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
        # Rounding may leave the range of the source by one unit in the last place.
        np.clip(target, plane.min(), plane.max(), out=target)
    return resized


def checked(
    maps: Floats, classes: NDArray[np.integer], saliency: Floats | None
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Return float64 maps and ids, both in the order of the ids, and float64 saliency."""
    maps, ids = np.asarray(maps, dtype=np.float64), np.asarray(classes, dtype=np.int64)
    sal = np.zeros(maps.shape[1:]) if saliency is None else np.asarray(saliency, dtype=np.float64)
    if maps.ndim != 3 or ids.shape != maps.shape[:1] or sal.shape != maps.shape[1:]:
        raise ValueError(f"maps {maps.shape}, classes {ids.shape}, saliency {sal.shape} differ")
    if len(set(ids.tolist())) != len(ids) or not all(1 <= i < VOID for i in ids.tolist()):
        raise ValueError(f"class ids must differ and lie in 1..{VOID - 1}: {ids.tolist()}")
    for name, values in (("a map", maps), ("the saliency", sal)):
        # Written so that nan fails as well.
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"{name} leaves [0, 1]")
    order = np.argsort(ids)
    return maps[order], ids[order], sal


def required(saliency: Floats | None, recipe: str) -> Floats:
    """Return ``saliency``; BenchmarkError where there is none."""
    if saliency is None:
        raise BenchmarkError(
            f"label recipe {recipe} needs saliency maps: give a saliency source, or choose "
            "background_threshold"
        )
    return saliency


def argmax(background: Floats, scores: Floats, ids: NDArray[np.int64]) -> Labels:
    """Return the id of the highest score, (H, W); the first of equals, ids being ascending."""
    best = np.concatenate([background[None], scores]).argmax(axis=0)
    return np.concatenate([[0], ids]).astype(np.uint8)[best]


def paint(
    labels: Labels,
    regions: NDArray[np.bool_],
    ids: NDArray[np.int64],
    areas: NDArray[np.int64] | None = None,
) -> None:
    """Write each id over its region (K, H, W) of ``labels``, the smallest region on top.

    ``areas`` (K,) are the regions' sizes unless given. Of equal ones the lower id is on top.
    """
    sizes = regions.sum(axis=(1, 2)) if areas is None else areas
    for place in np.lexsort((-ids, -sizes)):  # the one painted last is seen
        labels[regions[place]] = ids[place]


def min_max(maps: Floats) -> Floats:
    """Spread each map over [0, 1]; a constant map becomes 0."""
    low = maps.min(axis=(1, 2), keepdims=True, initial=1.0)
    spread = maps.max(axis=(1, 2), keepdims=True, initial=0.0) - low
    return (maps - low) / np.where(spread > 0, spread, 1.0)
