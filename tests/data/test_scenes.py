"""The generated scenes: the same on every run, learnable in principle, and frozen as version 1."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.scenes import (
    FOREIGN_KINDS,
    SceneOptions,
    contact_sheet,
    draw_scene,
    foreign_images,
    write_scenes,
)
from benchmark.data.scenes.backgrounds import PLACES
from benchmark.data.scenes.objects import SHAPES
from benchmark.data.voc import CLASS_NAMES, VOID, open_voc
from benchmark.errors import BenchmarkError

SMALL = SceneOptions(train_images=24, val_images=12, size=48)
VERSION_1 = "b5c6eb28a18b1d60ee32257c5f78f876b31a449b53d1a53ea4696f11541529dd"


def _draw(options: SceneOptions, split: str, count: int):
    return [draw_scene(options, split, index) for index in range(count)]


def _digest(options: SceneOptions) -> str:
    """The digest of the first masks and labels, free of what an image codec does."""
    digest = hashlib.sha256()
    for split, count in (("train", 40), ("val", 20)):
        for scene in _draw(options, split, count):
            digest.update(scene.mask.tobytes())
            digest.update(scene.labels.astype(np.uint8).tobytes())
    return digest.hexdigest()


def _files(root: Path) -> dict[str, bytes]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "voc"
    write_scenes(root, SMALL)
    return root


@pytest.fixture(scope="module")
def drawn():
    return _draw(SceneOptions(), "train", 300)


def test_version_1_is_frozen():
    assert _digest(SceneOptions()) == VERSION_1


def test_another_seed_draws_other_scenes():
    assert _digest(SceneOptions(seed=1)) != _digest(SceneOptions(seed=0))


def test_same_bytes_again_and_in_another_process(written: Path, tmp_path: Path):
    script = (
        "import sys; from pathlib import Path\n"
        "from benchmark.data.scenes import SceneOptions, write_scenes\n"
        "write_scenes(Path(sys.argv[1]), SceneOptions(train_images=24, val_images=12, size=48))\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    other = tmp_path / "voc"
    subprocess.run([sys.executable, "-c", script, str(other)], check=True)
    assert _files(other) == _files(written)


def test_counts_do_not_change_the_other_scenes(written: Path, tmp_path: Path):
    write_scenes(tmp_path / "voc", SceneOptions(train_images=3, val_images=2, size=48))
    fewer, more = _files(tmp_path / "voc"), _files(written)
    pictures = [name for name in fewer if name.endswith((".jpg", ".png"))]
    assert len(pictures) == 10
    assert all(fewer[name] == more[name] for name in pictures)


def test_the_folder_is_a_voc_folder(written: Path):
    dataset = open_voc(written)
    assert dataset.classes == CLASS_NAMES
    assert dataset.labels == "csv"
    assert (len(dataset.ids("train_aug")), len(dataset.ids("val"))) == (24, 12)
    assert dataset.ids("train") == dataset.ids("train_aug")
    for identity in dataset.ids("train_aug") + dataset.ids("val"):
        image, mask = dataset.image(identity), dataset.mask(identity)
        assert image.shape == (48, 48, 3)
        assert mask.shape == (48, 48)
        named = {index + 1 for index in np.flatnonzero(dataset.image_labels(identity))}
        assert named
        assert set(np.unique(mask)) - {0, VOID} <= named


def test_files_hold_what_was_drawn(written: Path):
    scene = draw_scene(SMALL, "val", 5)
    mask = Image.open(written / "SegmentationClassAug" / "val_000005.png")
    assert mask.mode == "P"
    assert np.array_equal(np.array(mask), scene.mask)
    image = np.array(Image.open(written / "JPEGImages" / "val_000005.jpg")).astype(int)
    assert np.abs(image - scene.image).mean() < 12  # JPEG on a noisy picture
    assert np.abs(image - draw_scene(SMALL, "val", 6).image).mean() > 20
    rows = list(csv.reader((written / "image_labels.csv").open()))
    assert rows[0] == ["id", *CLASS_NAMES]
    row = next(row for row in rows if row[0] == "val_000005")
    assert row[1:] == [str(int(label)) for label in scene.labels]


@pytest.mark.parametrize("kind", ["file", "full folder"])
def test_what_is_there_is_not_written_over(tmp_path: Path, kind: str):
    root = tmp_path / "voc"
    if kind == "file":
        root.write_text("mine")
    else:
        root.mkdir()
        (root / "mine").write_text("mine")
    before = _files(tmp_path)
    with pytest.raises(BenchmarkError, match="not an empty folder"):
        write_scenes(root, SMALL)
    assert _files(tmp_path) == before


def test_an_empty_folder_is_filled(tmp_path: Path):
    root = tmp_path / "voc"
    root.mkdir()
    write_scenes(root, SceneOptions(train_images=1, val_images=1, size=48))
    assert len(list((root / "JPEGImages").iterdir())) == 2


def test_a_break_leaves_nothing(tmp_path: Path):
    class Breaks:
        def advance(self, steps: int = 1, note: str = "") -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "voc", SMALL, Breaks())
    assert list(tmp_path.iterdir()) == []


def test_every_class_is_drawn_and_often_enough(drawn):
    counts = np.sum([scene.labels for scene in drawn], 0)
    assert counts.min() >= 12
    named = np.array([scene.labels.sum() for scene in drawn])
    assert named.min() >= 1
    assert named.max() == 3
    assert 0.55 < (named == 1).mean() < 0.85


def test_sizes_run_from_small_to_the_whole_frame(drawn):
    areas = np.array(
        [
            (scene.mask == index + 1).mean()
            for scene in drawn
            for index in np.flatnonzero(scene.labels)
        ]
    )
    assert (areas < 0.08).mean() > 0.1
    assert (areas > 0.25).mean() > 0.12
    assert areas.max() > 0.5


def test_void_is_a_thin_line_around_objects(drawn):
    for scene in drawn[:60]:
        assert 0 < (scene.mask == VOID).mean() < 0.25
        beside = (scene.mask[:, 1:] != scene.mask[:, :-1]) & (scene.mask[:, 1:] != VOID)
        assert not (beside & (scene.mask[:, :-1] != VOID)).any()


@pytest.mark.parametrize("rate", [0.0, 0.8, 1.0])
def test_co_occurrence_is_the_rate_of_usual_places(rate: float):
    options = SceneOptions(size=16, co_occurrence=rate)
    usual = [scene.place in SHAPES[scene.main].places for scene in _draw(options, "train", 200)]
    assert abs(np.mean(usual) - rate) < 0.09


def test_classes_of_a_group_share_their_colours():
    """Body pixels must not tell a cow from a horse: medians of colour overlap widely."""
    options = SceneOptions(co_occurrence=1.0)
    animals = [CLASS_NAMES.index(name) for name in ("cow", "horse")]
    medians: list[list[np.ndarray]] = []
    for animal in animals:
        scenes = [draw_scene(options, "colour", animal + 20 * turn) for turn in range(30)]
        pixels = [scene.image[scene.mask == animal + 1] for scene in scenes]
        medians.append([np.median(found, 0) for found in pixels if len(found)])
    cow, horse = (np.array(values) for values in medians)
    spread = (cow.std(0) + horse.std(0)) / 2
    assert (np.abs(cow.mean(0) - horse.mean(0)) < spread).all()


def test_foreign_images_have_masks_and_every_kind():
    data = foreign_images(48, 96, 3)
    assert data.images.shape == (48, 96, 96, 3)
    assert data.images.dtype == np.uint8
    assert data.masks.shape == (48, 96, 96)
    assert data.masks.dtype == np.bool_
    assert np.array_equal(np.bincount(data.kinds), np.full(len(FOREIGN_KINDS), 2))
    areas = data.masks.mean((1, 2))
    assert areas.min() > 0.003
    assert areas.max() < 0.9
    assert not set(FOREIGN_KINDS) & set(CLASS_NAMES)


def test_the_first_foreign_images_are_always_the_same():
    few, many = foreign_images(5, 48, 3), foreign_images(9, 48, 3)
    assert np.array_equal(few.images, many.images[:5])
    assert np.array_equal(few.masks, many.masks[:5])
    assert not np.array_equal(few.images, foreign_images(5, 48, 4).images)


def test_foreign_images_at_224():
    data = foreign_images(2, 224, 0)
    assert data.images.shape == (2, 224, 224, 3)
    assert data.masks.any((1, 2)).all()


def test_contact_sheet_shows_image_and_mask_side_by_side(written: Path):
    sheet = contact_sheet(written, ["train_000000", "train_000001", "val_000000"], columns=2)
    assert sheet.shape == (2 * 52, 2 * (2 * 48 + 4), 3)
    assert sheet.dtype == np.uint8
    assert not sheet[52:, 100:].any()  # the missing fourth
    left, right = sheet[2:50, 2:50].astype(int), sheet[2:50, 50:98].astype(int)
    mask = open_voc(written).mask("train_000000")
    assert (left[mask == 0] == right[mask == 0]).all()
    assert (left[mask != 0] != right[mask != 0]).any(-1).mean() > 0.9


def test_all_scenes_take_seconds():
    start = time.process_time()
    _draw(SceneOptions(), "train", 65)
    assert time.process_time() - start < 2.0  # a tenth of the default set; 10 s is the limit


def test_places_of_classes_exist():
    assert set(SHAPES) == set(CLASS_NAMES)
    assert all(set(shape.places) <= set(PLACES) for shape in SHAPES.values())
    assert all(set(shape.company) <= set(CLASS_NAMES) for shape in SHAPES.values())
