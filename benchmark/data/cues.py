"""Localisation cues that somebody else released, as label PNGs to train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import write_label_png
from benchmark.errors import BenchmarkError


@dataclass(frozen=True)
class ReleasedCues:
    """Ids of N images and their cues, uint8 (N, h, w): class ids, 255 where there is none."""

    ids: tuple[str, ...]
    cues: NDArray[np.uint8]


def read_cues(path: Path) -> ReleasedCues:
    """Read an npz file with ``ids`` (N,) and ``cues`` uint8 (N, h, w), 255 for none.

    Raises BenchmarkError where the file is missing, damaged or not of this form.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            ids, cues = file["ids"], file["cues"]
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        BadZipFile,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchmarkError(f"{path} is not a file of cues: {reason}") from error
    if cues.dtype != np.uint8 or cues.ndim != 3 or ids.shape != cues.shape[:1]:
        raise BenchmarkError(
            f"{path}: cues are {cues.dtype} {cues.shape} for {ids.shape} ids; they must be uint8 "
            "(N, height, width) for N ids"
        )
    names = tuple(str(name) for name in ids)
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise BenchmarkError(f"{path}: {repeated} has cues twice")
    return ReleasedCues(names, cues)


def write_cue_labels(
    released: ReleasedCues, sizes: Mapping[str, tuple[int, int]], folder: Path
) -> None:
    """Write ``folder/ID.png`` for each id of ``sizes``, (height, width) in pixels.

    A pixel gets the label of the nearest cell. Raises BenchmarkError where an image has no cues.
    """
    place = {name: index for index, name in enumerate(released.ids)}
    folder.mkdir(parents=True, exist_ok=True)
    for image_id, (height, width) in sizes.items():
        if image_id not in place:
            raise BenchmarkError(f"the cues have no image {image_id!r}")
        cells = released.cues[place[image_id]]
        labels = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        write_label_png(folder / f"{image_id}.png", np.asarray(labels, np.uint8))
