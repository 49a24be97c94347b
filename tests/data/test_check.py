from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.check import CheckReport, check_dataset
from benchmark.data.voc import open_voc, write_label_png
from benchmark.errors import BenchmarkError
from benchmark.progress import SilentProgress

SPLITS = Path("ImageSets/Segmentation")


def check(root: Path, **options: object) -> CheckReport:
    return check_dataset(open_voc(root, **options), SilentProgress())  # type: ignore[arg-type]


def test_a_sound_folder_has_no_problems(voc: Path) -> None:
    for source in ("csv", "xml", "masks"):
        report = check(voc, labels=source)
        assert report.problems == ()
        assert report.duplicates == ()
        assert report.name == "tiny_voc"


def test_the_counts_by_hand(voc: Path) -> None:
    report = check(voc, classes=["cat", "dog"])
    train, val = report.splits
    assert (train.split, train.images) == ("train_aug", 3)
    assert train.images_per_class == {"cat": 1, "dog": 1}
    assert train.images_without_class == 2
    # 10x16, 11x16 and 12x16 pixels; a_2 has 16 of person, a_3 16 of bird and 16 void.
    assert train.void_fraction == pytest.approx(48 / (33 * 16))
    assert (val.split, val.images) == ("val", 2)
    assert val.images_per_class == {"cat": 1, "dog": 1}
    assert val.images_without_class == 0
    assert val.void_fraction == pytest.approx(16 / (27 * 16))


def test_all_problems_are_told_each_once(voc: Path) -> None:
    jpeg = voc / "JPEGImages" / "a_1.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:-200])
    write_label_png(voc / "SegmentationClassAug" / "a_2.png", np.zeros((3, 4), dtype=np.uint8))
    write_label_png(voc / "SegmentationClassAug" / "a_3.png", np.full((12, 16), 30, dtype=np.uint8))
    (voc / "JPEGImages" / "b_1.jpg").unlink()
    table = voc / "image_labels.csv"
    table.write_text(table.read_text().replace("a_1,0", "a_1,7").replace("b_2,", "c_2,"))
    report = check(voc)
    expected = [
        ("a_1.jpg", "cannot be decoded"),
        ("image_labels.csv", "aeroplane of image a_1 is '7'"),
        ("a_2.png", "the mask is 4x3"),
        ("a_3.png", "holds id 30"),
        ("b_1.jpg", "no such file"),
        ("image_labels.csv", "no row for image b_2"),
    ]
    assert len(report.problems) == len(expected)
    for line, (file, reason) in zip(report.problems, expected, strict=True):
        assert file in line
        assert reason in line
        assert "\n" not in line
    assert [split.images for split in report.splits] == [3, 2]


def test_a_list_that_broke_after_opening_is_a_problem(voc: Path) -> None:
    dataset = open_voc(voc)
    (voc / SPLITS / "val.txt").write_text("")
    report = check_dataset(dataset, SilentProgress())
    assert len(report.problems) == 1
    assert "val.txt: the split list is empty" in report.problems[0]
    assert [split.images for split in report.splits] == [3, 0]


def test_images_that_both_splits_hold(voc: Path) -> None:
    shutil.copy(voc / "JPEGImages" / "a_2.jpg", voc / "JPEGImages" / "b_1.jpg")
    shutil.copy(voc / "SegmentationClassAug" / "a_2.png", voc / "SegmentationClassAug" / "b_1.png")
    (voc / SPLITS / "val.txt").write_text("b_1\nb_2\na_3\n")
    report = check(voc)
    assert report.duplicates == (("a_2", "b_1"), ("a_3", "a_3"))
    assert len(report.problems) == 2
    assert "val.txt: b_1 is the same image as a_2 of train_aug" in report.problems[0]


def test_a_list_that_is_trained_on_and_scored_is_refused(voc: Path) -> None:
    with pytest.raises(BenchmarkError, match="both 'val': name two lists"):
        open_voc(voc, train_split="val")


def test_validation_images_without_any_class_are_a_problem(voc: Path) -> None:
    dataset = open_voc(voc, classes=["sofa"])
    found = check_dataset(dataset, SilentProgress()).problems
    wanted = "val: no image holds any of sofa: choose other --classes, or mend the labels"
    assert wanted in found


def test_progress_counts_every_image(voc: Path) -> None:
    class Recorder:
        total: int | None = None
        steps = 0

        @contextmanager
        def task(self, label: str, total: int | None) -> Iterator[Recorder]:
            self.total = total
            yield self

        def advance(self, steps: int = 1, note: str = "") -> None:
            self.steps += steps

    recorder = Recorder()
    check_dataset(open_voc(voc), recorder)  # type: ignore[arg-type]
    assert (recorder.total, recorder.steps) == (5, 5)
