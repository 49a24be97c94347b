"""A pen for flat shapes: polygons, ellipses and strokes in an object's own coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
Point = tuple[float, float]
Array = NDArray[np.uint8]
Rng = np.random.Generator

SUPERSAMPLING = 2
_SHIFT = 4  # OpenCV draws in 1/16 pixel
_CIRCLE = [
    (math.cos(2 * math.pi * step / 28), math.sin(2 * math.pi * step / 28)) for step in range(28)
]


def shade(colour: Colour, factor: float) -> Colour:
    """Return ``colour`` made darker (below 1) or brighter (above 1)."""
    red, green, blue = (min(255.0, max(0.0, channel * factor)) for channel in colour)
    return red, green, blue


def jitter(rng: Rng, colour: Colour, amount: float = 18.0) -> Colour:
    """Return ``colour`` with every channel moved by at most ``amount``."""
    red, green, blue = np.clip(np.array(colour) + rng.uniform(-amount, amount, 3), 0, 255)
    return float(red), float(green), float(blue)


def pick(rng: Rng, colours: Sequence[Colour], amount: float = 18.0) -> Colour:
    """Return one of ``colours``, jittered."""
    return jitter(rng, colours[int(rng.integers(len(colours)))], amount)


def any_colour(rng: Rng) -> Colour:
    """Return a colour of any hue, from pale to vivid."""
    hue, saturation, value = rng.uniform(0, 1), rng.uniform(0.25, 1), rng.uniform(0.3, 1)
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    red, green, blue = 255 * value * (1 - saturation * (1 - wheel))
    return float(red), float(green), float(blue)


def noise(rng: Rng, size: int, cells: int, rows: int | None = None) -> NDArray[np.float32]:
    """Return smooth noise (size, size) of unit spread with ``cells`` bumps across."""
    coarse = rng.standard_normal((rows or cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)


def modulate(colour: Array, field: NDArray[np.float32]) -> None:
    """Multiply the picture (S, S, 3) by ``field`` (S, S), in place."""
    cv2.multiply(colour, cv2.merge([field] * 3), dst=colour, dtype=cv2.CV_8U)


class Pen:
    """Draws shapes given in object coordinates onto a layer: colours and a silhouette.

    Object coordinates run from about -1 to 1, x to the right and y down; ``matrix`` (2, 3) takes
    them to pixels of the layer (size, size). ``outline`` holds the silhouette, ``paint`` the part
    of it whose colour covers what lies behind (a spoked wheel is in the first alone).
    """

    def __init__(self, size: int, matrix: NDArray[np.float64], rng: Rng) -> None:
        self.size = size
        self.matrix = matrix
        self.rng = rng
        self.scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
        self.colour = np.zeros((size, size, 3), np.uint8)
        self.outline = np.zeros((size, size), np.uint8)
        self.paint = np.zeros((size, size), np.uint8)

    def _pixels(self, points: Sequence[Point]) -> NDArray[np.int32]:
        at = np.asarray(points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return np.rint(at * (1 << _SHIFT)).astype(np.int32)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        pixels = [self._pixels(points)]
        cv2.fillPoly(self.colour, pixels, colour, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.outline, pixels, 1, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.paint, pixels, 1, cv2.LINE_8, _SHIFT)

    def glass(self, points: Sequence[Point]) -> None:
        """Add a polygon to the silhouette that what lies behind shows through."""
        cv2.fillPoly(self.outline, [self._pixels(points)], 1, cv2.LINE_8, _SHIFT)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an upright ellipse."""
        self.polygon([(x + rx * cos, y + ry * sin) for cos, sin in _CIRCLE], colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def slab(
        self, x0: float, y0: float, x1: float, y1: float, radius: float, colour: Colour
    ) -> None:
        """Fill an upright rectangle with round corners."""
        centres = [
            (x1 - radius, y1 - radius),
            (x0 + radius, y1 - radius),
            (x0 + radius, y0 + radius),
            (x1 - radius, y0 + radius),
        ]
        points = []
        for corner, (x, y) in enumerate(centres):
            arc = [_CIRCLE[(corner * 7 + step) % 28] for step in range(8)]
            points += [(x + radius * cos, y + radius * sin) for cos, sin in arc]
        self.polygon(points, colour)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a line of round ends through ``points``."""
        pixels = [self._pixels(points)]
        thickness = max(1, round(width * self.scale))
        for layer, ink in ((self.colour, colour), (self.outline, 1), (self.paint, 1)):
            cv2.polylines(layer, pixels, False, ink, thickness, cv2.LINE_8, _SHIFT)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        """Draw a circle's rim, its inside left open."""
        points = [(x + radius * cos, y + radius * sin) for cos, sin in _CIRCLE]
        self.stroke([*points, points[0]], width, colour)

    def patches(self, colour: Colour, cells: int, level: float) -> None:
        """Blot all that is drawn so far with ``colour`` where smooth noise exceeds ``level``."""
        cells = max(2, round(cells * self.size / max(2 * self.scale, 1)))
        self.colour[noise(self.rng, self.size, min(cells, self.size)) > level] = colour

    def stripes(self, strength: float, across: float, upright: bool) -> None:
        """Darken all that is drawn so far in ``across`` stripes to the object's unit."""
        axis = np.arange(self.size, dtype=np.float32)
        line = 1 - strength * (np.sin(axis / self.scale * across * 6.28) > 0.2)
        field = np.repeat(line[None].astype(np.float32), self.size, 0)
        modulate(self.colour, field if upright else np.ascontiguousarray(field.T))

    def grain(self, strength: float, cells: int) -> None:
        """Mottle all that is drawn so far."""
        cells = min(self.size, max(2, round(cells * self.size / max(2 * self.scale, 1))))
        modulate(self.colour, 1 + strength * noise(self.rng, self.size, cells))

    def finish(self) -> None:
        """Shade the layer from one side, as light falls."""
        strength, angle = self.rng.uniform(0.05, 0.3), self.rng.uniform(0, 2 * math.pi)
        axis = np.linspace(-1, 1, self.size, dtype=np.float32)
        slope = strength * (math.cos(angle) * axis[None] + math.sin(angle) * axis[:, None])
        modulate(self.colour, (1 + slope).astype(np.float32))
