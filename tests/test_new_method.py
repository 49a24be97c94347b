"""A new method's package: what is written, what is refused, and that it runs once installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import table_files, tables
from benchmark.errors import BenchmarkError
from benchmark.new_method import write_method_package

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from tiny import write_profile

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a package and install it, into a folder of its own; return that folder."""
    folder = tmp_path_factory.mktemp("new")
    write_method_package("quick_start", folder / "quick_start")
    site = folder / "site"
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run(
        [sys.executable, *install, *options, str(folder / "quick_start")],
        check=True,
        capture_output=True,
    )
    return site


def benchmark(site: Path, *arguments: str) -> str:
    """Return what a command prints where the package is installed."""
    path = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_written_package_runs_its_table(installed: Path, tmp_path: Path) -> None:
    profile, results = write_profile(tmp_path), tmp_path / "results"
    where = ["--store", str(tmp_path / "store"), "--results", str(results), "--jobs", "1"]
    run = ["run", "--table", "quick_start_table1", "--profile", str(profile), "--json"]
    report = json.loads(benchmark(installed, *run, *where))
    cells = {cell["row"]: cell for cell in report["cells"]}
    assert cells["ours"]["published"] == 50.0
    assert 0 <= cells["ours"]["mean"] <= 100
    assert report["claims"][0]["verdict"] in ("holds", "fails", "undecided")


def test_the_packages_own_test_of_the_contract_passes(installed: Path) -> None:
    package = installed.parent / "quick_start"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My Method", "cannot be a method's name"),
        ("2fast", "cannot be a method's name"),
        ("../outside", "cannot be a method's name"),
        ("class", "cannot be a method's name"),
        ("seenet", "a method 'seenet' already"),
        ("json", "a Python module 'json' already"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=reason):
        write_method_package(name, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(BenchmarkError, match="is there already"):
        write_method_package("quick_start", tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmark.new_method.os.replace", full)
    with pytest.raises(BenchmarkError, match="No space left on device"):
        write_method_package("quick_start", tmp_path / "mine")
    assert not list(tmp_path.iterdir())


def test_a_broken_package_of_tables_breaks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    points = [EntryPoint("bad", "no_such_package.tables", table_files.GROUP)]
    monkeypatch.setattr(table_files, "entry_points", lambda group: points)
    assert "seenet_table1" in tables.table_ids()
    assert tables.load_table("seenet_table1").id == "seenet_table1"
