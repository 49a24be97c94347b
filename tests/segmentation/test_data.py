from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.data.voc import write_label_png
from benchmark.errors import BenchmarkError
from benchmark.segmentation.data import (
    Augmentation,
    DrawSampler,
    LabelledImages,
    Pair,
    recoloured,
    voc_training_set,
)

AUGMENTATION = {"crop_size": (24, 20), "scale_range": (0.7, 1.4)}


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    """Images whose every pixel is (id, row, column) and whose label is the row, 255 below 30."""
    found = []
    for index, (height, width) in enumerate([(40, 30), (16, 12), (33, 50), (30, 30), (21, 64)]):
        rows, columns = np.mgrid[:height, :width]
        pixels = np.stack([np.full_like(rows, 40 * index), rows, columns], -1).astype(np.uint8)
        label = np.where(rows < 30, rows % 20, 255).astype(np.uint8)
        name = f"n{index}"
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        write_label_png(tmp_path / f"{name}_label.png", label)
        found.append((name, tmp_path / f"{name}.png", tmp_path / f"{name}_label.png"))
    return found


def same(one: dict, other: dict) -> bool:
    labels = [item["data_samples"].gt_sem_seg.data for item in (one, other)]
    return torch.equal(one["inputs"], other["inputs"]) and torch.equal(*labels)


def test_a_draw_depends_on_seed_and_number_alone(pairs: list[Pair]) -> None:
    unbroken = LabelledImages(pairs, AUGMENTATION, seed=3)
    seen = [unbroken[draw] for draw in range(12)]
    fresh = LabelledImages(pairs, AUGMENTATION, seed=3, memory_mb=0)
    assert all(same(fresh[draw], seen[draw]) for draw in (11, 2, 7))
    other = LabelledImages(pairs, AUGMENTATION, seed=4)
    assert not all(same(other[draw], seen[draw]) for draw in range(5))


def test_each_round_shows_each_image_once_in_a_new_order(pairs: list[Pair]) -> None:
    dataset = LabelledImages(pairs, AUGMENTATION)
    rounds = [[dataset.image_index(5 * turn + k) for k in range(5)] for turn in range(6)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in rounds)
    assert len({tuple(order) for order in rounds}) > 1


def test_label_and_image_move_together(pairs: list[Pair]) -> None:
    """Row and column are written in the pixels, so the label can be worked out from the view."""
    dataset = LabelledImages(pairs, {"crop_size": (24, 20), "fill": (255, 255, 255)})
    mirrored = 0
    for draw in range(20):
        item = dataset[draw]
        blue, green, _ = item["inputs"].numpy()  # BGR of (id, row, column): column, row, id
        label = item["data_samples"].gt_sem_seg.data[0].numpy()
        outside = (blue == 255) & (green == 255)
        expected = np.where(outside | (green >= 30), 255, green % 20)
        np.testing.assert_array_equal(label, expected)
        assert label.shape == (24, 20)
        inside = blue[~outside].astype(int)
        mirrored += bool(inside[0] > inside[-1] or np.any(np.diff(blue[12].astype(int)) == -1))
    assert 0 < mirrored < 20


def test_scaled_labels_stay_ids() -> None:
    label = np.zeros((30, 30), np.uint8)
    label[10:20, 10:20] = 7
    image = np.repeat(label[..., None] * 30, 3, axis=2)
    view = Augmentation((48, 48), (0.5, 1.5))
    for seed in range(10):
        pixels, ids = view(image, label, np.random.default_rng(seed))
        assert pixels.shape == (48, 48, 3)
        assert set(np.unique(ids)) <= {0, 7, 255}
        # Pixels well inside the object keep its colour, those beyond the image the fill.
        assert np.median(pixels[ids == 7]) == 210
        assert (pixels[ids == 255] == (124, 116, 104)).all()


def test_images_are_read_once_while_memory_lasts(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    import benchmark.segmentation.data as module

    reads: list[Path] = []
    read = module.read_image
    monkeypatch.setattr(module, "read_image", lambda path: reads.append(path) or read(path))
    kept = LabelledImages(pairs, AUGMENTATION)
    for draw in range(15):
        kept[draw]
    assert len(reads) == 5
    reads.clear()
    unkept = LabelledImages(pairs, AUGMENTATION, memory_mb=0)
    for draw in range(15):
        unkept[draw]
    assert len(reads) == 15


def test_sampler_goes_on_where_it_was_told(pairs: list[Pair]) -> None:
    sampler = DrawSampler(LabelledImages(pairs, AUGMENTATION))
    assert list(itertools.islice(sampler, 3)) == [0, 1, 2]
    sampler.skip(700)
    assert list(itertools.islice(sampler, 3)) == [700, 701, 702]


def test_bad_pairs_are_told(pairs: list[Pair], tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no image"):
        LabelledImages([], AUGMENTATION)
    write_label_png(pairs[0][2], np.zeros((5, 6), np.uint8))
    with pytest.raises(BenchmarkError, match=r"n0_label\.png: label of n0 is 6x5 but .* is 30x40"):
        LabelledImages(pairs[:1], AUGMENTATION)[0]


def test_voc_folder_for_the_tools(tmp_path: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/train_aug.txt").write_text("a\n")
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "JPEGImages/a.jpg")
    write_label_png(tmp_path / "SegmentationClassAug/a.png", np.ones((8, 9), np.uint8))
    dataset = voc_training_set(str(tmp_path), augmentation={"crop_size": (8, 9)})
    item = dataset[0]
    assert item["inputs"].shape == (3, 8, 9)
    assert (item["data_samples"].gt_sem_seg.data == 1).all()
    assert len(dataset.metainfo["classes"]) == 21
    assert dataset.metainfo["reduce_zero_label"] is False


def test_a_warped_view_is_the_whole_image() -> None:
    rows, columns = np.mgrid[:40, :60]
    image = np.stack([4 * rows, 4 * columns, rows], -1).astype(np.uint8)
    label = np.where(columns < 30, 3, 7).astype(np.uint8)
    rng = np.random.default_rng(0)
    view, ids = Augmentation((20, 20), mirror=False, warp=(20, 20))(image, label, rng)
    assert np.array_equal(ids, np.repeat([[3] * 10 + [7] * 10], 20, axis=0))
    centres = 3 * np.arange(20) + 1  # of three columns; bilinear interpolation meets the middle
    np.testing.assert_allclose(view[5, :, 1], 4 * centres, atol=1)
    np.testing.assert_allclose(view[:, 5, 0], 4 * (2 * np.arange(20) + 0.5), atol=1)


def test_a_crop_of_a_warped_image_lies_inside_it() -> None:
    rows, columns = np.mgrid[:10, :50]
    image = np.stack([rows, columns, rows], -1).astype(np.uint8)
    augmentation = Augmentation((20, 20), mirror=False, warp=(24, 24))
    seen = set()
    for seed in range(20):
        view, ids = augmentation(image, columns.astype(np.uint8), np.random.default_rng(seed))
        assert (ids != 255).all()
        assert view.shape == (20, 20, 3)
        seen.add(int(ids[0, 0]))
    assert len(seen) > 3


def test_without_warp_and_colour_a_seed_gives_what_it_gave() -> None:
    """The draws of trainings that are on record: position first, then the mirror."""
    rows, columns = np.mgrid[:40, :60]
    image = np.stack([rows, columns, rows], -1).astype(np.uint8)
    label = columns.astype(np.uint8)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        view, ids = Augmentation((16, 20))(image, label, rng)
        draws = np.random.default_rng(seed)
        draws.uniform(1.0, 1.0)
        top, left = (int(s * (d + 1)) for s, d in zip(draws.random(2), (24, 40), strict=True))
        step = -1 if draws.random() < 0.5 else 1
        assert np.array_equal(ids, label[top : top + 16, left : left + 20][:, ::step])
        assert np.array_equal(view, image[top : top + 16, left : left + 20][:, ::step])


class Chosen:
    """A random generator that has drawn already: which colours change, and how far."""

    def __init__(self, changes: list[bool], amounts: list[float]) -> None:
        self.random = lambda size: np.where(changes, 0.4, 0.6)
        self.uniform = lambda low, high, size: np.array(amounts)


def recolour(rgb: list[int], changes: list[bool], amounts: list[float]) -> list[int]:
    image = np.array([[rgb]], np.uint8)
    return recoloured(image, Chosen(changes, amounts))[0, 0].tolist()  # type: ignore[arg-type]


def test_colours_by_hand() -> None:
    all_off, far = [False] * 4, [1.0, -1.0, 1.0, 1.0]
    assert recolour([10, 200, 90], all_off, far) == [10, 200, 90]
    brighter = [True, False, False, False]
    assert recolour([10, 200, 250], brighter, [0.5, 0, 0, 0]) == [26, 216, 255]
    assert recolour([10, 200, 250], brighter, [-1, 0, 0, 0]) == [0, 168, 218]
    contrast = [False, True, False, False]
    assert recolour([10, 200, 100], contrast, [0, -1, 0, 0]) == [5, 100, 50]
    assert recolour([10, 200, 100], contrast, [0, 1, 0, 0]) == [15, 255, 150]
    saturation = [False, False, True, False]
    # Saturation (200 - 100) / 200 halved: the lowest rises to 150; the highest stays.
    assert recolour([100, 200, 100], saturation, [0, 0, -1, 0]) == [150, 200, 150]
    hue = [False, False, False, True]
    # 18 of the 60 degrees from red to yellow: green rises to 18 / 60 of 200.
    assert recolour([200, 0, 0], hue, [0, 0, 0, 1]) == [200, 120, 0]
    assert recolour([200, 0, 0], hue, [0, 0, 0, -1]) == [200, 0, 120]


def test_half_of_the_views_change_in_each_colour() -> None:
    image = np.full((1, 1, 3), 128, np.uint8)
    found = [recoloured(image, np.random.default_rng((0, seed)))[0, 0, 0] for seed in range(400)]
    # Grey has no hue and no saturation: brightness and contrast both stay in a quarter.
    assert np.mean(np.array(found) == 128) == pytest.approx(0.25, abs=0.06)
    assert min(found) >= (128 - 32) * 0.5 and max(found) <= min(255, (128 + 32) * 1.5)


def test_colour_leaves_the_labels_and_the_other_draws_alone() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 30, 3)).astype(np.uint8)
    label = rng.integers(0, 20, (30, 30)).astype(np.uint8)
    for seed in range(4):
        plain = Augmentation((20, 20))(image, label, np.random.default_rng(seed))
        coloured = Augmentation((20, 20), colour=True)(image, label, np.random.default_rng(seed))
        assert np.array_equal(plain[1], coloured[1])
        assert plain[0].shape == coloured[0].shape


def test_image_labels_come_with_their_images(pairs: list[Pair]) -> None:
    known = {name: np.arange(5) == index for index, (name, _, _) in enumerate(pairs)}
    dataset = LabelledImages(pairs, AUGMENTATION, image_labels=known)
    for draw in range(7):
        sample = dataset[draw]["data_samples"]
        assert sample.metainfo["image_labels"] == known[sample.metainfo["img_id"]].tolist()
    assert "image_labels" not in LabelledImages(pairs, AUGMENTATION)[0]["data_samples"].metainfo


def test_colour_leaves_what_lies_beyond_the_image_alone() -> None:
    image, label = np.full((8, 8, 3), 90, np.uint8), np.zeros((8, 8), np.uint8)
    augmentation = Augmentation((12, 12), colour=True)
    colours = set()
    for seed in range(8):
        view, ids = augmentation(image, label, np.random.default_rng(seed))
        assert np.unique(view[ids == 255], axis=0).tolist() == [[124, 116, 104]]
        colours.add(tuple(view[ids == 0][0].tolist()))
    assert len(colours) > 4
