"""Puts objects onto backgrounds: one scene and its mask from (options, split, index)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.data.scenes.backgrounds import PLACES, clutter, light, paint_background
from benchmark.data.scenes.drawing import SUPERSAMPLING, Array, Pen, Rng
from benchmark.data.scenes.objects import SHAPES, company_of
from benchmark.data.voc import CLASS_NAMES, VOID
from benchmark.seeding import derive

SCENES_VERSION = 1
VISIBLE = 0.008  # of the frame: below it an object is void and its class is not named
_RARITY = {"rails": 0.15, "water": 0.15, "sky": 0.5}  # how seldom others are met there


@dataclass(frozen=True)
class SceneOptions:
    """What the generated scenes depend on.

    ``co_occurrence`` is the rate of scenes in the usual place of their main class (a train on
    rails); the others get any other place.
    """

    seed: int = 0
    train_images: int = 500
    val_images: int = 150
    size: int = 96
    co_occurrence: float = 0.8


@dataclass(frozen=True)
class Scene:
    """An image uint8 (S, S, 3), its mask uint8 (S, S) and what was drawn into it."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    labels: NDArray[np.bool_]
    main: str
    place: str


def place_pen(canvas: int, x: float, y: float, reach: float, rng: Rng, tilt: float) -> Pen:
    """A pen whose origin lies at (x, y) of the frame and whose unit is ``reach`` frames."""
    angle = math.radians(rng.uniform(-tilt, tilt))
    stretch = rng.uniform(0.88, 1.14)
    mirror = -1 if rng.random() < 0.5 else 1
    scale = reach * canvas
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = scale * turn @ np.diag([mirror * stretch, 1 / stretch])
    return Pen(canvas, np.hstack([linear, [[x * canvas], [y * canvas]]]), rng)


def add_layer(picture: Array, ids: Array, pen: Pen, identity: int) -> None:
    """Put what ``pen`` drew over ``picture`` and its silhouette, as ``identity``, into ``ids``."""
    cv2.copyTo(pen.colour, pen.paint, picture)
    ids[pen.outline > 0] = identity


def add_clutter(picture: Array, ids: Array, rng: Rng, count: int) -> None:
    """Put ``count`` things of no class anywhere; what they hide becomes background."""
    for _ in range(count):
        x, y = rng.uniform(0, 1), rng.uniform(0.35, 1.0)
        pen = place_pen(picture.shape[0], x, y, rng.uniform(0.04, 0.11), rng, tilt=10.0)
        clutter(pen)
        pen.finish()
        add_layer(picture, ids, pen, 0)


def _cast(main: str, rng: Rng) -> list[str]:
    """The objects of a scene: its main class, and at times others seen with it."""
    draw = rng.random()
    if draw < 0.64:
        return [main]
    if draw < 0.72:
        return [main, main]
    second = company_of(main, rng)
    if second is None:
        return [main]
    if draw < 0.94:
        return [main, second]
    third = company_of(second, rng)
    return [main, second] if third is None else [main, second, third]


def _reach(count: int, rng: Rng) -> float:
    """Half the extent of an object as a part of the frame: small to more than filling it."""
    if count > 1:
        return rng.uniform(0.2, 0.34) if count == 2 else rng.uniform(0.16, 0.24)
    if rng.random() < 0.27:
        return rng.uniform(0.16, 0.28)
    return rng.uniform(0.32, 0.66)


def _stand(name: str, slot: float, reach: float, canvas: int, rng: Rng) -> Pen:
    """A pen that draws ``name`` near ``slot`` (0 to 1 across) with its telling part in sight."""
    if SHAPES[name].width < 0.6:
        reach *= 1.2
    low = 0.9 if "sky" not in SHAPES[name].places else 0.65
    y = rng.uniform(min(0.5, 0.5 + 0.4 * (1 - reach / 0.5)), max(0.5, low - reach))
    x = slot + rng.uniform(-0.08, 0.08)
    pen = place_pen(canvas, x, y, reach, rng, tilt=7.0)
    focus = pen.matrix[:, :2] @ np.array(SHAPES[name].focus) + pen.matrix[:, 2]
    margin = min(0.3, 0.45 * reach) * canvas
    pen.matrix[:, 2] += np.clip(focus, margin, canvas - margin) - focus
    return pen


def _usual_place(main: str, rng: Rng, rate: float) -> str:
    places = SHAPES[main].places
    if rng.random() < rate:
        return places[int(rng.integers(len(places)))]
    others = [place for place in PLACES if place not in places]
    weights = np.array([_RARITY.get(place, 1.0) for place in others])
    return others[int(rng.choice(len(others), p=weights / weights.sum()))]


def _with_border(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make a line of one pixel around every object void, outside of it, as VOC does."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    return np.where(cv2.dilate(ids, cross) != ids, np.uint8(VOID), ids)


def draw_scene(options: SceneOptions, split: str, index: int) -> Scene:
    """Draw scene ``index`` of ``split``; it depends on no other scene and on neither count."""
    rng = np.random.default_rng(derive("scenes", SCENES_VERSION, options.seed, split, index))
    main = CLASS_NAMES[index % len(CLASS_NAMES)]
    place = _usual_place(main, rng, options.co_occurrence)
    canvas = SUPERSAMPLING * options.size
    picture = paint_background(place, canvas, rng)
    ids = np.zeros((canvas, canvas), np.uint8)
    add_clutter(picture, ids, rng, int(rng.integers(0, 3)))
    cast = _cast(main, rng)
    slots = (np.arange(len(cast)) + 0.5) / len(cast)
    slots = rng.permutation(0.5 + (slots - 0.5) * 1.25)
    for name, slot in zip(reversed(cast), slots, strict=True):
        pen = _stand(name, float(slot), _reach(len(cast), rng), canvas, rng)
        SHAPES[name].paint(pen)
        pen.finish()
        add_layer(picture, ids, pen, 1 + CLASS_NAMES.index(name))
    add_clutter(picture, ids, rng, int(rng.random() < 0.3))
    small = np.ascontiguousarray(ids[::SUPERSAMPLING, ::SUPERSAMPLING])
    counts = np.bincount(small.ravel(), minlength=1 + len(CLASS_NAMES))[1:]
    labels = counts >= VISIBLE * small.size
    mask = _with_border(small)
    for hidden in np.flatnonzero(~labels & (counts > 0)):
        mask[mask == hidden + 1] = VOID
    return Scene(light(picture, rng, options.size), mask, labels, main, place)
