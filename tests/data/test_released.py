"""Released label files and map files: what they say, and every way in which they may be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.data.released import contiguous_ids, read_released_labels, read_released_maps
from benchmark.data.voc import write_label_png
from benchmark.errors import BenchmarkError

MAPS = np.array([[[0.0, 0.5], [1.0, 0.25]], [[0.1, 0.2], [0.3, 0.4]]], np.float32)


def test_ids_become_those_of_the_classes_and_others_void() -> None:
    table = contiguous_ids(("dog", "cat"))  # VOC's 12 and 8
    assert table[[0, 8, 12, 15, 255]].tolist() == [0, 2, 1, 255, 255]


class TestLabels:
    def test_palette_and_grey_pictures_are_read(self, tmp_path: Path) -> None:
        ids = np.array([[0, 8, 255], [20, 1, 0]], np.uint8)
        write_label_png(tmp_path / "palette.png", ids)
        Image.fromarray(ids).save(tmp_path / "grey.png")
        for name in ("palette", "grey"):
            assert np.array_equal(read_released_labels(tmp_path / f"{name}.png", (2, 3)), ids)

    def test_another_size_than_the_images_is_told(self, tmp_path: Path) -> None:
        write_label_png(tmp_path / "a.png", np.zeros((2, 3), np.uint8))
        with pytest.raises(BenchmarkError, match=r"a\.png: the labels are 3x2 but the image is 4x"):
            read_released_labels(tmp_path / "a.png", (5, 4))

    def test_ids_that_voc_has_not_are_told(self, tmp_path: Path) -> None:
        Image.fromarray(np.full((2, 3), 21, np.uint8)).save(tmp_path / "a.png")
        with pytest.raises(BenchmarkError, match=r"a\.png: the mask holds id 21"):
            read_released_labels(tmp_path / "a.png", (2, 3))

    def test_damaged_and_coloured_pictures_are_told(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 20, (40, 40), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        whole = (tmp_path / "a.png").read_bytes()
        (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BenchmarkError, match=r"a\.png: cannot be decoded"):
            read_released_labels(tmp_path / "a.png", (40, 40))
        Image.new("RGB", (3, 2)).save(tmp_path / "b.png")
        with pytest.raises(BenchmarkError, match=r"b\.png: a RGB picture, not class ids"):
            read_released_labels(tmp_path / "b.png", (2, 3))


def written(folder: Path, **changes: Any) -> Path:
    arrays = {"maps": MAPS, "classes": np.array([8, 15]), **changes}
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


class TestMaps:
    def test_maps_come_back_with_their_classes(self, tmp_path: Path) -> None:
        held = read_released_maps(written(tmp_path))
        assert np.array_equal(held.maps, MAPS) and held.maps.dtype == np.float32
        assert held.classes.tolist() == [8, 15]
        assert held.background is None

    def test_a_background_is_read_where_there_is_one(self, tmp_path: Path) -> None:
        background = np.array([[0.5, 1.0], [0.0, 0.125]], np.float16)
        held = read_released_maps(written(tmp_path, background=background))
        assert held.background is not None
        assert held.background.tolist() == background.tolist()

    def test_an_image_may_hold_no_class(self, tmp_path: Path) -> None:
        path = written(tmp_path, maps=np.zeros((0, 2, 2)), classes=np.zeros(0, np.int64))
        assert read_released_maps(path).maps.shape == (0, 2, 2)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"maps": MAPS[0]}, r"maps \(2, 2\) for classes \(2,\)"),
            ({"classes": np.array([8])}, r"maps \(2, 2, 2\) for classes \(1,\)"),
            ({"maps": np.zeros((2, 0, 4))}, r"they must be \(K, h, w\)"),
            ({"classes": np.array([0, 8])}, "classes are VOC ids 1 to 20"),
            ({"classes": np.array([8, 21])}, "classes are VOC ids 1 to 20"),
            ({"classes": np.array([8.0, 15.0])}, "classes are VOC ids 1 to 20"),
            ({"classes": np.array([8, 8])}, "a class has two maps"),
            ({"maps": MAPS + 0.5}, r"maps leave \[0, 1\]: 0.5 to 1.5"),
            ({"maps": MAPS * np.nan}, r"maps leave \[0, 1\]"),
            ({"maps": np.zeros((2, 2, 2), np.uint8)}, r"maps are uint8; they must be floats"),
            ({"background": np.zeros((3, 2))}, r"the background is \(3, 2\), the maps \(2, 2\)"),
            ({"background": -MAPS[0]}, r"background leave \[0, 1\]: -1 to"),
        ],
    )
    def test_other_contents_are_told(self, tmp_path: Path, changes: Any, message: str) -> None:
        with pytest.raises(BenchmarkError, match=rf"a\.npz: .*{message}"):
            read_released_maps(written(tmp_path, **changes))

    def test_nothing_pickled_is_read(self, tmp_path: Path) -> None:
        """The arrays of an npz may be pickled objects as well."""
        path = written(tmp_path, maps=np.array([{8: MAPS[0]}], dtype=object))
        with pytest.raises(BenchmarkError, match=r"a\.npz is not a file of maps: Object arrays"):
            read_released_maps(path)

    def test_missing_damaged_and_foreign_files_are_told(self, tmp_path: Path) -> None:
        whole = written(tmp_path).read_bytes()
        (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "empty.npz").write_bytes(b"")
        np.savez(tmp_path / "other.npz", cam=MAPS)
        with (tmp_path / "array.npz").open("wb") as file:
            np.save(file, MAPS)
        for name in ("absent", "cut", "empty", "other", "array"):
            with pytest.raises(BenchmarkError, match=rf"{name}\.npz is not a file of maps: ."):
                read_released_maps(tmp_path / f"{name}.npz")
