"""The wheel and the sdist: what is in them, and that they work outside the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("benchmark", "methods", "mmseg_configs")
BUILT_FROM = (
    *PACKAGES,
    "pyproject.toml",
    "MANIFEST.in",
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "constraints.txt",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist and, from it, the wheel, out of a copy; return their folder."""
    folder = tmp_path_factory.mktemp("built")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, folder / name)
    for stray in ("tests/test_stray.py", "results/stray.md", "store/stray.json"):
        (folder / stray).parent.mkdir()
        (folder / stray).touch()
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "dist"


def sources() -> set[str]:
    """Return the path of every file of the packages, as in the checkout."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_packages_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(about))
    folder = about.rpartition("/")[0]
    assert {name for name in names if not name.startswith(folder)} == sources()
    assert f"{folder}/licenses/LICENSE" in names
    assert metadata["Name"] == "wsss-benchmark"
    assert metadata["Version"] == PROJECT["version"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "The wsss-benchmark authors"


def test_the_sdist_holds_what_it_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert sources() <= names
    assert set(BUILT_FROM) <= names
    assert not {name for name in names if name.startswith(("tests", "results", "store"))}


@pytest.fixture(scope="module")
def environment(built: Path) -> Path:
    """Install the wheel into a new environment that sees this one's packages; return its bin."""
    folder = built.parent / "environment"
    venv.create(folder, symlinks=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    packages = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (site / "packages.pth").write_text("\n".join(packages))
    (wheel,) = built.glob("*.whl")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")),
            *("install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"),
            *("--ignore-installed", str(wheel)),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "bin"


def test_the_wheel_works_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    unset = ("PYTHONPATH", "WSSS_STORE")
    variables = {name: value for name, value in os.environ.items() if name not in unset}

    def run(*command: str) -> str:
        program, *arguments = command
        done = subprocess.run(
            [environment / program, *arguments],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import benchmark, methods, mmseg_configs as m; print(benchmark.__file__)"
    more = "; print(methods.__file__); print(m.__file__)"
    for line in run("python", "-c", where + more).splitlines():
        assert Path(line).is_relative_to(environment.parent)
    assert run("wsss-benchmark", "--version") == f"wsss-benchmark {PROJECT['version']}\n"
    tables = {row["table"] for row in json.loads(run("wsss-benchmark", "list", "tables", "--json"))}
    assert tables == {path.stem for path in (ROOT / "benchmark" / "tables").glob("*.toml")}

    stages = json.loads(run("wsss-benchmark", "plan", "--table", "seenet_table1", "--json"))
    assert {row["state"] for row in stages} == {"missing"}
    run("wsss-benchmark", "report", "--table", "seenet_table1")
    assert "| 3 SeeNet (ours)" in (tmp_path / "results/scenes/seenet_table1.md").read_text()
    assert (tmp_path / "results/scenes/index.html").is_file()
    assert (tmp_path / "store/format.json").is_file()

    run("wsss-benchmark", "methods", "new", "mine")
    assert (tmp_path / "mine/pyproject.toml").is_file()
    assert "0 failed" in run("wsss-benchmark", "methods", "check", "cam")
    assert {path.name for path in tmp_path.iterdir()} == {"store", "results", "mine"}
