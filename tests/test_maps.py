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
