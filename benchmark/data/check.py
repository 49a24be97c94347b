"""Look at every file of a data set once, and tell all that is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import VOID, VocDataset
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.progress import Progress

Value = TypeVar("Value")


@dataclass(frozen=True)
class SplitSummary:
    """What a split holds.

    Attributes:
        split: its name.
        images: how many ids its list has.
        images_per_class: images labelled with each evaluated class, in the classes' order.
        images_without_class: images labelled with none of them.
        void_fraction: share of mask pixels that are void or of a class not evaluated.
    """

    split: str
    images: int
    images_per_class: dict[str, int]
    images_without_class: int
    void_fraction: float


@dataclass(frozen=True)
class CheckReport:
    """The problems found, a line each (none: the data set is sound), and the counts.

    ``duplicates`` are pairs (training id, validation id) of the same image file; each is also
    among the problems, for the score would then be one on training images.
    """

    name: str
    problems: tuple[str, ...]
    splits: tuple[SplitSummary, ...]
    duplicates: tuple[tuple[str, str], ...]


def check_dataset(dataset: VocDataset, progress: Progress) -> CheckReport:
    """Read every image, mask and label of both splits; raises for nothing that is in the data."""
    problems = _Problems()
    splits = list(dict.fromkeys((dataset.train_split, dataset.val_split)))
    lists = {split: problems.guard(partial(dataset.ids, split)) or () for split in splits}
    counts = {split: _Counts(len(dataset.classes)) for split in splits}
    with progress.task(f"checking {dataset.name}", sum(map(len, lists.values()))) as task:
        for split in splits:
            for image_id in lists[split]:
                _look_at(dataset, image_id, counts[split], problems)
                task.advance()
    val = dataset.val_split
    if lists[val] and not counts[val].per_class.any():
        problems.lines[
            f"{val}: no image holds any of {', '.join(dataset.classes)}: choose other --classes, "
            "or mend the labels"
        ] = None
    duplicates = _duplicates(dataset, counts, problems)
    return CheckReport(
        name=dataset.name,
        problems=tuple(problems.lines),
        splits=tuple(counts[s].summary(s, len(lists[s]), dataset.classes) for s in splits),
        duplicates=duplicates,
    )


@dataclass
class _Problems:
    """An ordered set of lines: what fails for the same reason twice is told once."""

    lines: dict[str, None] = field(default_factory=dict)

    def guard(self, read: Callable[[], Value]) -> Value | None:
        try:
            return read()
        except BenchmarkError as error:
            self.lines[str(error)] = None
            return None


class _Counts:
    def __init__(self, num_labels: int) -> None:
        self.per_class = np.zeros(num_labels, dtype=np.int64)
        self.without_class = 0
        self.pixels = 0
        self.void_pixels = 0
        self.content: dict[bytes, str] = {}

    def add_labels(self, labels: NDArray[np.bool_]) -> None:
        self.per_class += labels
        self.without_class += not labels.any()

    def add_mask(self, mask: NDArray[np.uint8]) -> None:
        self.pixels += mask.size
        self.void_pixels += int((mask == VOID).sum())

    def summary(self, split: str, images: int, classes: tuple[str, ...]) -> SplitSummary:
        return SplitSummary(
            split=split,
            images=images,
            images_per_class=dict(zip(classes, self.per_class.tolist(), strict=True)),
            images_without_class=self.without_class,
            void_fraction=self.void_pixels / max(self.pixels, 1),
        )


def _look_at(dataset: VocDataset, image_id: str, counts: _Counts, problems: _Problems) -> None:
    image = problems.guard(partial(dataset.image, image_id))
    if image is not None:
        digest = _content(dataset.image_path(image_id))
        counts.content[digest] = image_id
    # Without its image a mask's size cannot be judged, and the missing file is told already.
    mask = problems.guard(partial(dataset.mask, image_id)) if image is not None else None
    if mask is not None:
        counts.add_mask(mask)
    labels = problems.guard(partial(dataset.image_labels, image_id))
    if labels is not None:
        counts.add_labels(labels)


def _content(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _duplicates(
    dataset: VocDataset, counts: dict[str, _Counts], problems: _Problems
) -> tuple[tuple[str, str], ...]:
    """Return the images that both splits hold, by content, in the order of the validation list."""
    train, val = counts[dataset.train_split].content, counts[dataset.val_split].content
    pairs = tuple((train[content], val[content]) for content in val if content in train)
    for train_id, val_id in pairs:
        problems.lines[
            f"{dataset.split_path(dataset.val_split)}: {val_id} is the same image as {train_id} of "
            f"{dataset.train_split}: take it out of one of the lists"
        ] = None
    return pairs
