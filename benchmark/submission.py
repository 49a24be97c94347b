"""The archive that the evaluation server of VOC 2012 takes: a label PNG for every test image."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmark.data.voc import CLASS_NAMES, PALETTE, VocDataset, read_label_png
from benchmark.errors import BenchmarkError
from benchmark.graph import StageGraph, segments
from benchmark.profiles import why_no_family
from benchmark.registry import near_name
from benchmark.store import Stage, Store, write_atomic

if TYPE_CHECKING:
    from benchmark.profiles import Profile
    from benchmark.tables import Column, Row, Table
    from benchmark.user_files import UserFiles

FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"
"""Where the server looks; comp6 is the competition for training on more than VOC's own data."""


@dataclass(frozen=True)
class Submission:
    """What an archive is made of."""

    prediction: Stage
    labels: str  # the folder of the stage's files that counts
    dataset: VocDataset
    split: str


def plan_submission(
    table: Table, row_id: str, profile: Profile, files: UserFiles, seed: int = 0
) -> Submission:
    """Return the prediction behind the row's cell that waits for the server.

    Raises:
        BenchmarkError: The row, or the table, has no such cell; the profile cannot make it.
    """
    row = _row(table, row_id)
    column = row.scored(_server_column(table))
    if row.segmentation not in profile.segmentation:
        raise BenchmarkError(why_no_family(profile, str(row.segmentation)))
    graph = StageGraph(profile, files)
    if graph.voc is None:
        raise BenchmarkError(f"profile {profile.id} makes its own images: no server scores them")
    if graph.voc.classes != CLASS_NAMES:
        raise BenchmarkError("the server scores all 20 classes of VOC 2012: drop --classes")
    assert column.evaluation is not None
    return Submission(
        prediction=graph.prediction(row, column, seed),
        labels="labels_crf" if column.evaluation.crf else "labels",
        dataset=graph.voc,
        split=graph.split(column.evaluation.split),
    )


def _row(table: Table, row_id: str) -> Row:
    ours = {row.id: row for row in table.rows if row.ours}
    if row_id not in ours:
        raise BenchmarkError(near_name(f"row of ours in {table.id}", row_id, ours))
    return ours[row_id]


def _server_column(table: Table) -> Column:
    for column in table.score_columns:
        if column.server and segments(column):
            return column
    raise BenchmarkError(f"table {table.id} has no column that waits for the evaluation server")


def write_submission(submission: Submission, store: Store, path: Path) -> int:
    """Write the archive of a finished prediction and return how many images it holds.

    Raises:
        BenchmarkError: The prediction is not finished, or a label is missing or wrong.
    """
    if store.state(submission.prediction) != "cached":
        raise BenchmarkError(f"{submission.prediction.label} is not finished")
    folder = store.folder(submission.prediction) / submission.labels
    sizes = {
        image_id: submission.dataset.image_size(image_id)
        for image_id in submission.dataset.ids(submission.split)
    }
    write_atomic(path, archive(folder, sizes))
    return len(sizes)


def archive(folder: Path, sizes: Mapping[str, tuple[int, int]]) -> bytes:
    """Return a tar.gz of ``folder/ID.png`` for every id, equal bytes for equal labels.

    Args:
        folder: Label PNGs, nothing else.
        sizes: (H, W) of the image of each id.

    Raises:
        BenchmarkError: A label is missing, too much, of another size or not with VOC's ids.
    """
    found = {path.stem for path in folder.iterdir()}
    for name in sorted(found ^ set(sizes)):
        raise BenchmarkError(f"{folder}: {'no label' if name in sizes else 'no image'} {name}")
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(sizes):
            content = _checked(folder / f"{name}.png", sizes[name])
            entry = tarfile.TarInfo(f"{FOLDER}/{name}.png")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(memory.getvalue(), mtime=0)  # tarfile's own would hold the time


def _checked(path: Path, size: tuple[int, int]) -> bytes:
    """Return a label's bytes once they are what the server reads."""
    labels = read_label_png(path)
    if labels.shape != size:
        raise BenchmarkError(
            f"{path}: {labels.shape[1]}x{labels.shape[0]}, its image is {size[1]}x{size[0]}"
        )
    if labels.max() > len(CLASS_NAMES):
        raise BenchmarkError(f"{path}: holds id {labels.max()}; the server takes 0 to 20")
    with Image.open(path) as picture:
        palette = picture.getpalette() if picture.mode == "P" else None
    if palette is None or not np.array_equal(palette, PALETTE.ravel()):
        raise BenchmarkError(f"{path}: not a PNG with VOC's palette")
    return path.read_bytes()
