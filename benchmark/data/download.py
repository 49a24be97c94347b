"""Fetches what VOC 2012's protocol needs and may be had without registration, through torchvision.

Images, lists, annotations and masks of train and val are VOC's; the masks of the other training
images are the Semantic Boundaries Dataset's (SBD), turned from .mat into PNG.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.paper_check import MASKS
from benchmark.data.voc import SPLITS, write_label_png
from benchmark.errors import BenchmarkError
from benchmark.store import write_atomic

if TYPE_CHECKING:
    from benchmark.progress import Progress

ARCHIVES = "downloads"
"""The folder, in the data's own, that holds what was fetched; it may be deleted afterwards."""
VOC_MASKS = "SegmentationClass"


def download_voc(root: Path, progress: Progress) -> None:
    """Fetch VOC 2012 and SBD into ``root`` and make the masks and the list of train_aug.

    What is there already is not fetched again, and a download that was killed goes on with the next
    file. torchvision compares the archives with their md5. BenchmarkError where one cannot be had.
    """
    archives = root / ARCHIVES
    archives.mkdir(parents=True, exist_ok=True)
    if not (root / SPLITS).is_dir():
        _fetch_voc(archives, root)
    _make_masks(root, _fetch_sbd(archives / "SBD"), progress)


def _fetch_voc(archives: Path, root: Path) -> None:
    import benchmark.torchvision_schemas  # noqa: F401, I001  before torchvision
    from torchvision.datasets import VOCSegmentation

    with _told("VOCtrainval_11-May-2012.tar"):
        VOCSegmentation(str(archives), year="2012", image_set="trainval", download=True)
    found = archives / "VOCdevkit" / "VOC2012"
    # ImageSets last: it says that all is there.
    for folder in sorted(found.iterdir(), key=lambda folder: folder.name == "ImageSets"):
        if not (root / folder.name).exists():
            shutil.move(folder, root / folder.name)


def _fetch_sbd(folder: Path) -> Path:
    import benchmark.torchvision_schemas  # noqa: F401, I001  before torchvision
    from torchvision.datasets import SBDataset

    complete = (folder / "val.txt").is_file()  # torchvision moves it last
    if not complete:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    with _told("SBD's benchmark.tgz"):
        SBDataset(str(folder), "train", mode="segmentation", download=not complete)
    return folder


def _make_masks(root: Path, sbd: Path, progress: Progress) -> None:
    train, val = (_ids(root / SPLITS / f"{name}.txt") for name in ("train", "val"))
    others = sorted({*_ids(sbd / "train.txt"), *_ids(sbd / "val.txt")} - {*train, *val})
    masks = root / MASKS
    masks.mkdir(exist_ok=True)
    with progress.task("masks of train_aug", len(train) + len(val) + len(others)) as task:
        for image_id in (*train, *val):
            if not (masks / f"{image_id}.png").exists():
                with Image.open(root / VOC_MASKS / f"{image_id}.png") as mask:
                    _write_mask(masks, image_id, np.asarray(mask))
            task.advance()
        for image_id in others:
            if not (masks / f"{image_id}.png").exists():
                _write_mask(masks, image_id, _sbd_labels(sbd / "cls" / f"{image_id}.mat"))
            task.advance()
    ids = sorted([*train, *others])
    write_atomic(root / SPLITS / "train_aug.txt", ("\n".join(ids) + "\n").encode())


def _sbd_labels(path: Path) -> NDArray[np.uint8]:
    from scipy.io import loadmat

    try:
        labels: NDArray[np.uint8] = loadmat(str(path))["GTcls"][0]["Segmentation"][0]
    except (KeyError, ValueError, OSError) as error:
        raise BenchmarkError(
            f"{path} cannot be read ({error}): remove {path.parents[1]} and run again"
        ) from error
    return labels


def _write_mask(folder: Path, image_id: str, labels: NDArray[np.uint8]) -> None:
    part = folder / f".{image_id}.part"
    write_label_png(part, labels.astype(np.uint8))
    os.replace(part, folder / f"{image_id}.png")  # whole or not at all: what is there is kept


def _ids(path: Path) -> Sequence[str]:
    return path.read_text().split()


@contextmanager
def _told(archive: str) -> Iterator[None]:
    """Tell in one line that an archive cannot be had, or is not what it should be."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchmarkError(
            f"{archive} cannot be fetched ({reason}): try again, or fetch it by hand; "
            "data check without --download says where the parts are to be had"
        ) from error
