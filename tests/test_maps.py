"""The archive of attention maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.maps import MapArchive, write_maps


def test_maps_come_back_with_their_classes_in_half_precision(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = {"b": rng.random((2, 3, 4)), "a": rng.random((1, 5, 2)), "none": np.zeros((0, 3, 4))}
    write_maps(tmp_path / "maps.safetensors", maps, {"a": [7], "b": [1, 20], "none": []})
    archive = MapArchive(tmp_path / "maps.safetensors")
    assert archive.ids() == ("a", "b", "none")
    for name, classes in (("a", [7]), ("b", [1, 20]), ("none", [])):
        found, ids = archive.read(name)
        assert found.dtype == np.float32
        assert list(ids) == classes
        np.testing.assert_allclose(found, maps[name], atol=2**-11)


def test_the_same_maps_give_the_same_bytes(tmp_path: Path) -> None:
    maps = {name: np.full((1, 2, 2), 0.5) for name in ("a", "b")}
    for name, order in (("one", ("a", "b")), ("two", ("b", "a"))):
        ordered = {key: maps[key] for key in order}
        write_maps(tmp_path / name, ordered, {"a": [1], "b": [2]})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing of the kind")
    for name in ("x", "missing"):
        with pytest.raises(BenchmarkError, match="not an archive of attention maps"):
            MapArchive(tmp_path / name)


def test_backgrounds_come_back_beside_the_maps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = {name: rng.random((1, 3, 4)) for name in ("a", "b")}
    background = rng.random((5, 2))
    write_maps(tmp_path / "x", maps, {"a": [7], "b": [1]}, {"b": background})
    archive = MapArchive(tmp_path / "x")
    assert archive.ids() == ("a", "b")
    assert archive.background("a") is None
    found = archive.background("b")
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, background, atol=2**-11)
    np.testing.assert_allclose(archive.read("b")[0], maps["b"], atol=2**-11)


def test_the_background_of_a_mirrored_map_is_written_as_it_looks(tmp_path: Path) -> None:
    """safetensors writes the buffer as it lies, and a flipped view lies backwards."""
    background = np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1] / 8
    write_maps(tmp_path / "x", {"a": np.zeros((0, 2, 3))}, {"a": []}, {"a": background})
    found = MapArchive(tmp_path / "x").background("a")
    assert found is not None
    assert found.tolist() == [[0.25, 0.125, 0.0], [0.625, 0.5, 0.375]]
