"""Writes the package of a new method: one that runs, tests itself, and has a table of its own."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from string import Template

from benchmark.errors import BenchmarkError
from benchmark.registry import method_entry_points

TEMPLATE = Path(__file__).parent / "template"
ENDING = ".template"
PACKAGE = "package"
"""The folder of the template that takes the method's name."""


def write_method_package(name: str, folder: Path) -> tuple[Path, ...]:
    """Write a package for the method ``name`` into ``folder`` and return its files.

    All of it or nothing. BenchmarkError where the name cannot be one, is taken, or the folder is
    there already.
    """
    _check_name(name)
    if folder.exists():
        raise BenchmarkError(f"{folder} is there already: choose another one with --folder")
    words = {"name": name, "title": name.replace("_", " "), "class_name": _class_name(name)}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise BenchmarkError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        written = [_write(source, part, words) for source in _sources()]
        part.chmod(0o755)
        os.replace(part, folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise BenchmarkError(f"{folder} cannot be written: {error.strerror}") from error
    return tuple(folder / path for path in written)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise BenchmarkError(
            f"{name!r} cannot be a method's name: lower-case letters, digits and _, a letter first"
        )
    if name in method_entry_points():
        raise BenchmarkError(f"there is a method '{name}' already: choose another name")
    if importlib.util.find_spec(name) is not None:
        raise BenchmarkError(f"there is a Python module '{name}' already: choose another name")


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _sources() -> Iterator[Path]:
    return (path for path in sorted(TEMPLATE.rglob(f"*{ENDING}")))


def _write(source: Path, root: Path, words: dict[str, str]) -> Path:
    parts = [
        words["name"] if part == PACKAGE else Template(part).substitute(words)
        for part in source.relative_to(TEMPLATE).parts
    ]
    path = Path(*parts).with_suffix("")
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(Template(source.read_text("utf-8")).substitute(words), "utf-8")
    return path
