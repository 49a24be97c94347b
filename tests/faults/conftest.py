"""One undisturbed run that all faults are compared with, and places to have them in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parent))
from forked import TESTS, Place

sys.path.insert(0, str(TESTS / "helpers"))
os.environ["PYTHONPATH"] = str(TESTS.parent)  # for the process that the others are forked off


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place whose table nothing has disturbed; made once for all of pytest's processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "undisturbed"
    with FileLock(folder.with_suffix(".lock")):
        if (folder / "done").exists():
            return Place(folder, folder / "tiny.toml", folder / "tables")
        place = Place.new(folder)
        ended = place.run("run", log=folder / "log")
        assert ended.status == 0, ended.err
        (folder / "done").touch()
        return place


@pytest.fixture
def place(finished: Place, tmp_path: Path) -> Place:
    """An empty place for the same table."""
    return finished.beside(tmp_path / "place")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes real disks of a size such as 256k."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a disk needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
