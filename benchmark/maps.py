"""Attention maps on disk: one safetensors file, half precision, present classes only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from benchmark.errors import BenchmarkError

BACKGROUND = "/background"
"""Ends the name of an image's background map; no image's id holds a slash."""


def write_maps(
    path: Path,
    maps: Mapping[str, NDArray[np.floating]],
    classes: Mapping[str, list[int]],
    backgrounds: Mapping[str, NDArray[np.floating]] | None = None,
) -> None:
    """Write each image's maps (P, h, w) in [0, 1] and the ids 1..K of its P present classes.

    ``backgrounds``: for methods that score the background too, each image's map (h, w) in [0, 1].
    """
    metadata = {"classes": json.dumps({name: classes[name] for name in sorted(maps)})}
    arrays = {name: np.ascontiguousarray(maps[name], np.float16) for name in sorted(maps)}
    for name, background in sorted((backgrounds or {}).items()):
        arrays[name + BACKGROUND] = np.ascontiguousarray(background, np.float16)
    save_file(arrays, path, metadata)


class MapArchive:
    """Read access to one written file; maps are read one image at a time."""

    def __init__(self, path: Path) -> None:
        """Open ``path``; BenchmarkError where it is missing or not an archive of maps."""
        try:
            self._file = safe_open(path, framework="numpy")
            self._classes: dict[str, list[int]] = json.loads(self._file.metadata()["classes"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(f"{path} is not an archive of attention maps: {error}") from error

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all images in the archive."""
        return tuple(self._classes)

    def read(self, image_id: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return maps (P, h, w) float32 and the P class ids of one image."""
        maps = self._file.get_tensor(image_id).astype(np.float32)
        return maps, np.asarray(self._classes[image_id], np.int64)

    def background(self, image_id: str) -> NDArray[np.float32] | None:
        """Return the background map (h, w) float32 of one image, or None where there is none."""
        if image_id + BACKGROUND not in self._file.keys():  # noqa: SIM118 (not a dict)
            return None
        background: NDArray[np.float32] = self._file.get_tensor(image_id + BACKGROUND)
        return background.astype(np.float32)
