"""Released cues as label files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.data.cues import cue_labels, read_cues
from benchmark.errors import BenchmarkError

IDS = np.array(["2007_000001", "2007_000002"])


def write(path: Path, **changes: Any) -> Path:
    cues = np.full((2, 41, 41), 255, np.uint8)
    cues[0, :3, 5:9] = 12
    cues[1, 40, 0] = 0
    np.savez_compressed(path, **{"ids": IDS, "cues": cues, **changes})
    return path


def test_cues_are_read_as_they_are(tmp_path: Path) -> None:
    released = read_cues(write(tmp_path / "cues.npz"))
    assert released.ids == ("2007_000001", "2007_000002")
    assert released.cues.shape == (2, 41, 41) and released.cues.dtype == np.uint8
    assert (released.cues[0] == 12).sum() == 12
    assert released.cues[1, 40, 0] == 0


def test_labels_have_the_images_size_and_the_nearest_cells(tmp_path: Path) -> None:
    released = read_cues(write(tmp_path / "cues.npz"))
    rng = np.random.default_rng(0)
    released.cues[:] = rng.integers(0, 21, released.cues.shape)
    for index, (name, size) in enumerate(zip(released.ids, [(41, 20), (375, 500)], strict=True)):
        found = cue_labels(released.cells(name), size)
        assert found.dtype == np.uint8 and found.shape == size
        height, width = size
        for row in range(0, height, 7):
            for column in range(0, width, 3):
                # The cell that the pixel's centre lies in.
                cell = int((row + 0.5) * 41 / height), int((column + 0.5) * 41 / width)
                assert found[row, column] == released.cues[index][cell]


def test_an_image_without_cues_is_told(tmp_path: Path) -> None:
    released = read_cues(write(tmp_path / "cues.npz"))
    with pytest.raises(BenchmarkError, match="the cues have no image '2011_000009'"):
        released.cells("2011_000009")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cues": np.zeros((2, 41, 41))}, "cues are float64"),
        ({"cues": np.zeros((2, 41), np.uint8)}, r"uint8 \(2, 41\)"),
        ({"cues": np.zeros((3, 41, 41), np.uint8)}, r"for \(2,\) ids"),
        ({"ids": np.array(["a", "a"])}, "a has cues twice"),
        ({"cues": np.full((2, 41, 41), 21, np.uint8)}, "hold id 21; ids are 0 to 20 and 255"),
        ({"ids": np.array([{"a": 1}, {}], dtype=object)}, "not a file of cues"),
    ],
)
def test_other_contents_are_told(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        read_cues(write(tmp_path / "cues.npz", **changes))


def test_missing_damaged_and_foreign_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"absent\.npz is not a file of cues"):
        read_cues(tmp_path / "absent.npz")
    whole = write(tmp_path / "cues.npz").read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"cues"), ("empty", b"")):
        (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(BenchmarkError, match=rf"{name}\.npz is not a file of cues: \w"):
            read_cues(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "other.npz", maps=np.zeros(3))
    with pytest.raises(BenchmarkError, match="is not a file of cues"):
        read_cues(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(BenchmarkError, match="is not a file of cues"):
        read_cues(tmp_path / "array.npy")
