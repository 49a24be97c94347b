from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.paper_check import (
    SOURCES,
    VOC_2012,
    Expected,
    PaperCheck,
    Split,
    check_paper,
    manifest_text,
    write_manifest,
)
from benchmark.data.voc import write_label_png
from benchmark.errors import BenchmarkError
from benchmark.profiles import load_profile
from benchmark.progress import SilentProgress

LISTS = {"train": ["a"], "train_aug": ["b", "a"], "val": ["c"], "test": ["d"]}
TINY = Expected({name: Split(len(ids)) for name, ids in LISTS.items()}, longest_side=16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound folder of four images of 16 x 10 pixels."""
    root = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClassAug", "Annotations", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for name, ids in LISTS.items():
        lines = "".join(f"{image_id}\n" for image_id in ids)
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text(lines)
    for number, image_id in enumerate("abcd"):
        pixels = np.random.default_rng(number).integers(0, 256, (10, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{image_id}.jpg")
        if image_id != "d":  # the masks of test are not public
            mask = np.full((10, 16), number, np.uint8)
            write_label_png(root / "SegmentationClassAug" / f"{image_id}.png", mask)
    return root


def check(root: Path, expected: Expected = TINY, **given: Path | None) -> PaperCheck:
    return check_paper(root, SilentProgress(), expected, given)


def test_a_sound_folder(root: Path) -> None:
    found = check(root, vgg16=root)
    assert (found.problems, found.sources) == ((), ())
    assert found.counts == {"train": 1, "train_aug": 2, "val": 1, "test": 1}


def test_the_official_counts() -> None:
    """VOC 2012's own, and SBD's training images less those of val."""
    assert {name: split.images for name, split in VOC_2012.splits.items()} == {
        "train": 1464,
        "train_aug": 10582,
        "val": 1449,
        "test": 1456,
    }
    profile = load_profile("paper").data
    assert profile.kind == "voc"
    for name, images in profile.images.items():
        assert VOC_2012.splits[name].images == images


def test_every_file_of_the_paper_profile_has_a_source() -> None:
    wanted = {n for n, kind in load_profile("paper").weights.items() if kind.source == "user"}
    assert wanted <= set(SOURCES)
    assert "http" not in "".join(SOURCES.values())


def test_the_manifest_is_what_sha256sum_checks(root: Path, tmp_path: Path) -> None:
    found = check(root)
    assert len(found.manifest) == 4 + 4 + 3
    image = (root / "JPEGImages" / "a.jpg").read_bytes()
    assert found.manifest["JPEGImages/a.jpg"] == hashlib.sha256(image).hexdigest()
    write_manifest(tmp_path / "manifest", found.manifest)
    command = ["sha256sum", "--check", "--quiet", str(tmp_path / "manifest")]
    assert subprocess.run(command, cwd=root, check=False).returncode == 0
    assert found.digest == hashlib.sha256((tmp_path / "manifest").read_bytes()).hexdigest()
    moved = root.rename(root.parent / "elsewhere")
    assert check(moved).digest == found.digest
    (moved / "Annotations" / "x.xml").write_text("not used for masks")
    assert check(moved).digest == found.digest
    write_label_png(moved / "SegmentationClassAug" / "a.png", np.ones((10, 16), np.uint8))
    changed = check(moved)
    assert changed.digest != found.digest
    assert set(changed.manifest) == set(found.manifest)
    assert manifest_text({"x": "1"}) == "1  x\n"


def test_missing_files_are_counted_and_the_first_named(root: Path) -> None:
    for image_id in "abc":
        (root / "SegmentationClassAug" / f"{image_id}.png").unlink()
    (root / "JPEGImages" / "d.jpg").unlink()
    (root / "ImageSets/Segmentation/test.txt").write_text("d\ne\nf\ng\nh\n")
    found = check(root)
    assert found.problems == (
        "ImageSets/Segmentation/test.txt: 5 ids, not 1",
        "SegmentationClassAug: missing masks: a, b, c",
        "JPEGImages: missing images: d, e, f and 2 more",
    )
    assert [source.split(":")[0] for source in found.sources] == [
        "test",
        "SegmentationClassAug",
        "JPEGImages",
    ]
    assert "VOC2012test.tar" in found.sources[0]
    assert "Semantic Boundaries Dataset" in found.sources[1]
    assert "VOCtrainval_11-May-2012.tar" in found.sources[2]


def test_lists_that_are_not_the_official_ones(root: Path) -> None:
    (root / "ImageSets/Segmentation/train.txt").unlink()
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("a\nc\n")
    right = hashlib.sha256(b"c").hexdigest()
    wrong = hashlib.sha256(b"x").hexdigest()
    splits = {**TINY.splits, "val": Split(1, right), "test": Split(1, wrong)}
    found = check(root, Expected(splits, longest_side=16))
    assert found.problems == (
        "ImageSets/Segmentation/train.txt: missing",
        "ImageSets/Segmentation/test.txt: other ids than VOC 2012's",
        "ids that are in train_aug and in val: c",
        "images that are in train_aug and in val: c = c",
    )
    assert found.counts["train"] == 0


def test_train_outside_of_train_aug(root: Path) -> None:
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("b\n")
    splits = {**TINY.splits, "train_aug": Split(1)}
    problems = check(root, Expected(splits, longest_side=16)).problems
    assert problems == ("ids of train that train_aug lacks: a",)


def test_bad_ids_twice_the_same_and_bad_pictures(root: Path) -> None:
    images, masks = root / "JPEGImages", root / "SegmentationClassAug"
    (root / "ImageSets/Segmentation/val.txt").write_text("c\nc\n")
    write_label_png(masks / "a.png", np.full((10, 16), 30, np.uint8))
    write_label_png(masks / "b.png", np.zeros((3, 4), np.uint8))
    (images / "d.jpg").write_bytes((images / "d.jpg").read_bytes()[:100])
    problems = check(root).problems
    assert len(problems) == 4
    assert "val.txt: lists c twice" in problems[0]
    assert "a.png: the mask holds id 30" in problems[1]
    assert problems[2] == "SegmentationClassAug: masks of another size than their images: b"
    assert problems[3] == "JPEGImages: images that cannot be decoded: d"


def test_the_same_image_under_another_id(root: Path) -> None:
    shutil.copy(root / "JPEGImages" / "b.jpg", root / "JPEGImages" / "d.jpg")
    assert check(root).problems == ("images that are in train_aug and in test: b = d",)


def test_resized_images_are_told(root: Path) -> None:
    (problem,) = check(root, Expected(TINY.splits, longest_side=500)).problems
    assert problem.endswith("is 16 pixels and not 500: these were resized")


def test_what_else_the_profile_needs(root: Path) -> None:
    (root / "Annotations").rmdir()
    found = check(root, saliency=None, vgg16=root / "vgg16.pth")
    assert found.problems == (
        "no Annotations folder and no image_labels.csv",
        f"vgg16: nothing at {root / 'vgg16.pth'}",
    )
    assert [source.split(":")[0] for source in found.sources] == [
        "image labels",
        "saliency",
        "vgg16",
    ]
    assert "vgg16-397923af.pth" in found.sources[2]


def saliency_folder(root: Path, *names: str) -> Path:
    folder = root.parent / "saliency"
    folder.mkdir()
    for name in names:
        Image.new("L", (16, 10)).save(folder / f"{name}.png")
    return folder


def test_saliency_maps_of_train_aug_are_enough(root: Path) -> None:
    found = check(root, saliency=saliency_folder(root, "a", "b"))
    assert (found.problems, found.sources) == ((), ())
    assert found.counts["saliency of train_aug"] == 2
    assert found.counts["saliency of val"] == 0


def test_saliency_maps_are_counted_and_read(root: Path) -> None:
    (root / "ImageSets/Segmentation/val.txt").write_text("c\nd\n")
    splits = {**TINY.splits, "val": Split(2), "test": Split(1)}
    folder = saliency_folder(root, "b", "c")
    Image.new("RGB", (16, 10)).save(folder / "b.png")
    Image.new("L", (8, 10)).save(folder / "c.png")
    found = check(root, Expected(splits, masks=(), longest_side=16), saliency=folder)
    assert [problem for problem in found.problems if "saliency" in problem] == [
        "saliency: missing maps of train_aug: a",
        f"saliency: maps that cannot be used: {folder / 'b.png'} has mode RGB: save saliency as "
        f"8-bit grey (mode L), {folder / 'c.png'} is (8, 10) pixels, its image (16, 10)",
        "saliency: missing maps of val: d",
    ]
    assert [source.split(":")[0] for source in found.sources] == ["saliency"]
    assert found.counts["saliency of train_aug"] == found.counts["saliency of val"] == 1


def test_an_empty_folder_lists_all_that_it_lacks(tmp_path: Path) -> None:
    found = check_paper(tmp_path, SilentProgress())
    assert [source.split(":")[0] for source in found.sources] == [
        "JPEGImages",
        "SegmentationClassAug",
        "train",
        "train_aug",
        "val",
        "test",
        "image labels",
    ]
    assert found.manifest == {}
    with pytest.raises(BenchmarkError, match="no such folder"):
        check_paper(tmp_path / "absent", SilentProgress())
