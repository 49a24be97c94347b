"""Places that objects stand, fly or float in: six families, each with its own clutter."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from benchmark.data.scenes.drawing import (
    Array,
    Colour,
    Pen,
    Rng,
    any_colour,
    modulate,
    noise,
    pick,
    shade,
)

_GREENS: list[Colour] = [(70, 130, 50), (95, 150, 60), (120, 150, 70), (60, 105, 45)]
_SKIES: list[Colour] = [(120, 175, 230), (150, 195, 235), (175, 190, 205), (95, 145, 215)]
_WATERS: list[Colour] = [(40, 95, 140), (60, 120, 150), (50, 110, 115), (70, 100, 130)]
_ASPHALTS: list[Colour] = [(95, 95, 98), (115, 112, 110), (80, 82, 88)]
_BALLASTS: list[Colour] = [(125, 110, 95), (110, 100, 92), (140, 125, 105)]
_WALLS: list[Colour] = [(215, 205, 180), (190, 200, 205), (205, 180, 165), (170, 185, 160)]
_FLOORS: list[Colour] = [(140, 100, 65), (165, 130, 95), (120, 110, 105), (110, 75, 55)]
_BRICKS: list[Colour] = [(165, 100, 80), (180, 165, 145), (140, 140, 145), (195, 175, 130)]


def _pen(size: int, rng: Rng) -> Pen:
    """A pen whose coordinates run from 0 to 1 over the frame."""
    return Pen(size, np.array([[size, 0, 0], [0, size, 0]], np.float64), rng)


def _gradient(pen: Pen, top: float, bottom: float, first: Colour, last: Colour) -> None:
    """Fill the rows between ``top`` and ``bottom`` with a vertical gradient."""
    rows = slice(round(top * pen.size), round(bottom * pen.size))
    count = rows.stop - rows.start
    blend = np.linspace(0, 1, max(count, 1), dtype=np.float32)[:count, None]
    pen.colour[rows] = ((1 - blend) * np.array(first) + blend * np.array(last))[:, None]


def _mottle(pen: Pen, top: float, strength: float, cells: int, rows: int | None = None) -> None:
    """Mottle the rows below ``top``."""
    field = np.ones((pen.size, pen.size), np.float32)
    start = round(top * pen.size)
    field[start:] += strength * noise(pen.rng, pen.size, cells, rows)[start:]
    modulate(pen.colour, field)


def _clouds(pen: Pen, bottom: float) -> None:
    veil = noise(pen.rng, pen.size, int(pen.rng.integers(3, 7)), int(pen.rng.integers(4, 9)))
    veil = np.clip(veil - pen.rng.uniform(-0.2, 1.0), 0, 1)[..., None] * pen.rng.uniform(0.3, 0.9)
    veil[round(bottom * pen.size) :] = 0
    pen.colour[:] = (pen.colour * (1 - veil) + 245 * veil).astype(np.uint8)


def _heaven(pen: Pen, bottom: float) -> None:
    sky = pick(pen.rng, _SKIES)
    _gradient(pen, 0, bottom, sky, shade(sky, pen.rng.uniform(1.0, 1.25)))
    _clouds(pen, bottom)


def _trees(pen: Pen, horizon: float, count: int) -> None:
    for _ in range(count):
        x, width = pen.rng.uniform(0, 1), pen.rng.uniform(0.05, 0.16)
        green = shade(pick(pen.rng, _GREENS), 0.7)
        pen.box(x - 0.012, horizon - width, x + 0.012, horizon + 0.01, (80, 60, 45))
        pen.ellipse(x, horizon - width * 1.2, width, width * pen.rng.uniform(0.7, 1.2), green)


def _sky(pen: Pen) -> None:
    _heaven(pen, 1.0)
    if pen.rng.random() < 0.4:  # hills or roofs far below
        top = pen.rng.uniform(0.82, 0.95)
        xs = np.linspace(0, 1, 8)
        ridge = [(float(x), top + pen.rng.uniform(-0.05, 0.05)) for x in xs]
        pen.polygon([*ridge, (1, 1), (0, 1)], shade(pick(pen.rng, _GREENS + _BRICKS), 0.8))


def _water(pen: Pen) -> None:
    horizon = pen.rng.uniform(0.25, 0.5)
    _heaven(pen, horizon)
    if pen.rng.random() < 0.6:
        ridge = [(float(x), horizon - pen.rng.uniform(0, 0.1)) for x in np.linspace(0, 1, 9)]
        pen.polygon([*ridge, (1, horizon), (0, horizon)], shade(pick(pen.rng, _GREENS), 0.75))
    water = pick(pen.rng, _WATERS)
    _gradient(pen, horizon, 1, shade(water, 1.25), shade(water, 0.85))
    _mottle(pen, horizon, 0.12, 6, 40)
    for _ in range(int(pen.rng.integers(8, 22))):
        y = pen.rng.uniform(horizon, 1)
        x, length = pen.rng.uniform(0, 1), pen.rng.uniform(0.03, 0.14) * (0.4 + y)
        crest = [(x, y), (x + length / 2, y - 0.012), (x + length, y)]
        pen.stroke(crest, 0.008, shade(water, pen.rng.uniform(1.3, 1.9)))
    for _ in range(int(pen.rng.integers(2, 5))):
        _buoy(pen, pen.rng.uniform(0, 1), pen.rng.uniform(horizon + 0.1, 1), 0.05)


def _buoy(pen: Pen, x: float, y: float, unit: float) -> None:
    pen.ellipse(x, y, 1.3 * unit, 0.5 * unit, (225, 235, 240))
    for width, low, high, colour in (
        (1.0, 0.0, 0.7, (235, 95, 20)),
        (0.75, 0.7, 1.2, (245, 245, 240)),
        (0.5, 1.2, 1.8, (235, 95, 20)),
    ):
        left, right = x - width * unit, x + width * unit
        low, high = y - low * unit, y - high * unit
        pen.polygon(
            [(left, low), (right, low), (right - unit / 4, high), (left + unit / 4, high)], colour
        )


def _signal(pen: Pen, x: float, foot: float) -> None:
    pen.box(x - 0.01, foot - 0.4, x + 0.01, foot, (70, 70, 75))
    pen.slab(x - 0.04, foot - 0.52, x + 0.04, foot - 0.32, 0.02, (25, 25, 28))
    pen.ellipse(x, foot - 0.47, 0.024, 0.024, (255, 60, 40))
    pen.ellipse(x, foot - 0.38, 0.024, 0.024, (60, 240, 110))


def _rails(pen: Pen) -> None:
    horizon = pen.rng.uniform(0.3, 0.5)
    _heaven(pen, horizon)
    _trees(pen, horizon, int(pen.rng.integers(0, 6)))
    ballast = pick(pen.rng, _BALLASTS)
    _gradient(pen, horizon, 1, shade(pick(pen.rng, [*_GREENS, *_BALLASTS]), 0.9), ballast)
    top = pen.rng.uniform(horizon + 0.12, 0.72)
    pen.box(0, top, 1, 1, ballast)
    _mottle(pen, horizon, 0.16, 48)
    tracks = 1 if top > 0.62 else 2
    depth = (1 - top) / tracks
    for track in range(tracks):
        upper, lower = top + depth * (track + 0.15), top + depth * (track + 0.7)
        slant, wood = pen.rng.uniform(-0.1, 0.1), pick(pen.rng, [(85, 65, 50), (100, 95, 90)])
        for x in np.arange(-0.1, 1.1, pen.rng.uniform(0.07, 0.11)):
            pen.polygon(
                [
                    (x, upper),
                    (x + 0.04, upper),
                    (x + 0.04 + slant, lower + 0.05),
                    (x + slant, lower + 0.05),
                ],
                wood,
            )
        for y in (upper, lower):
            pen.stroke([(-0.1, y + 0.02), (1.1, y + 0.02)], 0.018, (70, 62, 60))
            pen.stroke([(-0.1, y + 0.012), (1.1, y + 0.012)], 0.01, (205, 205, 210))
    for x in pen.rng.uniform(0.03, 0.97, int(pen.rng.integers(1, 4))):
        _signal(pen, float(x), top + 0.02)
    if pen.rng.random() < 0.6:
        x = pen.rng.uniform(0.05, 0.95)
        pen.box(x - 0.012, 0.05, x + 0.012, top, (90, 95, 95))
        pen.stroke([(0, 0.1), (1, 0.1 + pen.rng.uniform(-0.03, 0.03))], 0.006, (60, 60, 65))


def _road(pen: Pen) -> None:
    horizon = pen.rng.uniform(0.35, 0.6)
    _heaven(pen, horizon)
    x = -0.1
    while x < 1:
        width, height = pen.rng.uniform(0.12, 0.3), pen.rng.uniform(0.1, 0.4)
        brick = pick(pen.rng, _BRICKS)
        if pen.rng.random() < 0.75:
            pen.box(x, horizon - height, x + width, horizon, brick)
            for row in np.arange(horizon - height + 0.04, horizon - 0.05, 0.08):
                for column in np.arange(x + 0.03, x + width - 0.03, 0.07):
                    pen.box(column, row, column + 0.03, row + 0.04, shade(brick, 0.6))
        x += width
    _trees(pen, horizon, int(pen.rng.integers(0, 3)))
    asphalt = pick(pen.rng, _ASPHALTS, 10)
    _gradient(pen, horizon, 1, shade(asphalt, 1.1), shade(asphalt, 0.9))
    pen.box(0, horizon, 1, horizon + 0.05, shade(asphalt, 1.45))
    _mottle(pen, horizon, 0.06, 60)
    y = pen.rng.uniform(horizon + 0.15, 0.92)
    for x in np.arange(pen.rng.uniform(-0.2, 0), 1, 0.24):
        pen.polygon(
            [(x, y), (x + 0.13, y), (x + 0.12, y + 0.03), (x - 0.01, y + 0.03)], (225, 222, 205)
        )


def _grass(pen: Pen) -> None:
    horizon = pen.rng.uniform(0.15, 0.5)
    _heaven(pen, horizon)
    ridge = [(float(x), horizon - pen.rng.uniform(0, 0.12)) for x in np.linspace(0, 1, 7)]
    pen.polygon([*ridge, (1, horizon), (0, horizon)], shade(pick(pen.rng, _GREENS), 0.8))
    _trees(pen, horizon, int(pen.rng.integers(0, 5)))
    green = pick(pen.rng, _GREENS)
    _gradient(pen, horizon, 1, shade(green, 1.1), shade(green, 0.85))
    _mottle(pen, horizon, 0.15, 64)
    _mottle(pen, horizon, 0.1, 8)
    for _ in range(int(pen.rng.integers(15, 40))):
        x, y = pen.rng.uniform(0, 1), pen.rng.uniform(horizon + 0.05, 1)
        blade = [(x, y), (x + pen.rng.uniform(-0.02, 0.02), y - 0.04 * (0.4 + y))]
        pen.stroke(blade, 0.008, shade(green, pen.rng.uniform(0.6, 1.4)))
    if pen.rng.random() < 0.35:
        wood = pick(pen.rng, _FLOORS)
        for y in (horizon + 0.02, horizon + 0.08):
            pen.stroke([(-0.05, y), (1.05, y)], 0.014, wood)
        for x in np.arange(pen.rng.uniform(0, 0.1), 1, 0.2):
            pen.box(x, horizon - 0.03, x + 0.02, horizon + 0.15, wood)


def _indoor(pen: Pen) -> None:
    floor_at = pen.rng.uniform(0.6, 0.85)
    wall = pick(pen.rng, _WALLS)
    _gradient(pen, 0, floor_at, wall, shade(wall, 0.88))
    if pen.rng.random() < 0.4:
        for x in np.arange(pen.rng.uniform(0, 0.08), 1, pen.rng.uniform(0.06, 0.14)):
            pen.box(x, 0, x + 0.025, floor_at, shade(wall, pen.rng.uniform(0.88, 1.1)))
    for _ in range(int(pen.rng.integers(0, 3))):
        x, y = pen.rng.uniform(0, 0.8), pen.rng.uniform(0, 0.35)
        width, height = pen.rng.uniform(0.12, 0.3), pen.rng.uniform(0.12, 0.3)
        pen.box(x - 0.02, y - 0.02, x + width + 0.02, y + height + 0.02, pick(pen.rng, _FLOORS))
        pen.box(x, y, x + width, y + height, any_colour(pen.rng))
        pen.polygon(
            [(x, y + height), (x + width * 0.6, y + height * 0.4), (x + width, y + height)],
            any_colour(pen.rng),
        )
    floor = pick(pen.rng, _FLOORS)
    _gradient(pen, floor_at, 1, floor, shade(floor, 0.85))
    pen.box(0, floor_at - 0.02, 1, floor_at, shade(wall, 1.15))
    for y in np.linspace(floor_at, 1, 5)[1:-1]:
        pen.stroke([(-0.05, float(y)), (1.05, float(y))], 0.006, shade(floor, 0.75))
    if pen.rng.random() < 0.4:
        pen.ellipse(
            pen.rng.uniform(0.2, 0.8),
            (floor_at + 1) / 2 + 0.03,
            pen.rng.uniform(0.2, 0.45),
            0.08,
            any_colour(pen.rng),
        )
    _mottle(pen, 0, 0.03, 40)


_PAINTERS: dict[str, Callable[[Pen], None]] = {
    "sky": _sky,
    "water": _water,
    "rails": _rails,
    "road": _road,
    "grass": _grass,
    "indoor": _indoor,
}
PLACES = tuple(_PAINTERS)


def paint_background(place: str, size: int, rng: Rng) -> Array:
    """Return a picture (size, size, 3) of ``place``, one of :data:`PLACES`, without objects."""
    pen = _pen(size, rng)
    _PAINTERS[place](pen)
    return pen.colour


def clutter(pen: Pen) -> None:
    """Draw one thing of no class: a stone, crate, ball, bush, post or sign, about -1 to 1."""
    rng = pen.rng
    kind, colour = int(rng.integers(6)), shade(any_colour(rng), 0.8)
    if kind == 0:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        pen.polygon(
            [(float(np.cos(a)), float(np.sin(a)) * 0.7 + 0.3) for a in angles], pick(rng, _BALLASTS)
        )
    elif kind == 1:
        pen.box(-0.8, -0.6, 0.8, 1, pick(rng, _FLOORS))
        pen.stroke([(-0.7, -0.5), (0.7, 0.9)], 0.15, pick(rng, _FLOORS))
    elif kind == 2:
        pen.ellipse(0, 0.2, 0.8, 0.8, colour)
        pen.ellipse(-0.25, -0.05, 0.25, 0.25, shade(colour, 1.4))
    elif kind == 3:
        green = pick(rng, _GREENS)
        for x, y in rng.uniform(-0.5, 0.5, (5, 2)):
            pen.ellipse(float(x), float(y) + 0.3, 0.5, 0.45, shade(green, rng.uniform(0.7, 1.1)))
    elif kind == 4:
        pen.box(-0.18, -3, 0.18, 1, shade(colour, 0.6))
    else:
        pen.box(-0.1, -0.5, 0.1, 1, (120, 120, 120))
        pen.polygon([(-0.7, -0.4), (0, -1.3), (0.7, -0.4)], colour)
    pen.grain(0.1, 8)


def light(picture: Array, rng: Rng, size: int) -> Array:
    """Return the supersampled ``picture`` at (size, size, 3) under a random light, with noise."""
    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    gain = rng.uniform(0.78, 1.12) * rng.uniform(0.93, 1.07, 3)
    slope = noise(rng, size, 2)[..., None] * rng.uniform(0.02, 0.14)
    grain = rng.standard_normal((size, size, 3)) * rng.uniform(2, 7)
    lit = picture.astype(np.float32) * gain * (1 + slope) + rng.uniform(-8, 14) + grain
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)
