"""Training crops and inference inputs: pure functions on uint8 images and a random generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Plane = NDArray[Any]
ViewKind = Literal["shorter_side", "longer_side", "area", "warp"]


@dataclass(frozen=True)
class View:
    """A square cut out of a resized image.

    ``source`` (top, left, height, width) is taken from the image and resized to ``size`` (height,
    width); ``corner`` (top, left) of the square lies in that, or outside where it is padded.
    """

    source: tuple[int, int, int, int]
    size: tuple[int, int]
    corner: tuple[int, int]
    crop: int
    mirrored: bool

    def of(
        self,
        plane: Plane,
        *,
        nearest: bool = False,
        padding: Any = 0,
        change: Callable[[Plane], Plane] | None = None,
    ) -> Plane:
        """Return what the view shows of ``plane`` (H, W) or (H, W, K): (crop, crop) likewise.

        ``change`` is made pixel by pixel to what is seen of the plane, and not to the padding.
        """
        top, left, height, width = self.source
        seen = plane[top : top + height, left : left + width]
        if seen.shape[:2] != self.size:
            mode = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
            seen = np.asarray(cv2.resize(seen, self.size[::-1], interpolation=mode), plane.dtype)
        seen = self._cut(seen, padding, change)
        return np.ascontiguousarray(seen[:, ::-1] if self.mirrored else seen)

    def _cut(self, seen: Plane, padding: Any, change: Callable[[Plane], Plane] | None) -> Plane:
        top, left = self.corner
        inside = seen[max(top, 0) : top + self.crop, max(left, 0) : left + self.crop]
        inside = inside if change is None else change(inside)
        if inside.shape[:2] == (self.crop, self.crop):
            return inside
        padded = np.empty((self.crop, self.crop, *seen.shape[2:]), seen.dtype)
        padded[...] = padding
        above, before = max(-top, 0), max(-left, 0)
        padded[above : above + inside.shape[0], before : before + inside.shape[1]] = inside
        return padded


def draw_view(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    kind: ViewKind,
    side: tuple[int, int],
    crop: int,
    flip: bool,
) -> View:
    """Draw a view of an image of ``shape``; ``kind`` and ``side`` as in ``TrainingRecipe``."""
    if kind == "area":
        return _area_view(shape, rng, crop, flip)
    source = (0, 0, shape[0], shape[1])
    if kind == "warp":
        return View(source, (crop, crop), (0, 0), crop, _mirrored(rng, flip))
    drawn = int(rng.integers(side[0], side[1] + 1))
    size = _resized_to(shape, drawn, crop) if kind == "shorter_side" else _within(shape, drawn)
    top, left = (_offset(rng, length - crop) for length in size)
    return View(source, size, (top, left), crop, _mirrored(rng, flip))


def training_crop(
    image: Image,
    rng: np.random.Generator,
    *,
    shorter_side: tuple[int, int],
    crop: int,
    flip: bool,
    colour: float,
) -> Image:
    """Return a random (crop, crop, 3) view: scale, position, mirror and colour (He et al. 2016)."""
    view = draw_view(image.shape, rng, kind="shorter_side", side=shorter_side, crop=crop, flip=flip)
    return recoloured(view.of(image), rng, colour)


def recoloured(image: Image, rng: np.random.Generator, colour: float) -> Image:
    """Return ``image`` with brightness and each channel's gain changed by up to ``colour``."""
    return translated(image, draw_colours(rng, colour))


def draw_colours(rng: np.random.Generator, colour: float) -> Image | None:
    """Draw what each value of each channel becomes, (256, 3); None where ``colour`` is 0."""
    if not colour:
        return None
    gain = 1 + rng.uniform(-colour, colour) + rng.uniform(-colour, colour, 3) / 2
    return np.clip(np.arange(256)[:, None] * gain, 0, 255).astype(np.uint8)


def translated(image: Image, colours: Image | None) -> Image:
    """Return ``image`` (H, W, 3) with every value as ``colours`` (256, 3) has it."""
    if colours is None:
        return image
    return np.asarray(cv2.LUT(image, colours[None]), np.uint8)  # many times as fast as on pixels


def warped(image: Image, size: int) -> Image:
    """Return the whole image warped to a (size, size, 3) square."""
    return resized(image, (size, size))


def resized(image: Image, shape: tuple[int, int]) -> Image:
    """Return the whole image resized to ``shape`` (H, W)."""
    if image.shape[:2] == shape:
        return image
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _resized_to(shape: tuple[int, ...], shorter: int, at_least: int) -> tuple[int, int]:
    scale = max(shorter, at_least) / min(shape[:2])
    return max(at_least, round(shape[0] * scale)), max(at_least, round(shape[1] * scale))


def _within(shape: tuple[int, ...], longer: int) -> tuple[int, int]:
    scale = longer / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _offset(rng: np.random.Generator, room: int) -> int:
    """Draw where the square begins; below 0 where it is larger than the image."""
    return int(rng.integers(min(room, 0), max(room, 0) + 1))


def _mirrored(rng: np.random.Generator, flip: bool) -> bool:
    return bool(flip and rng.random() < 0.5)


def _area_view(shape: tuple[int, ...], rng: np.random.Generator, crop: int, flip: bool) -> View:
    """torchvision's RandomResizedCrop: share of the area 0.08 to 1, aspect 3/4 to 4/3."""
    height, width = shape[:2]
    for _ in range(10):
        area = height * width * rng.uniform(0.08, 1.0)
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        wide, high = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            top, left = _offset(rng, height - high), _offset(rng, width - wide)
            return View((top, left, high, wide), (crop, crop), (0, 0), crop, _mirrored(rng, flip))
    side = min(height, width)
    source = ((height - side) // 2, (width - side) // 2, side, side)
    return View(source, (crop, crop), (0, 0), crop, _mirrored(rng, flip))
