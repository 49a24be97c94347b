"""Training crops and inference inputs: pure functions on uint8 images and a random generator."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def training_crop(
    image: Image,
    rng: np.random.Generator,
    *,
    shorter_side: tuple[int, int],
    crop: int,
    flip: bool,
    colour: float,
) -> Image:
    """Return a random (crop, crop, 3) view: scale, position, mirror and colour (He et al. 2016).

    ``colour`` bounds the change of brightness and of each channel's gain, as a fraction.
    """
    view = _resized(image, int(rng.integers(shorter_side[0], shorter_side[1] + 1)), crop)
    top = int(rng.integers(0, view.shape[0] - crop + 1))
    left = int(rng.integers(0, view.shape[1] - crop + 1))
    view = view[top : top + crop, left : left + crop]
    if flip and rng.random() < 0.5:
        view = view[:, ::-1]
    if colour:
        gain = 1 + rng.uniform(-colour, colour) + rng.uniform(-colour, colour, 3) / 2
        view = np.clip(view * gain, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(view)


def warped(image: Image, size: int) -> Image:
    """Return the whole image warped to a (size, size, 3) square."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def _resized(image: Image, shorter: int, at_least: int) -> Image:
    height, width = image.shape[:2]
    scale = max(shorter, at_least) / min(height, width)
    target = (max(at_least, round(width * scale)), max(at_least, round(height * scale)))
    if target == (width, height):
        return image
    return np.asarray(cv2.resize(image, target, interpolation=cv2.INTER_LINEAR), np.uint8)
