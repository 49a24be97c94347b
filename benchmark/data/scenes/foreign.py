"""Things of 24 kinds that are none of the 20 classes, with masks.

What a saliency network and the backbones are trained on before they see a scene, in the place of
ImageNet and of a saliency data set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.scenes.backgrounds import PLACES, light, paint_background
from benchmark.data.scenes.compose import add_clutter, add_layer, place_pen
from benchmark.data.scenes.drawing import SUPERSAMPLING, Colour, Pen, Point, any_colour, shade
from benchmark.seeding import derive

_DARK: Colour = (40, 36, 38)


@dataclass(frozen=True)
class ForeignImages:
    """Images uint8 (N, S, S, 3), masks bool (N, S, S) and kinds int64 (N,)."""

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    kinds: NDArray[np.int64]


def _around(count: int, radii: tuple[float, ...], turn: float = -math.pi / 2) -> list[Point]:
    """Points on circles of ``radii`` in turn."""
    points = []
    for step in range(count):
        angle = turn + 2 * math.pi * step / count
        radius = radii[step % len(radii)]
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return points


def _star(pen: Pen, main: Colour, other: Colour) -> None:
    pen.polygon(_around(10, (1.0, 0.45)), main)
    pen.grain(0.1, 8)
    pen.polygon(_around(10, (0.55, 0.25)), other)


def _mushroom(pen: Pen, main: Colour, other: Colour) -> None:
    pen.slab(-0.25, -0.1, 0.25, 1, 0.1, (235, 225, 205))
    pen.polygon(
        [(-0.95, 0.05), (-0.8, -0.5), (-0.35, -0.9), (0.35, -0.9), (0.8, -0.5), (0.95, 0.05)], main
    )
    pen.grain(0.1, 8)
    for x, y in ((-0.5, -0.25), (0.05, -0.6), (0.5, -0.2), (0.0, -0.15)):
        pen.ellipse(x, y, 0.13, 0.11, shade(other, 1.5))


def _key(pen: Pen, main: Colour, other: Colour) -> None:
    pen.ring(0, -0.6, 0.3, 0.18, main)
    pen.box(-0.1, -0.3, 0.1, 1, main)
    for y in (0.5, 0.78):
        pen.box(0, y, 0.42, y + 0.14, shade(main, 0.8))


def _house(pen: Pen, main: Colour, other: Colour) -> None:
    pen.box(-0.75, -0.1, 0.75, 1, main)
    pen.grain(0.1, 10)
    pen.polygon([(-0.95, -0.1), (0, -0.95), (0.95, -0.1)], other)
    pen.box(-0.2, 0.4, 0.15, 1, shade(other, 0.6))
    pen.box(0.3, 0.15, 0.6, 0.45, (150, 195, 220))


def _kite(pen: Pen, main: Colour, other: Colour) -> None:
    pen.polygon([(0, -1), (0.6, -0.3), (0, 0.5), (-0.6, -0.3)], main)
    pen.polygon([(0, -1), (0.6, -0.3), (0, -0.3)], other)
    pen.polygon([(0, 0.5), (-0.6, -0.3), (0, -0.3)], other)
    pen.stroke([(0, 0.5), (0.15, 0.7), (-0.1, 0.85), (0.1, 1)], 0.05, _DARK)
    pen.polygon([(0.15, 0.7), (0.35, 0.6), (0.35, 0.8)], other)


def _umbrella(pen: Pen, main: Colour, other: Colour) -> None:
    pen.stroke([(0, -0.9), (0, 0.85), (0.15, 0.97), (0.3, 0.85)], 0.09, _DARK)
    dome = [(math.cos(a), -0.05 - 0.85 * math.sin(a)) for a in np.linspace(0, math.pi, 14)]
    pen.polygon(
        [*dome, (-0.66, -0.18), (-0.33, -0.05), (0, -0.18), (0.33, -0.05), (0.66, -0.18)], main
    )
    pen.polygon([(0, -0.9), (-0.33, -0.05), (0, -0.18), (0.33, -0.05)], other)


def _fish(pen: Pen, main: Colour, other: Colour) -> None:
    pen.polygon([(0.45, 0), (1, -0.5), (0.9, 0), (1, 0.5)], other)
    pen.polygon([(-0.2, -0.3), (0.1, -0.7), (0.35, -0.2)], other)
    pen.ellipse(-0.15, 0, 0.75, 0.42, main)
    pen.stripes(0.3, 2.5, True)
    pen.ellipse(-0.6, -0.08, 0.1, 0.1, (245, 245, 245))
    pen.ellipse(-0.6, -0.08, 0.05, 0.05, _DARK)


def _clock(pen: Pen, main: Colour, other: Colour) -> None:
    pen.ellipse(0, 0, 0.95, 0.95, main)
    pen.ellipse(0, 0, 0.76, 0.76, (245, 242, 232))
    for x, y in _around(12, (0.64,)):
        pen.ellipse(x, y, 0.05, 0.05, _DARK)
    hour, minute = pen.rng.uniform(0, 2 * math.pi, 2)
    pen.stroke([(0, 0), (0.38 * math.cos(hour), 0.38 * math.sin(hour))], 0.1, _DARK)
    pen.stroke([(0, 0), (0.58 * math.cos(minute), 0.58 * math.sin(minute))], 0.06, _DARK)


def _cup(pen: Pen, main: Colour, other: Colour) -> None:
    pen.ring(0.6, 0.1, 0.3, 0.13, main)
    pen.polygon([(-0.7, -0.6), (0.6, -0.6), (0.45, 0.85), (-0.55, 0.85)], main)
    pen.grain(0.06, 6)
    pen.box(-0.66, 0.0, 0.56, 0.2, other)
    pen.ellipse(-0.05, -0.6, 0.65, 0.16, shade(main, 0.5))


def _guitar(pen: Pen, main: Colour, other: Colour) -> None:
    pen.ellipse(0, 0.6, 0.5, 0.4, main)
    pen.ellipse(0, 0.1, 0.37, 0.32, main)
    pen.grain(0.1, 12)
    pen.ellipse(0, 0.3, 0.16, 0.16, _DARK)
    pen.box(-0.07, -0.8, 0.07, 0.3, shade(other, 0.6))
    pen.box(-0.14, -1, 0.14, -0.75, shade(main, 0.6))
    pen.box(-0.2, 0.68, 0.2, 0.76, _DARK)


def _lamp(pen: Pen, main: Colour, other: Colour) -> None:
    pen.box(-0.06, -0.2, 0.06, 0.9, shade(other, 0.6))
    pen.ellipse(0, 0.9, 0.4, 0.1, shade(other, 0.6))
    pen.polygon([(-0.35, -0.95), (0.35, -0.95), (0.65, -0.1), (-0.65, -0.1)], main)
    pen.ellipse(0, -0.1, 0.6, 0.08, (255, 245, 190))


def _hammer(pen: Pen, main: Colour, other: Colour) -> None:
    pen.slab(-0.11, -0.6, 0.11, 1, 0.08, (160, 110, 65))
    pen.grain(0.15, 14)
    pen.slab(-0.45, -0.95, 0.5, -0.55, 0.05, main)
    pen.polygon([(-0.45, -0.9), (-0.9, -0.5), (-0.45, -0.6)], main)


def _butterfly(pen: Pen, main: Colour, other: Colour) -> None:
    for side in (-1, 1):
        pen.polygon([(0, -0.1), (side * 0.95, -0.9), (side, -0.2), (side * 0.3, 0.15)], main)
        pen.polygon(
            [(0, 0.05), (side * 0.75, 0.25), (side * 0.6, 0.85), (side * 0.15, 0.5)],
            shade(main, 0.8),
        )
        pen.ellipse(side * 0.68, -0.45, 0.16, 0.16, other)
        pen.ellipse(side * 0.48, 0.45, 0.12, 0.12, other)
        pen.stroke([(0, -0.5), (side * 0.25, -0.9)], 0.04, _DARK)
    pen.ellipse(0, 0.05, 0.09, 0.6, _DARK)


def _flower(pen: Pen, main: Colour, other: Colour) -> None:
    pen.stroke([(0, -0.2), (0.05, 1)], 0.1, (60, 130, 50))
    pen.ellipse(0.3, 0.6, 0.26, 0.1, (70, 145, 55))
    for x, y in _around(6, (0.4,)):
        pen.ellipse(x, y - 0.4, 0.27, 0.27, main)
    pen.grain(0.1, 10)
    pen.ellipse(0, -0.4, 0.22, 0.22, (240, 200, 60))


def _crown(pen: Pen, main: Colour, other: Colour) -> None:
    pen.polygon(
        [(-0.85, 0.7), (-1, -0.5), (-0.5, 0), (0, -0.8), (0.5, 0), (1, -0.5), (0.85, 0.7)], main
    )
    pen.grain(0.1, 6)
    pen.box(-0.85, 0.45, 0.85, 0.75, shade(main, 0.7))
    for x, y in ((-1, -0.5), (0, -0.8), (1, -0.5), (-0.45, 0.6), (0, 0.6), (0.45, 0.6)):
        pen.ellipse(x, y, 0.12, 0.12, other)


def _anchor(pen: Pen, main: Colour, other: Colour) -> None:
    pen.ring(0, -0.8, 0.16, 0.1, main)
    pen.box(-0.09, -0.65, 0.09, 0.9, main)
    pen.box(-0.45, -0.5, 0.45, -0.34, main)
    arc = [(0.8 * math.cos(a), 0.15 + 0.75 * math.sin(a)) for a in np.linspace(0, math.pi, 12)]
    pen.stroke(arc, 0.18, main)
    for side in (-1, 1):
        pen.polygon([(side * 1.0, 0.3), (side * 0.8, -0.1), (side * 0.55, 0.25)], main)


def _spoon(pen: Pen, main: Colour, other: Colour) -> None:
    pen.ellipse(0, -0.6, 0.32, 0.42, main)
    pen.ellipse(0, -0.6, 0.22, 0.32, shade(main, 0.7))
    pen.polygon([(-0.06, -0.25), (0.06, -0.25), (0.12, 1), (-0.12, 1)], main)


def _rocket(pen: Pen, main: Colour, other: Colour) -> None:
    pen.polygon([(-0.2, 0.6), (0, 1.05), (0.2, 0.6)], (255, 150, 40))
    for side in (-1, 1):
        pen.polygon([(side * 0.25, 0.1), (side * 0.65, 0.75), (side * 0.25, 0.6)], other)
    pen.polygon([(-0.32, 0.65), (-0.36, -0.3), (0, -1), (0.36, -0.3), (0.32, 0.65)], main)
    pen.grain(0.06, 6)
    pen.polygon([(-0.3, -0.45), (0, -1), (0.3, -0.45)], other)
    pen.ellipse(0, -0.1, 0.17, 0.17, (130, 190, 225))


def _snail(pen: Pen, main: Colour, other: Colour) -> None:
    pen.polygon([(-1, 0.7), (-0.8, 0.0), (-0.55, 0.0), (-0.4, 0.45), (0.7, 0.45), (1, 0.7)], other)
    for x in (-0.85, -0.6):
        pen.stroke([(x + 0.05, 0.1), (x - 0.05, -0.35)], 0.06, other)
        pen.ellipse(x - 0.05, -0.38, 0.06, 0.06, _DARK)
    pen.ellipse(0.15, 0.0, 0.6, 0.55, main)
    pen.grain(0.1, 8)
    pen.ring(0.15, 0.02, 0.36, 0.09, shade(main, 0.55))
    pen.ring(0.18, 0.05, 0.14, 0.08, shade(main, 0.55))


def _scissors(pen: Pen, main: Colour, other: Colour) -> None:
    for side in (-1, 1):
        pen.polygon([(side * -0.08, 0.15), (side * 0.1, 0.1), (side * 0.4, -1)], (190, 195, 200))
        pen.ring(side * 0.32, 0.65, 0.24, 0.14, main)
        pen.stroke([(side * 0.2, 0.45), (0, 0.12)], 0.14, main)
    pen.ellipse(0, 0.1, 0.06, 0.06, _DARK)


def _balloon(pen: Pen, main: Colour, other: Colour) -> None:
    pen.stroke([(0, 0.4), (0.1, 0.65), (-0.08, 0.85), (0.05, 1)], 0.04, _DARK)
    pen.polygon([(0, 0.3), (-0.12, 0.48), (0.12, 0.48)], shade(main, 0.7))
    pen.ellipse(0, -0.3, 0.56, 0.68, main)
    pen.ellipse(-0.2, -0.55, 0.14, 0.2, shade(main, 1.6))


def _book(pen: Pen, main: Colour, other: Colour) -> None:
    pen.polygon(
        [(-0.95, -0.55), (0, -0.4), (0.95, -0.55), (0.95, 0.55), (0, 0.72), (-0.95, 0.55)], main
    )
    for side in (-1, 1):
        pen.polygon(
            [(0, -0.4), (side * 0.86, -0.55), (side * 0.86, 0.45), (0, 0.6)], (245, 242, 230)
        )
        for y in (-0.3, -0.12, 0.06, 0.24):
            pen.stroke([(side * 0.12, y + 0.05), (side * 0.75, y - 0.03)], 0.04, (120, 120, 125))
    pen.stroke([(0, -0.4), (0, 0.62)], 0.04, shade(main, 0.5))


def _hat(pen: Pen, main: Colour, other: Colour) -> None:
    pen.ellipse(0, 0.55, 1, 0.25, shade(main, 0.8))
    pen.slab(-0.55, -0.7, 0.55, 0.6, 0.15, main)
    pen.grain(0.08, 10)
    pen.box(-0.55, 0.2, 0.55, 0.45, other)


def _cactus(pen: Pen, main: Colour, other: Colour) -> None:
    green = shade((90, 150, 80), pen.rng.uniform(0.7, 1.2))
    pen.stroke([(0, -0.75), (0, 0.85)], 0.38, green)
    pen.stroke([(0, 0.3), (-0.6, 0.25), (-0.6, -0.25)], 0.24, green)
    pen.stroke([(0, 0.0), (0.6, -0.05), (0.6, -0.5)], 0.24, green)
    pen.stripes(0.2, 6, True)
    pen.ellipse(0, -0.95, 0.13, 0.11, (235, 90, 140))


_PAINTERS: dict[str, Callable[[Pen, Colour, Colour], None]] = {
    "star": _star,
    "mushroom": _mushroom,
    "key": _key,
    "house": _house,
    "kite": _kite,
    "umbrella": _umbrella,
    "fish": _fish,
    "clock": _clock,
    "cup": _cup,
    "guitar": _guitar,
    "lamp": _lamp,
    "hammer": _hammer,
    "butterfly": _butterfly,
    "flower": _flower,
    "crown": _crown,
    "anchor": _anchor,
    "spoon": _spoon,
    "rocket": _rocket,
    "snail": _snail,
    "scissors": _scissors,
    "balloon": _balloon,
    "book": _book,
    "hat": _hat,
    "cactus": _cactus,
}
FOREIGN_KINDS = tuple(_PAINTERS)


def _foreign_image(
    size: int, seed: int, index: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], int]:
    rng = np.random.default_rng(derive("foreign", seed, index))
    kind = index % len(FOREIGN_KINDS)
    canvas = SUPERSAMPLING * size
    picture = paint_background(PLACES[int(rng.integers(len(PLACES)))], canvas, rng)
    ids = np.zeros((canvas, canvas), np.uint8)
    add_clutter(picture, ids, rng, int(rng.integers(0, 3)))
    for _ in range(1 if rng.random() < 0.8 else 2):
        reach = rng.uniform(0.3, 1.15) / 2
        half = max(0.0, 0.5 - 0.8 * reach)
        x, y = rng.uniform(0.5 - half, 0.5 + half, 2)
        pen = place_pen(canvas, x, y, reach, rng, tilt=25.0)
        _PAINTERS[FOREIGN_KINDS[kind]](pen, any_colour(rng), any_colour(rng))
        pen.finish()
        add_layer(picture, ids, pen, 1)
    return light(picture, rng, size), ids[::SUPERSAMPLING, ::SUPERSAMPLING] == 1, kind


def foreign_images(count: int, size: int, seed: int) -> ForeignImages:
    """Draw ``count`` images of foreign things, the kinds in turn; the first never change."""
    images = np.empty((count, size, size, 3), np.uint8)
    masks = np.empty((count, size, size), np.bool_)
    kinds = np.empty(count, np.int64)
    for index in range(count):
        images[index], masks[index], kinds[index] = _foreign_image(size, seed, index)
    return ForeignImages(images, masks, kinds)
