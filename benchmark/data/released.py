"""Labels and attention maps that somebody else released, one file an image.

FOLDER/ID.png    labels: VOC's ids 0..20 and 255, palette or grey, as large as the image
FOLDER/ID.npz    maps: ``maps`` float (K, h, w) in [0, 1] of any size, ``classes`` (K,) VOC ids
                 1..20; ``background`` float (h, w) in [0, 1] where there is such a map
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import CLASS_NAMES, VOID, read_mask
from benchmark.errors import BenchmarkError

UNREADABLE = (
    *(OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, BadZipFile),
    *(zlib.error, NotImplementedError, RuntimeError, OverflowError, MemoryError),
)
"""What NumPy raises for a file that is missing, damaged, pickled or of another form."""


@dataclass(frozen=True)
class ReleasedMaps:
    """One image's maps, float32 (K, h, w) in [0, 1], their VOC ids, and perhaps a background."""

    maps: NDArray[np.float32]
    classes: NDArray[np.int64]
    background: NDArray[np.float32] | None = None


def contiguous_ids(classes: Sequence[str]) -> NDArray[np.uint8]:
    """Return the table (256,) from VOC's ids to those of ``classes``; every other id is void."""
    table = np.full(256, VOID, np.uint8)
    table[0] = 0
    for contiguous, name in enumerate(classes, start=1):
        table[CLASS_NAMES.index(name) + 1] = contiguous
    return table


def read_released_labels(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return VOC ids (H, W) of one label file; BenchmarkError unless it is of ``size``."""
    ids = read_mask(path)
    if ids.shape != size:
        raise BenchmarkError(
            f"{path}: the labels are {ids.shape[1]}x{ids.shape[0]} but the image is "
            f"{size[1]}x{size[0]}: resize them (nearest neighbour) to the image"
        )
    return ids


def read_released_maps(path: Path) -> ReleasedMaps:
    """Return the maps of one file; BenchmarkError where it is damaged or not of this form.

    Nothing that is pickled is read: it may run code.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            maps, classes = file["maps"], file["classes"]
            background = file.get("background")
    except UNREADABLE as error:
        raise BenchmarkError(f"{path} is not a file of maps: {reason_of(error)}") from error
    if maps.ndim != 3 or classes.shape != maps.shape[:1] or 0 in maps.shape[1:]:
        raise BenchmarkError(
            f"{path}: maps {maps.shape} for classes {classes.shape}; they must be (K, h, w) for "
            "(K,) ids"
        )
    known = set(range(1, len(CLASS_NAMES) + 1))
    ids = classes.tolist()
    if not np.issubdtype(classes.dtype, np.integer) or not set(ids) <= known:
        raise BenchmarkError(f"{path}: classes are VOC ids 1 to {len(CLASS_NAMES)}, not {ids}")
    if len(set(ids)) < len(ids):
        raise BenchmarkError(f"{path}: a class has two maps: {ids}")
    _check_range(path, "maps", maps)
    if background is not None:
        if background.shape != maps.shape[1:]:
            raise BenchmarkError(
                f"{path}: the background is {background.shape}, the maps {maps.shape[1:]}"
            )
        _check_range(path, "background", background)
        background = background.astype(np.float32)
    return ReleasedMaps(maps.astype(np.float32), classes.astype(np.int64), background)


def _check_range(path: Path, name: str, values: NDArray) -> None:
    if not np.issubdtype(values.dtype, np.floating):
        raise BenchmarkError(f"{path}: {name} are {values.dtype}; they must be floats in [0, 1]")
    # Written so that nan fails as well.
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise BenchmarkError(
            f"{path}: {name} leave [0, 1]: {float(values.min()):.3g} to {float(values.max()):.3g}"
        )


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error says, or its name."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
