"""Label recipes: pure functions from attention maps (and saliency) to pixel labels.

A recipe takes maps float (P, H, W) in [0, 1] of the P classes an image is known to hold, their
ids (P,), saliency (H, W) in [0, 1] or None, and its constants by name; it returns uint8 (H, W)
with ids in {0} and the given ones and {255}. Of equal scores the lower id wins: background first.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError

VOID = 255
Floats = NDArray[np.floating]
Labels = NDArray[np.uint8]
Recipe = Callable[..., Labels]


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
    maps, ids, sal = _checked(maps, classes, _required(saliency, "algorithm1"))
    return _argmax(1 - sal, harmonic_mean(maps, sal, weight), ids)


def released(
    maps: Floats, classes: NDArray[np.integer], saliency: Floats | None, **constants: float
) -> Labels:
    """Return the labels of the later released rules: void at conflicts and doubtful background.

    Constants are those of ``ReleaseRules``. An image without a class becomes void as a whole.
    """
    rules = ReleaseRules(**constants)
    maps, ids, sal = _checked(maps, classes, _required(saliency, "released"))
    attention = _min_max(maps)
    scores = np.concatenate([1 - sal[None], attention])
    scores[scores < rules.minimum_score] = 0
    labels = _argmax(scores[0], scores[1:], ids)
    labels[(scores > rules.conflict).sum(axis=0) > 1] = VOID
    doubtful = (sal >= rules.doubtful_saliency) | (attention > rules.doubtful_attention).any(axis=0)
    labels[(labels == 0) & doubtful] = VOID
    foreground = (labels != 0) & (labels != VOID)
    if foreground.mean() < rules.minimum_foreground:
        labels[:] = VOID
    return labels


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
    maps, ids, _ = _checked(maps, classes, None)
    highest = maps.max(axis=(1, 2), keepdims=True, initial=0.0)
    scores = maps / np.where(highest > 0, highest, 1.0)
    foreground = _argmax(np.zeros(maps.shape[1:]), scores, ids)
    best = scores.max(axis=0, initial=0.0)
    for threshold in thresholds:
        yield np.where(best > threshold, foreground, np.uint8(0))


RECIPES: dict[str, Recipe] = {
    "algorithm1": algorithm1,
    "released": released,
    "background_threshold": background_threshold,
}
CONSTANTS: dict[str, tuple[str, ...]] = {
    "algorithm1": ("weight",),
    "released": tuple(field.name for field in fields(ReleaseRules)),
    "background_threshold": ("threshold",),
}


def find_recipe(name: str, constants: Sequence[str] = ()) -> Recipe:
    """Return a recipe by name, once it is known to take constants of these names."""
    if name not in RECIPES:
        raise BenchmarkError(f"unknown label recipe {name!r}{_near(name, tuple(RECIPES))}")
    for constant in constants:
        if constant not in CONSTANTS[name]:
            near = _near(constant, CONSTANTS[name])
            raise BenchmarkError(f"label recipe {name} has no constant {constant!r}{near}")
    return RECIPES[name]


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


def _checked(
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


def _required(saliency: Floats | None, recipe: str) -> Floats:
    if saliency is None:
        raise BenchmarkError(
            f"label recipe {recipe} needs saliency maps: give a saliency source, or choose "
            "background_threshold"
        )
    return saliency


def _argmax(background: Floats, scores: Floats, ids: NDArray[np.int64]) -> Labels:
    """Return the id of the highest score, (H, W); the first of equals, ids being ascending."""
    best = np.concatenate([background[None], scores]).argmax(axis=0)
    return np.concatenate([[0], ids]).astype(np.uint8)[best]


def _min_max(maps: Floats) -> Floats:
    """Spread each map over [0, 1]; a constant map becomes 0."""
    low = maps.min(axis=(1, 2), keepdims=True, initial=1.0)
    spread = maps.max(axis=(1, 2), keepdims=True, initial=0.0) - low
    return (maps - low) / np.where(spread > 0, spread, 1.0)


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": choose from {', '.join(known)}"
