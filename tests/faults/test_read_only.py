"""A store that cannot be written: what is finished can be read, and what is not is told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import Place

pytestmark = pytest.mark.faults


@pytest.fixture
def read_only(place: Place, finished: Place, disk: Callable[[str], Path]) -> Place:
    """A place whose store is on a disk mounted read-only."""
    folder = disk("64m")
    place.copy_store(finished)
    place.store.rename(place.folder / "source")
    subprocess.run(["cp", "-r", str(place.folder / "source"), str(folder / "store")], check=True)
    place.store.symlink_to(folder / "store")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    return place


def test_what_is_finished_can_be_read(read_only: Place, finished: Place) -> None:
    planned = read_only.run("plan")
    assert planned.status == 0
    assert "missing" not in planned.out
    assert read_only.run("report").status == 0
    assert read_only.written() == finished.written()
    assert read_only.run("figures", "--row", "weak").status == 0
    assert read_only.run("run").status == 0
    assert read_only.written() == finished.written()


def test_what_is_not_is_told(read_only: Place) -> None:
    assert read_only.run("plan", "--seeds", "2").status == 0
    assert read_only.run("run", "--seeds", "2").complaint == (
        f"store {read_only.store} is read-only: choose another --store"
    )
    assert read_only.run("report", "--seeds", "2").status == 0


def test_a_disk_without_a_store(place: Place, disk: Callable[[str], Path]) -> None:
    folder = disk("64k")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    place.store.symlink_to(folder)
    assert "Read-only file system" in place.run("plan").complaint
