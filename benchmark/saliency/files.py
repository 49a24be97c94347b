"""Saliency maps as 8-bit grey PNGs of the image's size, one ``ID.png`` an image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from benchmark.errors import BenchmarkError


def read_saliency(folder: Path, image_id: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the map (H, W) in [0, 1]; BenchmarkError if missing, unreadable, RGB or misshapen."""
    path = folder / f"{image_id}.png"
    if not path.is_file():
        raise BenchmarkError(f"{path} is missing: every image needs a saliency map")
    try:
        with Image.open(path) as picture:
            mode, grey = picture.mode, np.asarray(picture)
    except (OSError, UnidentifiedImageError) as error:
        raise BenchmarkError(f"{path} is not a readable PNG: {error}") from error
    if mode != "L":
        raise BenchmarkError(f"{path} has mode {mode}: save saliency as 8-bit grey (mode L)")
    if grey.shape != shape:
        raise BenchmarkError(f"{path} is {grey.shape[::-1]} pixels, its image {shape[::-1]}")
    return grey.astype(np.float32) / np.float32(255)


def write_saliency(path: Path, saliency: NDArray[np.float32], shape: tuple[int, int]) -> None:
    """Write a map in [0, 1], resized to ``shape`` (H, W)."""
    full = cv2.resize(saliency, shape[::-1], interpolation=cv2.INTER_LINEAR)
    Image.fromarray(np.rint(np.clip(full, 0, 1) * 255).astype(np.uint8)).save(path)
