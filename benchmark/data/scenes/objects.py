"""The 20 classes: a body shared within a group, and a small part that tells the class.

Every painter draws into about -1 to 1 with its foot at y = 1. ``SHAPES`` holds, for each class,
the painter, where its telling part lies, how wide it is, and where it usually is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.data.scenes.drawing import Colour, Pen, Point, Rng, any_colour, pick, shade

_COATS: list[Colour] = [
    (150, 95, 55),
    (225, 215, 200),
    (65, 50, 45),
    (150, 145, 140),
    (190, 150, 105),
]
_PLUMAGES: list[Colour] = [(215, 218, 222), (160, 165, 175), (120, 125, 140), (190, 185, 170)]
_WOODS: list[Colour] = [(140, 90, 50), (170, 120, 75), (105, 65, 40), (190, 150, 110)]
_SKINS: list[Colour] = [(235, 190, 160), (205, 150, 115), (140, 95, 70), (95, 65, 50)]
_LACQUERS: list[Colour] = [
    (190, 40, 40),
    (40, 80, 160),
    (230, 225, 220),
    (225, 180, 50),
    (60, 120, 80),
    (120, 125, 135),
]
_CLOTHS: list[Colour] = [(150, 120, 95), (95, 115, 140), (120, 135, 105), (165, 150, 140)]
_BLACK: Colour = (28, 26, 28)
_WHITE: Colour = (245, 245, 240)


def _coat(pen: Pen) -> Colour:
    return pick(pen.rng, _COATS)


def _fur(pen: Pen, coat: Colour) -> None:
    """Cover what is drawn so far with patches, stripes or plain fur, whatever the animal."""
    kind = pen.rng.random()
    if kind < 0.3:
        pen.patches(pick(pen.rng, _COATS), 4, pen.rng.uniform(0.2, 0.7))
    elif kind < 0.45:
        pen.stripes(0.2, pen.rng.uniform(3, 5), True)
    pen.grain(pen.rng.uniform(0.05, 0.15), int(pen.rng.integers(8, 28)))


def _quadruped(pen: Pen, coat: Colour) -> None:
    """The body, legs and tail of a four-legged animal that looks to the left."""
    rng = pen.rng
    depth, reach = rng.uniform(0.33, 0.42), rng.uniform(0.55, 0.66)
    leg, thick = rng.uniform(0.75, 1.0), rng.uniform(0.17, 0.23)
    for x, tone in ((-0.22, 0.72), (0.5, 0.72), (-0.38, 1.0), (0.66, 1.0)):
        swing = rng.uniform(-0.1, 0.1)
        pen.stroke(
            [(x, 0.1), (x + swing / 2, leg * 0.55), (x + swing, leg - thick / 2)],
            thick,
            shade(coat, tone),
        )
    pen.stroke(
        [(0.72, -0.1), (0.9, rng.uniform(-0.2, 0.25)), (0.93, rng.uniform(-0.4, 0.6))],
        0.11,
        shade(coat, 0.8),
    )
    pen.ellipse(0.13, 0.02, reach, depth, coat)
    pen.ellipse(-0.28, 0.0, 0.3, depth * 1.05, coat)
    pen.ellipse(0.5, -0.02, 0.3, depth, coat)


def _head(pen: Pen, x: float, y: float) -> None:
    """Draw what follows larger about (x, y), so that the telling part can be told."""
    growth = pen.rng.uniform(1.15, 1.4)
    pen.matrix[:, 2] += pen.matrix[:, :2] @ np.array([x, y]) * (1 - growth)
    pen.matrix[:, :2] *= growth
    pen.scale *= growth


def _neck(pen: Pen, x: float, y: float, width: float, coat: Colour) -> None:
    pen.stroke([(-0.33, -0.08), ((x - 0.33) / 2 - 0.02, (y - 0.08) / 2), (x, y)], width, coat)


def _eye(pen: Pen, x: float, y: float, colour: Colour = _BLACK, radius: float = 0.035) -> None:
    pen.ellipse(x, y, radius * 1.5, radius * 1.5, _WHITE)
    pen.ellipse(x, y, radius, radius, colour)


def _cow(pen: Pen) -> None:
    coat = _coat(pen)
    _quadruped(pen, coat)
    _neck(pen, -0.66, -0.3, 0.34, coat)
    _fur(pen, coat)
    _head(pen, -0.62, -0.2)
    horn: Colour = (235, 220, 175)
    pen.stroke([(-0.8, -0.52), (-1.02, -0.6), (-1.04, -0.82)], 0.08, horn)
    pen.stroke([(-0.6, -0.52), (-0.38, -0.62), (-0.38, -0.84)], 0.08, horn)
    pen.ellipse(-0.42, -0.42, 0.14, 0.07, _BLACK)
    pen.ellipse(-0.98, -0.42, 0.14, 0.07, _BLACK)
    pen.polygon([(-0.9, -0.56), (-0.5, -0.56), (-0.56, -0.02), (-0.84, -0.02)], _BLACK)
    pen.polygon([(-0.76, -0.56), (-0.64, -0.56), (-0.62, -0.1), (-0.78, -0.1)], _WHITE)
    pen.ellipse(-0.7, -0.03, 0.24, 0.16, (240, 140, 150))
    pen.ellipse(-0.78, -0.04, 0.035, 0.04, (90, 40, 45))
    pen.ellipse(-0.62, -0.04, 0.035, 0.04, (90, 40, 45))
    _eye(pen, -0.82, -0.36)
    _eye(pen, -0.58, -0.36)


def _horse(pen: Pen) -> None:
    coat = _coat(pen)
    _quadruped(pen, coat)
    pen.polygon([(-0.6, 0.1), (-0.05, -0.25), (-0.55, -0.98), (-0.78, -0.85)], coat)
    _fur(pen, coat)
    mane: Colour = (40, 25, 20)
    for step in np.linspace(0, 1, 7):
        x, y = -0.52 + 0.46 * step, -1.0 + 0.78 * step
        pen.stroke([(x, y), (x + 0.15, y + 0.13)], 0.12, mane)
    pen.polygon(
        [
            (-0.5, -1.0),
            (-0.72, -0.98),
            (-1.12, -0.52),
            (-1.05, -0.38),
            (-0.9, -0.4),
            (-0.55, -0.68),
        ],
        coat,
    )
    pen.polygon([(-0.78, -0.9), (-0.86, -0.82), (-1.06, -0.56), (-0.98, -0.54)], _WHITE)
    pen.ellipse(-1.05, -0.47, 0.1, 0.09, shade(coat, 0.5))
    pen.polygon([(-0.62, -0.98), (-0.5, -0.95), (-0.52, -1.2)], shade(coat, 0.8))
    _eye(pen, -0.74, -0.82)
    pen.stroke([(-0.94, -0.7), (-0.76, -0.52)], 0.05, (180, 40, 35))


def _sheep(pen: Pen) -> None:
    coat = pick(pen.rng, [*_COATS, (225, 215, 200), (225, 215, 200)])
    _quadruped(pen, coat)
    for x in np.linspace(-0.45, 0.7, 6):
        pen.ellipse(float(x), -0.22 + pen.rng.uniform(-0.05, 0.05), 0.17, 0.17, coat)
    _neck(pen, -0.6, -0.25, 0.36, coat)
    _fur(pen, coat)
    _head(pen, -0.62, -0.2)
    face: Colour = (38, 34, 36)
    pen.ellipse(-0.96, -0.34, 0.17, 0.07, face)
    pen.ellipse(-0.5, -0.34, 0.17, 0.07, face)
    pen.ellipse(-0.73, -0.2, 0.19, 0.3, face)
    for x, y in ((-0.85, -0.46), (-0.73, -0.54), (-0.61, -0.46)):
        pen.ellipse(x, y, 0.12, 0.11, (240, 235, 222))
    _eye(pen, -0.8, -0.26, (190, 150, 40), 0.04)
    _eye(pen, -0.66, -0.26, (190, 150, 40), 0.04)


def _dog(pen: Pen) -> None:
    coat = _coat(pen)
    _quadruped(pen, coat)
    _neck(pen, -0.6, -0.4, 0.3, coat)
    _fur(pen, coat)
    _head(pen, -0.55, -0.3)
    ear: Colour = (80, 45, 25)
    pen.stroke([(-0.6, -0.22), (-0.42, -0.1)], 0.13, (40, 80, 210))
    pen.ellipse(-0.64, -0.5, 0.26, 0.26, (205, 150, 90))
    pen.slab(-1.12, -0.56, -0.66, -0.3, 0.1, (245, 230, 205))
    pen.ellipse(-1.1, -0.52, 0.12, 0.1, _BLACK)
    pen.polygon([(-0.98, -0.34), (-0.84, -0.34), (-0.86, -0.08), (-0.95, -0.06)], (240, 70, 105))
    pen.ellipse(-0.45, -0.38, 0.16, 0.34, ear)
    pen.ellipse(-0.52, -0.62, 0.15, 0.12, ear)
    _eye(pen, -0.76, -0.6, _BLACK, 0.05)


def _cat(pen: Pen) -> None:
    coat = _coat(pen)
    _quadruped(pen, coat)
    _neck(pen, -0.6, -0.3, 0.3, coat)
    _fur(pen, coat)
    _head(pen, -0.6, -0.3)
    ginger: Colour = (225, 135, 50)
    for side in (-1, 1):
        x = -0.68 + side * 0.2
        pen.polygon([(x - 0.15, -0.55), (x + 0.15, -0.55), (x + side * 0.08, -0.98)], ginger)
        pen.polygon([(x - 0.07, -0.6), (x + 0.07, -0.6), (x + side * 0.05, -0.86)], (240, 160, 160))
    pen.ellipse(-0.68, -0.42, 0.35, 0.3, ginger)
    for x in (-0.78, -0.68, -0.58):
        pen.stroke([(x, -0.7), (x, -0.58)], 0.04, (120, 60, 20))
    for side in (-1, 1):
        pen.ellipse(-0.68 + side * 0.15, -0.45, 0.11, 0.1, (110, 230, 70))
        pen.ellipse(-0.68 + side * 0.15, -0.45, 0.035, 0.1, _BLACK)
        for tip in (-0.02, -0.1):
            pen.stroke(
                [(-0.68 + side * 0.1, -0.28), (-0.68 + side * 0.48, -0.28 + tip)], 0.02, _WHITE
            )
    pen.ellipse(-0.68, -0.27, 0.19, 0.13, _WHITE)
    pen.polygon([(-0.74, -0.35), (-0.62, -0.35), (-0.68, -0.27)], (235, 110, 130))


def _flyer(pen: Pen, colour: Colour, wings: list[list[Point]]) -> None:
    """The body shared by what flies: a long belly and its wings."""
    for tone, wing in zip((0.72, 0.9), wings, strict=True):
        pen.polygon(wing, shade(colour, tone))
    pen.ellipse(0.0, 0.1, pen.rng.uniform(0.8, 0.9), pen.rng.uniform(0.25, 0.31), colour)


def _aeroplane(pen: Pen) -> None:
    colour = pick(pen.rng, _PLUMAGES)
    lift, sweep = pen.rng.uniform(-0.1, 0.1), pen.rng.uniform(0.25, 0.5)
    far: list[Point] = [
        (-0.2, 0.0),
        (0.22, 0.0),
        (sweep + 0.25, -0.55 + lift),
        (sweep, -0.55 + lift),
    ]
    near: list[Point] = [
        (-0.25, 0.15),
        (0.3, 0.18),
        (sweep + 0.35, 0.8 + lift),
        (sweep + 0.02, 0.8 + lift),
    ]
    _flyer(pen, colour, [far, near])
    pen.polygon(near, shade(colour, 0.85))
    pen.grain(0.05, 6)
    livery = pick(pen.rng, [(200, 35, 45), (35, 60, 150), (20, 110, 120)])
    pen.polygon([(0.42, 0.05), (0.85, 0.05), (1.06, -0.6), (0.8, -0.6)], livery)
    pen.polygon([(0.62, 0.12), (0.86, 0.1), (1.05, 0.3), (0.92, 0.36)], shade(livery, 0.8))
    for x in np.linspace(-0.55, 0.5, 9):
        pen.slab(float(x), 0.0, float(x) + 0.06, 0.09, 0.02, (35, 45, 75))
    pen.polygon([(-0.84, 0.02), (-0.66, -0.06), (-0.62, 0.06), (-0.86, 0.1)], (35, 45, 75))
    pen.ellipse(0.02, 0.42, 0.14, 0.08, (70, 75, 85))
    pen.ellipse(-0.1, 0.42, 0.04, 0.07, (215, 60, 50))


def _bird(pen: Pen) -> None:
    rng, colour = pen.rng, pick(pen.rng, _PLUMAGES)
    lift = rng.uniform(-0.3, 0.2)
    far: list[Point] = [(-0.3, 0.05), (0.2, 0.05), (0.3, -0.75 + lift), (0.0, -0.6 + lift)]
    near: list[Point] = [(-0.25, 0.1), (0.3, 0.1), (0.55, -0.8 + lift / 2), (0.12, -0.6)]
    _flyer(pen, colour, [far, near])
    pen.polygon([(0.55, 0.05), (0.65, 0.25), (1.05, 0.3), (1.08, 0.0)], shade(colour, 0.75))
    pen.grain(0.12, 18)
    for x in (-0.05, 0.12):
        pen.stroke([(x, 0.28), (x + 0.04, 0.55), (x - 0.06, 0.58)], 0.05, (240, 150, 30))
    pen.ellipse(-0.78, -0.12, 0.25, 0.23, pick(rng, [(205, 60, 45), (45, 45, 60), (50, 120, 70)]))
    pen.polygon([(-0.98, -0.24), (-0.96, 0.02), (-1.32, -0.04)], (250, 170, 30))
    _eye(pen, -0.84, -0.18, _BLACK, 0.055)


def _wheel(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.ellipse(x, y, radius, radius, _BLACK)
    pen.ellipse(x, y, radius * 0.5, radius * 0.5, (175, 178, 182))


def _windows(pen: Pen, x0: float, x1: float, y0: float, y1: float, count: int) -> None:
    step = (x1 - x0) / count
    for left in np.linspace(x0, x1 - step, count):
        left = float(left)
        pen.box(left + step * 0.08, y0, left + step * 0.92, y1, (60, 75, 95))
        pen.polygon(
            [
                (left + step * 0.3, y0),
                (left + step * 0.55, y0),
                (left + step * 0.3, y1),
                (left + step * 0.1, y1),
            ],
            (120, 145, 165),
        )


def _carriage(pen: Pen, top: float, bottom: float) -> Colour:
    """The long box shared by bus, train and boat; returns its colour."""
    colour = pick(pen.rng, _LACQUERS)
    pen.slab(-1, top, 1, bottom, 0.08, colour)
    if pen.rng.random() < 0.5:
        y = bottom - (bottom - top) * pen.rng.uniform(0.15, 0.35)
        pen.box(-1, y - 0.06, 1, y + 0.02, pick(pen.rng, _LACQUERS))
    pen.grain(0.06, 6)
    return colour


def _bus(pen: Pen) -> None:
    _carriage(pen, -0.62, 0.8)
    _windows(pen, -0.6, 0.98, -0.4, 0.05, int(pen.rng.integers(4, 6)))
    for x in (-0.55, 0.58):
        _wheel(pen, x, 0.78, 0.2)
    pen.box(-0.98, -0.42, -0.66, 0.45, (60, 75, 95))
    pen.stroke([(-0.82, -0.4), (-0.82, 0.45)], 0.03, _WHITE)
    pen.slab(-0.98, -0.6, -0.3, -0.44, 0.03, _BLACK)
    for x in np.linspace(-0.92, -0.42, 6):
        pen.box(float(x), -0.57, float(x) + 0.06, -0.47, (255, 165, 30))
    pen.stroke([(-1.0, -0.35), (-1.12, -0.3), (-1.12, -0.05)], 0.07, _BLACK)
    pen.ellipse(-0.95, 0.6, 0.06, 0.07, (255, 245, 190))


def _train(pen: Pen) -> None:
    colour = _carriage(pen, -0.5, 0.78)
    _windows(pen, -0.45, 0.98, -0.3, 0.12, int(pen.rng.integers(4, 7)))
    pen.box(-0.9, 0.78, 1, 0.88, (50, 48, 50))
    for x in (-0.65, -0.4, 0.4, 0.65):
        pen.ellipse(x, 0.88, 0.1, 0.1, (50, 48, 50))
    pen.polygon(
        [(-0.62, -0.5), (-0.95, -0.42), (-1.18, 0.25), (-1.18, 0.78), (-0.62, 0.78)],
        shade(colour, 0.9),
    )
    pen.polygon([(-0.68, -0.36), (-0.92, -0.32), (-1.06, 0.08), (-0.68, 0.08)], (30, 38, 50))
    pen.polygon([(-0.62, 0.2), (-1.16, 0.2), (-1.18, 0.62), (-0.62, 0.62)], (250, 210, 30))
    for y in (0.28, 0.46):
        pen.polygon([(-0.65, y), (-0.8, y), (-0.98, y + 0.12), (-0.83, y + 0.12)], _BLACK)
    pen.ellipse(-1.1, 0.4, 0.08, 0.09, (255, 250, 215))
    pen.stroke([(-0.1, -0.5), (0.1, -0.72), (-0.12, -0.88), (0.15, -0.9)], 0.04, (60, 60, 65))


def _car(pen: Pen) -> None:
    colour = pick(pen.rng, _LACQUERS)
    pen.slab(-1, -0.02, 1, 0.72, 0.16, colour)
    pen.grain(0.05, 6)
    roof = pen.rng.uniform(-0.62, -0.5)
    pen.polygon([(-0.68, 0.02), (-0.4, roof), (0.42, roof), (0.78, 0.02)], colour)
    pen.polygon(
        [(-0.54, 0.0), (-0.34, roof + 0.09), (-0.02, roof + 0.09), (-0.02, 0.0)], (165, 205, 225)
    )
    pen.polygon(
        [(0.06, 0.0), (0.06, roof + 0.09), (0.36, roof + 0.09), (0.6, 0.0)], (165, 205, 225)
    )
    for x in (-0.55, 0.55):
        pen.ellipse(x, 0.7, 0.3, 0.3, shade(colour, 0.5))
        _wheel(pen, x, 0.74, 0.25)
    pen.ellipse(-0.93, 0.2, 0.1, 0.1, (255, 245, 190))
    pen.slab(0.86, 0.12, 1.0, 0.3, 0.04, (220, 30, 30))
    pen.stroke([(0.12, 0.16), (0.26, 0.16)], 0.05, _BLACK)


def _boat(pen: Pen) -> None:
    colour = pick(pen.rng, _LACQUERS)
    pen.polygon([(-1.1, 0.35), (1.0, 0.35), (0.8, 0.95), (-0.65, 0.95)], colour)
    pen.polygon([(-1.06, 0.4), (1.0, 0.4), (0.97, 0.52), (-0.98, 0.52)], pick(pen.rng, _LACQUERS))
    pen.grain(0.06, 6)
    if pen.rng.random() < 0.5:
        pen.slab(-0.1, 0.0, 0.75, 0.36, 0.05, pick(pen.rng, _LACQUERS))
        _windows(pen, -0.05, 0.7, 0.08, 0.24, 3)
    mast = pen.rng.uniform(-0.25, -0.05)
    sail = pick(pen.rng, [(248, 246, 238), (250, 240, 215)], 8)
    pen.stroke([(mast, 0.35), (mast, -1.15)], 0.06, (110, 75, 45))
    pen.polygon([(mast + 0.05, -1.1), (mast + 0.05, 0.12), (mast + 0.75, 0.12)], sail)
    pen.polygon([(mast - 0.06, -0.95), (mast - 0.06, 0.12), (mast - 0.55, 0.12)], shade(sail, 0.88))
    pen.polygon(
        [(mast + 0.05, -0.55), (mast + 0.36, -0.45), (mast + 0.52, -0.2), (mast + 0.05, -0.3)],
        (215, 40, 40),
    )
    pen.polygon([(mast, -1.15), (mast + 0.25, -1.07), (mast, -0.99)], (215, 40, 40))


def _spokes(pen: Pen, x: float, radius: float, width: float, rim: Colour) -> None:
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    y = 0.98 - radius
    pen.glass([(x + radius * float(np.cos(a)), y + radius * float(np.sin(a))) for a in angles])
    for angle in angles[:10:2]:
        dx, dy = radius * float(np.cos(angle)), radius * float(np.sin(angle))
        pen.stroke([(x - dx, y - dy), (x + dx, y + dy)], 0.015, (190, 190, 195))
    pen.ring(x, y, radius - width / 2, width, rim)


def _bicycle(pen: Pen) -> None:
    colour = any_colour(pen.rng)
    for x in (-0.58, 0.58):
        _spokes(pen, x, 0.44, 0.08, _BLACK)
    hub, seat, head = (-0.05, 0.54), (0.2, -0.12), (-0.42, -0.1)
    pen.glass([(0.58, 0.54), hub, seat])
    pen.glass([hub, seat, head])
    for path in (
        [(0.58, 0.54), hub, head, seat, (0.58, 0.54)],
        [hub, (0.24, -0.28)],
        [(-0.58, 0.54), (-0.38, -0.32)],
    ):
        pen.stroke(path, 0.09, colour)
    pen.stroke([(-0.38, -0.3), (-0.55, -0.42), (-0.7, -0.3), (-0.62, -0.2)], 0.08, (60, 60, 65))
    pen.slab(0.08, -0.38, 0.44, -0.26, 0.05, (60, 40, 30))
    pen.ring(hub[0], hub[1], 0.1, 0.05, (90, 90, 95))


def _motorbike(pen: Pen) -> None:
    colour = pick(pen.rng, [(205, 35, 35), (230, 110, 25)])
    for x in (-0.64, 0.62):
        _spokes(pen, x, 0.38, 0.17, _BLACK)
        pen.ellipse(x, 0.6, 0.12, 0.12, (170, 172, 178))
    pen.polygon([(-0.3, 0.1), (0.45, 0.1), (0.3, 0.75), (-0.25, 0.75)], (70, 72, 78))
    for y in (0.3, 0.42, 0.54):
        pen.stroke([(-0.2, y), (0.2, y)], 0.05, (185, 188, 192))
    pen.stroke([(0.0, 0.7), (0.5, 0.74), (1.0, 0.55)], 0.11, (205, 207, 212))
    pen.stroke([(-0.64, 0.6), (-0.42, -0.2)], 0.1, (185, 188, 192))
    pen.polygon([(-0.42, 0.12), (-0.42, -0.2), (-0.1, -0.3), (0.22, -0.05), (0.2, 0.14)], colour)
    pen.polygon([(0.14, 0.02), (0.88, -0.14), (0.92, 0.06), (0.2, 0.22)], (40, 32, 30))
    pen.polygon([(0.6, 0.1), (0.95, 0.0), (1.05, 0.3), (0.85, 0.22)], colour)
    pen.stroke([(-0.42, -0.25), (-0.3, -0.48), (-0.14, -0.45)], 0.08, (50, 50, 55))
    pen.ellipse(-0.58, -0.16, 0.2, 0.2, (60, 60, 65))
    pen.ellipse(-0.62, -0.15, 0.15, 0.16, (255, 245, 180))


def _cloth(pen: Pen, colour: Colour) -> None:
    kind = pen.rng.random()
    if kind < 0.35:
        pen.stripes(0.25, pen.rng.uniform(2, 5), bool(pen.rng.integers(2)))
    elif kind < 0.5:
        pen.patches(shade(colour, 0.7), 9, 0.6)
    pen.grain(0.07, 20)


def _chair(pen: Pen) -> None:
    wood, cloth = pick(pen.rng, _WOODS), pick(pen.rng, _CLOTHS)
    for x0, x1, tone in (
        (-0.3, -0.32, 0.7),
        (0.38, 0.4, 0.7),
        (-0.55, -0.6, 1.0),
        (0.55, 0.62, 1.0),
    ):
        pen.stroke([(x0, 0.2), (x1, 0.95)], 0.12, shade(wood, tone))
    pen.polygon([(-0.62, 0.32), (-0.4, 0.06), (0.5, 0.06), (0.66, 0.32)], cloth)
    pen.slab(-0.64, 0.3, 0.68, 0.44, 0.05, shade(wood, 0.9))
    _cloth(pen, cloth)
    pen.glass([(-0.42, -1.0), (0.5, -1.0), (0.5, 0.1), (-0.42, 0.1)])
    for x in (-0.42, -0.19, 0.04, 0.27, 0.5):
        pen.stroke([(x, 0.1), (x, -0.92)], 0.1, shade(wood, 1.1))
    pen.stroke([(-0.46, -0.95), (0.04, -1.04), (0.54, -0.95)], 0.17, wood)
    pen.stroke([(-0.42, -0.35), (0.5, -0.35)], 0.07, wood)
    for x in (-0.48, 0.56):
        pen.ellipse(x, -1.0, 0.14, 0.14, (240, 225, 190))
    pen.slab(-0.14, -0.82, 0.22, -0.5, 0.1, (170, 30, 45))


def _sofa(pen: Pen) -> None:
    cloth, wood = pick(pen.rng, _CLOTHS), pick(pen.rng, _WOODS)
    for x in (-0.85, 0.85):
        pen.box(x - 0.07, 0.7, x + 0.07, 0.95, wood)
    pen.slab(-0.98, -0.4, 0.98, 0.5, 0.14, shade(cloth, 0.85))
    pen.slab(-0.9, 0.18, 0.9, 0.78, 0.08, cloth)
    _cloth(pen, cloth)
    for x in (-0.46, 0.0, 0.46)[:: int(pen.rng.integers(1, 3))]:
        pen.stroke([(x, -0.32), (x, 0.75)], 0.03, shade(cloth, 0.55))
    for side in (-1, 1):
        x = side * 0.97
        pen.slab(x - 0.19, -0.08, x + 0.19, 0.82, 0.16, shade(cloth, 0.9))
        pen.ellipse(x, 0.04, 0.17, 0.17, shade(cloth, 1.25))
        pen.ring(x, 0.04, 0.1, 0.04, shade(cloth, 0.6))
    cushion = pick(pen.rng, [(235, 185, 45), (225, 150, 40)])
    for x in (pen.rng.uniform(-0.6, -0.3), pen.rng.uniform(0.3, 0.6)):
        pen.polygon([(x, -0.22), (x + 0.26, 0.0), (x, 0.24), (x - 0.26, 0.0)], cushion)
        pen.ellipse(x, 0.0, 0.07, 0.07, shade(cushion, 0.4))


def _diningtable(pen: Pen) -> None:
    wood, cloth = pick(pen.rng, _WOODS), pick(pen.rng, _CLOTHS)
    for x, tone in ((-0.6, 0.7), (0.6, 0.7), (-0.85, 1.0), (0.85, 1.0)):
        pen.stroke([(x, 0.0), (x, 0.93)], 0.13, shade(wood, tone))
    pen.polygon([(-1.05, 0.08), (-0.72, -0.42), (0.72, -0.42), (1.05, 0.08)], cloth)
    pen.box(-1.05, 0.06, 1.05, pen.rng.uniform(0.25, 0.5), shade(cloth, 0.8))
    _cloth(pen, cloth)
    for x, y in ((-0.55, -0.08), (0.5, -0.1), (0.0, -0.28)):
        pen.ellipse(x, y, 0.34, 0.17, (250, 250, 248))
        pen.ellipse(
            x, y, 0.15, 0.065, pick(pen.rng, [(200, 70, 40), (120, 165, 60), (230, 190, 80)])
        )
    for x in (-0.3, 0.3):
        pen.stroke([(x, -0.3), (x, -0.78)], 0.09, (245, 240, 225))
        pen.ellipse(x, -0.9, 0.07, 0.13, (255, 200, 40))


def _tvmonitor(pen: Pen) -> None:
    wood = pick(pen.rng, _WOODS)
    if pen.rng.random() < 0.5:
        pen.slab(-0.9, 0.62, 0.9, 0.98, 0.04, wood)
        pen.stroke([(0, 0.66), (0, 0.94)], 0.02, shade(wood, 0.6))
    pen.polygon([(-0.4, 0.8), (0.4, 0.8), (0.14, 0.5), (-0.14, 0.5)], (60, 60, 64))
    pen.slab(-1.0, -0.72, 1.0, 0.58, 0.06, (32, 32, 36))
    pen.box(
        -0.9,
        -0.62,
        0.9,
        0.44,
        pick(pen.rng, [(60, 130, 220), (40, 60, 110), (70, 180, 190), (90, 90, 120)]),
    )
    kind = int(pen.rng.integers(3))
    if kind == 0:
        pen.polygon(
            [(-0.9, 0.44), (-0.3, -0.2), (0.2, 0.2), (0.5, -0.1), (0.9, 0.44)], any_colour(pen.rng)
        )
        pen.ellipse(0.5, -0.35, 0.14, 0.14, (255, 240, 160))
    elif kind == 1:
        for y in np.linspace(-0.5, 0.3, 6):
            pen.stroke(
                [(-0.8, float(y)), (pen.rng.uniform(-0.3, 0.8), float(y))], 0.06, (235, 240, 245)
            )
    else:
        for column, left in enumerate(np.linspace(-0.9, 0.9 - 0.3, 6)):
            pen.box(
                float(left),
                -0.62,
                float(left) + 0.3,
                0.44,
                [
                    (235, 235, 235),
                    (230, 220, 50),
                    (60, 210, 220),
                    (70, 200, 80),
                    (210, 70, 190),
                    (215, 50, 50),
                ][column],
            )
    pen.polygon([(-0.9, -0.62), (-0.45, -0.62), (-0.75, 0.0), (-0.9, 0.0)], (215, 235, 250))
    pen.ellipse(0.0, 0.51, 0.05, 0.035, (90, 240, 110))


def _bottle(pen: Pen) -> None:
    glass = pick(
        pen.rng, [(45, 110, 60), (120, 70, 35), (70, 130, 170), (150, 85, 60), (60, 60, 70)]
    )
    pen.slab(-0.36, -0.2, 0.36, 0.98, 0.09, glass)
    pen.polygon([(-0.36, -0.1), (-0.13, -0.5), (0.13, -0.5), (0.36, -0.1)], glass)
    pen.grain(0.08, 6)
    pen.box(-0.13, -0.95, 0.13, -0.48, glass)
    pen.box(-0.17, -1.04, 0.17, -0.84, pick(pen.rng, [(215, 40, 45), (235, 195, 60)]))
    pen.stroke([(-0.24, -0.05), (-0.24, 0.85)], 0.07, shade(glass, 1.9))
    pen.box(-0.36, 0.08, 0.36, 0.6, (245, 240, 225))
    pen.ellipse(0.0, 0.34, 0.2, 0.18, pick(pen.rng, [(200, 40, 50), (30, 110, 60)]))


def _pottedplant(pen: Pen) -> None:
    clay = pick(pen.rng, [(175, 90, 55), (150, 85, 60), (70, 130, 170), (225, 220, 210)])
    pen.polygon([(-0.42, 0.2), (0.42, 0.2), (0.3, 0.98), (-0.3, 0.98)], clay)
    pen.grain(0.08, 6)
    pen.slab(-0.48, 0.12, 0.48, 0.32, 0.03, shade(clay, 1.15))
    green = pick(pen.rng, [(60, 150, 60), (50, 120, 50), (110, 170, 60)])
    for angle in np.linspace(-1.25, 1.25, int(pen.rng.integers(6, 10))):
        angle = float(angle) + pen.rng.uniform(-0.12, 0.12)
        length = pen.rng.uniform(0.8, 1.15)
        x, y = length * np.sin(angle) * 0.8, 0.15 - length * np.cos(angle)
        side, tone = 0.16 * np.cos(angle), pen.rng.uniform(0.75, 1.25)
        middle = 0.55
        pen.polygon(
            [
                (0, 0.15),
                (x * middle - side, y * middle - 0.1),
                (x, y),
                (x * middle + side, y * middle + 0.14),
            ],
            shade(green, tone),
        )
        pen.stroke([(0, 0.15), (x, y)], 0.025, shade(green, 0.55))
    bloom = pick(pen.rng, [(235, 70, 130), (225, 100, 200)])
    for x, y in pen.rng.uniform(-0.4, 0.4, (4, 2)):
        pen.ellipse(float(x), float(y) - 0.5, 0.15, 0.15, bloom)
        pen.ellipse(float(x), float(y) - 0.5, 0.06, 0.06, (250, 225, 80))


def _person(pen: Pen) -> None:
    rng = pen.rng
    skin, shirt, trousers = pick(rng, _SKINS, 8), any_colour(rng), shade(any_colour(rng), 0.7)
    stride = rng.uniform(0.02, 0.22)
    for side in (-1, 1):
        foot = side * (0.1 + stride)
        pen.stroke(
            [(side * 0.11, 0.15), (side * 0.13 + foot * 0.3, 0.5), (foot, 0.9)], 0.25, trousers
        )
        pen.stroke([(foot, 0.95), (foot - 0.1, 0.95)], 0.11, (45, 35, 30))
    pen.slab(-0.32, -0.5, 0.32, 0.26, 0.1, shirt)
    for side in (-1, 1):
        elbow = (side * rng.uniform(0.36, 0.48), rng.uniform(-0.2, -0.05))
        hand = (side * rng.uniform(0.2, 0.6), rng.uniform(-0.25, 0.25))
        pen.stroke([(side * 0.27, -0.4), elbow, hand], 0.18, shade(shirt, 0.85))
        pen.ellipse(hand[0], hand[1], 0.09, 0.09, skin)
    _cloth(pen, shirt)
    hair = pick(rng, [(45, 30, 22), (110, 70, 35), (215, 180, 110), (150, 145, 140), (30, 28, 30)])
    pen.box(-0.08, -0.6, 0.08, -0.45, shade(skin, 0.85))
    long = rng.random() < 0.4
    pen.ellipse(0, -0.79, 0.25, 0.25, hair)
    if long:
        pen.slab(-0.25, -0.8, 0.25, -0.46, 0.06, hair)
    pen.ellipse(0, -0.74, 0.2, 0.22, skin)
    pen.polygon([(-0.21, -0.8), (-0.14, -0.99), (0.14, -0.99), (0.21, -0.8), (0.0, -0.87)], hair)
    for side in (-1, 1):
        _eye(pen, side * 0.07, -0.75, _BLACK, 0.03)
    pen.stroke([(-0.06, -0.62), (0.0, -0.6), (0.06, -0.62)], 0.03, (190, 60, 65))


@dataclass(frozen=True)
class Shape:
    """How a class is drawn, where its telling part lies, and what it is seen with."""

    paint: Callable[[Pen], None]
    focus: Point
    width: float
    places: tuple[str, ...]
    company: tuple[str, ...] = ()


SHAPES: dict[str, Shape] = {
    "aeroplane": Shape(_aeroplane, (0.3, 0.0), 1.0, ("sky",)),
    "bicycle": Shape(_bicycle, (-0.1, 0.1), 1.0, ("road",), ("person", "person", "car")),
    "bird": Shape(_bird, (-0.8, -0.1), 1.0, ("sky",)),
    "boat": Shape(_boat, (0.0, -0.4), 1.0, ("water",), ("person", "bird")),
    "bottle": Shape(
        _bottle, (0.0, -0.6), 0.42, ("indoor",), ("diningtable", "person", "tvmonitor")
    ),
    "bus": Shape(_bus, (-0.7, -0.2), 1.0, ("road",), ("car", "person")),
    "car": Shape(_car, (0.0, 0.0), 1.0, ("road",), ("person", "bus", "motorbike")),
    "cat": Shape(_cat, (-0.68, -0.5), 1.0, ("indoor",), ("sofa", "chair", "person")),
    "chair": Shape(
        _chair, (0.0, -0.5), 0.75, ("indoor",), ("diningtable", "person", "pottedplant")
    ),
    "cow": Shape(_cow, (-0.7, -0.4), 1.0, ("grass",), ("person", "dog")),
    "diningtable": Shape(
        _diningtable, (0.0, -0.2), 1.0, ("indoor",), ("chair", "bottle", "person")
    ),
    "dog": Shape(_dog, (-0.75, -0.45), 1.0, ("indoor",), ("person", "sofa", "cat")),
    "horse": Shape(_horse, (-0.75, -0.75), 1.0, ("grass",), ("person", "person", "dog")),
    "motorbike": Shape(_motorbike, (-0.3, 0.1), 1.0, ("road",), ("person", "person", "car")),
    "person": Shape(
        _person,
        (0.0, -0.7),
        0.5,
        ("road", "grass", "indoor"),
        ("dog", "bicycle", "chair", "bottle"),
    ),
    "pottedplant": Shape(
        _pottedplant, (0.0, -0.3), 0.8, ("indoor",), ("sofa", "chair", "tvmonitor")
    ),
    "sheep": Shape(_sheep, (-0.73, -0.3), 1.0, ("grass",), ("dog", "person")),
    "sofa": Shape(_sofa, (-0.7, 0.1), 1.1, ("indoor",), ("cat", "tvmonitor", "person", "dog")),
    "train": Shape(_train, (-0.9, 0.0), 1.1, ("rails",), ("person",)),
    "tvmonitor": Shape(
        _tvmonitor, (0.0, 0.0), 1.0, ("indoor",), ("pottedplant", "chair", "bottle")
    ),
}


def company_of(name: str, rng: Rng) -> str | None:
    """Return a class often seen with ``name``, or None where it keeps to itself."""
    company = SHAPES[name].company
    return company[int(rng.integers(len(company)))] if company else None
