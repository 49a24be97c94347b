"""Fetching VOC 2012 and SBD through torchvision, whose archives are small ones of our own here."""

from __future__ import annotations

import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import benchmark.torchvision_schemas  # noqa: F401  before torchvision
from benchmark import cli
from benchmark.data.download import ARCHIVES, download_voc
from benchmark.data.paper_check import Expected, Split, check_paper
from benchmark.data.voc import read_mask, write_label_png
from benchmark.errors import BenchmarkError
from benchmark.progress import SilentProgress

IDS = {"train": ["2007_a", "2007_b"], "val": ["2008_c"], "sbd train": ["2008_c", "2009_d"]}
SBD_VAL = ["2007_b", "2009_e"]
SHAPE = (6, 9)
TINY = Expected(
    {"train": Split(2), "train_aug": Split(4), "val": Split(1)}, ("train_aug", "val"), 9
)


def mask(number: int) -> np.ndarray:
    labels = np.full(SHAPE, number, np.uint8)
    labels[0] = 255 if number < 10 else 0  # SBD has no void
    return labels


class Servers:
    """Stand for torchvision's download: every archive is unpacked where it would have been."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from torchvision.datasets import sbd, voc

        self.fetched: list[str] = []
        for module in (voc, sbd):
            monkeypatch.setattr(module, "download_and_extract_archive", self.fetch)

    def fetch(self, url: str, root: str | Path, filename: str, md5: str) -> None:
        self.fetched.append(filename)
        self._voc(Path(root)) if filename.endswith(".tar") else self._sbd(Path(root))

    def _voc(self, root: Path) -> None:
        voc = root / "VOCdevkit" / "VOC2012"
        for folder in ("JPEGImages", "SegmentationClass", "Annotations", "ImageSets/Segmentation"):
            (voc / folder).mkdir(parents=True)
        for name in ("train", "val"):
            (voc / f"ImageSets/Segmentation/{name}.txt").write_text("\n".join(IDS[name]) + "\n")
        (voc / "ImageSets/Segmentation/trainval.txt").write_text("2007_a\n2007_b\n2008_c\n")
        for number, image_id in enumerate(["2007_a", "2007_b", "2008_c", "2009_d", "2009_e"]):
            noise = np.random.default_rng(number).integers(0, 255, (*SHAPE, 3), np.uint8)
            Image.fromarray(noise).save(voc / "JPEGImages" / f"{image_id}.jpg")
            if number < 3:
                write_label_png(voc / "SegmentationClass" / f"{image_id}.png", mask(number))

    def _sbd(self, root: Path) -> None:
        data = root / "benchmark_RELEASE" / "dataset"
        for folder in ("cls", "img", "inst"):
            (data / folder).mkdir(parents=True)
        (data / "train.txt").write_text("\n".join(IDS["sbd train"]))
        (data / "val.txt").write_text("\n".join(SBD_VAL))
        for number, image_id in enumerate(["2007_b", "2008_c", "2009_d", "2009_e"]):
            found = {"Segmentation": mask(10 + number), "CategoriesPresent": [1]}
            savemat(data / "cls" / f"{image_id}.mat", {"GTcls": found})


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(monkeypatch)


def test_the_folder_is_what_the_check_asks_for(tmp_path: Path, servers: Servers) -> None:
    """train_aug: VOC's train and SBD less VOC's val; VOC's own masks where there are any."""
    download_voc(tmp_path, SilentProgress())
    assert check_paper(tmp_path, SilentProgress(), TINY).problems == ()
    lists = tmp_path / "ImageSets" / "Segmentation"
    assert (lists / "train_aug.txt").read_text().split() == ["2007_a", "2007_b", "2009_d", "2009_e"]
    own = {"2007_a": 0, "2007_b": 1, "2008_c": 2, "2009_d": 12, "2009_e": 13}
    for image_id, number in own.items():
        found = read_mask(tmp_path / "SegmentationClassAug" / f"{image_id}.png")
        np.testing.assert_array_equal(found, mask(number))


def test_what_is_there_is_not_fetched_again_and_what_was_killed_goes_on(
    tmp_path: Path, servers: Servers
) -> None:
    download_voc(tmp_path, SilentProgress())
    assert len(servers.fetched) == 2
    masks = tmp_path / "SegmentationClassAug"
    kept = (masks / "2009_d.png").stat().st_mtime_ns
    (masks / "2009_e.png").unlink()
    download_voc(tmp_path, SilentProgress())
    assert len(servers.fetched) == 2
    assert (masks / "2009_d.png").stat().st_mtime_ns == kept
    assert (masks / "2009_e.png").is_file()
    (tmp_path / ARCHIVES / "SBD" / "val.txt").unlink()  # as a kill while SBD is unpacked leaves it
    download_voc(tmp_path, SilentProgress())
    assert servers.fetched[2:] == ["benchmark.tgz"]


def test_a_mask_that_cannot_be_read_is_one_line(tmp_path: Path, servers: Servers) -> None:
    download_voc(tmp_path, SilentProgress())
    (tmp_path / "SegmentationClassAug" / "2009_d.png").unlink()
    (tmp_path / ARCHIVES / "SBD" / "cls" / "2009_d.mat").write_bytes(b"no such thing" * 50)
    with pytest.raises(
        BenchmarkError, match=r"2009_d\.mat cannot be read .*: remove .*SBD and run"
    ):
        download_voc(tmp_path, SilentProgress())


def test_an_archive_that_cannot_be_had_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import voc

    def refuse(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(voc, "download_and_extract_archive", refuse)
    with pytest.raises(BenchmarkError) as told:
        download_voc(tmp_path, SilentProgress())
    assert str(told.value).startswith(
        "VOCtrainval_11-May-2012.tar cannot be fetched (<urlopen error no route to host>): try"
    )


def test_only_the_papers_data_can_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "data", "check", str(tmp_path), "--download"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: --download goes with --profile paper: only VOC 2012 can be fetched\n"
    )
