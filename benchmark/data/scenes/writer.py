"""Writes the generated scenes as a folder in the VOC layout, and shows them."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.data.scenes.compose import SCENES_VERSION, Scene, SceneOptions, draw_scene
from benchmark.data.voc import CLASS_NAMES, PALETTE, read_image, read_mask, write_label_png
from benchmark.errors import BenchmarkError
from benchmark.progress import Task

JPEG_QUALITY = 92


def scene_id(split: str, index: int) -> str:
    """Return the id of a scene, e.g. ``train_000012``."""
    return f"{split}_{index:06d}"


def _description(options: SceneOptions) -> str:
    return (
        f'name = "scenes v{SCENES_VERSION}, seed {options.seed}"\n'
        'labels = "csv"\n'
        'labels_csv = "image_labels.csv"\n'
        'train_split = "train_aug"\n'
        'val_split = "val"\n'
    )


def _write_scene(folder: Path, identity: str, scene: Scene) -> None:
    bgr = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    (folder / "JPEGImages" / f"{identity}.jpg").write_bytes(encoded.tobytes())
    write_label_png(folder / "SegmentationClassAug" / f"{identity}.png", scene.mask)


def _fill(folder: Path, options: SceneOptions, task: Task | None) -> None:
    for name in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["id", *CLASS_NAMES])
    for split, count in (("train", options.train_images), ("val", options.val_images)):
        ids = [scene_id(split, index) for index in range(count)]
        for index, identity in enumerate(ids):
            scene = draw_scene(options, split, index)
            _write_scene(folder, identity, scene)
            rows.writerow([identity, *scene.labels.astype(int)])
            if task is not None:
                task.advance(1)
        for name in ("train_aug", "train") if split == "train" else ("val",):
            listing = "".join(f"{identity}\n" for identity in ids)
            (folder / "ImageSets" / "Segmentation" / f"{name}.txt").write_text(listing)
    (folder / "image_labels.csv").write_text(table.getvalue())
    (folder / "dataset.toml").write_text(_description(options))


def write_scenes(root: Path, options: SceneOptions, task: Task | None = None) -> None:
    """Write the scenes into ``root``, whole or not at all.

    Raises BenchmarkError where ``root`` is a file or a folder that is not empty.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BenchmarkError(f"{root} is not an empty folder: name a new one for the scenes")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    except OSError as error:
        raise BenchmarkError(f"cannot write {root}: {error.strerror}") from error
    try:
        folder.chmod(0o755)  # mkdtemp makes it private
        _fill(folder, options, task)
        os.replace(folder, root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _overlay(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shown = (0.4 * image + 0.6 * PALETTE[mask]).astype(np.uint8)
    return np.where((mask == 0)[..., None], image, shown)


def contact_sheet(dataset_root: Path, ids: Sequence[str], columns: int) -> NDArray[np.uint8]:
    """Return a sheet of images, each beside itself with its mask laid over; void is pale."""
    cells = []
    for identity in ids:
        image = read_image(dataset_root / "JPEGImages" / f"{identity}.jpg")
        mask = read_mask(dataset_root / "SegmentationClassAug" / f"{identity}.png")
        cells.append(np.pad(np.hstack([image, _overlay(image, mask)]), ((2, 2), (2, 2), (0, 0))))
    while len(cells) % columns:
        cells.append(np.zeros_like(cells[0]))
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    return np.vstack(rows)
