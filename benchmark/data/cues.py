"""Localisation cues that somebody else released, as labels to train on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.data.released import UNREADABLE, reason_of
from benchmark.data.voc import CLASS_NAMES, VOID
from benchmark.errors import BenchmarkError


@dataclass(frozen=True)
class ReleasedCues:
    """Ids of N images and their cues, uint8 (N, h, w): class ids, 255 where there is none."""

    ids: tuple[str, ...]
    cues: NDArray[np.uint8]

    def cells(self, image_id: str) -> NDArray[np.uint8]:
        """Return the cues (h, w) of one image; BenchmarkError where it has none."""
        if image_id not in self._places:
            raise BenchmarkError(f"the cues have no image {image_id!r}")
        return self.cues[self._places[image_id]]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.ids)}


def read_cues(path: Path) -> ReleasedCues:
    """Read an npz file with ``ids`` (N,) and ``cues`` uint8 (N, h, w), 255 for none.

    Raises BenchmarkError where the file is missing, damaged or not of this form.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            ids, cues = file["ids"], file["cues"]
    except UNREADABLE as error:
        raise BenchmarkError(f"{path} is not a file of cues: {reason_of(error)}") from error
    if cues.dtype != np.uint8 or cues.ndim != 3 or ids.shape != cues.shape[:1]:
        raise BenchmarkError(
            f"{path}: cues are {cues.dtype} {cues.shape} for {ids.shape} ids; they must be uint8 "
            "(N, height, width) for N ids"
        )
    names = tuple(str(name) for name in ids)
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise BenchmarkError(f"{path}: {repeated} has cues twice")
    held = np.flatnonzero(np.bincount(cues.ravel(), minlength=256))
    foreign = held[(held > len(CLASS_NAMES)) & (held != VOID)]
    if foreign.size:
        raise BenchmarkError(
            f"{path}: the cues hold id {foreign[0]}; ids are 0 to {len(CLASS_NAMES)} and {VOID}"
        )
    return ReleasedCues(names, cues)


def cue_labels(cells: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize cues (h, w) to labels (H, W): a pixel gets the label of the nearest cell."""
    height, width = size
    labels = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(labels, np.uint8)
