from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from benchmark.provenance import (
    PeakMemory,
    _module_fingerprint,
    environment,
    fingerprint,
    git_revision,
    installed_version,
    own_code,
)

ROOT = Path(__file__).parents[1]

SOURCE = """
def area(width, height):
    return width * height

class Box:
    size = area(2, 3)
"""
SAME = '''"""A module."""
# A comment.
def area(width,
         height):  # why
    """Return the area."""
    return (width*height)


class Box:
    """A box."""

    size = area(2,3,)
'''


def write(folder: Path, name: str, source: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return name.removesuffix(".py").replace("/", ".")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def of_package(folder: Path, files: dict[str, str]) -> str:
    """Return the fingerprint of a package with the given modules; always of the same name."""
    shutil.rmtree(folder / "prov_package", ignore_errors=True)
    for name, source in files.items():
        write(folder, f"prov_package/{name}", source)
    _module_fingerprint.cache_clear()
    importlib.invalidate_caches()
    return fingerprint(["prov_package"])


def test_a_plugins_code_is_what_it_imports_of_its_package_and_so_on(folder: Path) -> None:
    files = {
        "a.py": "import json\nimport prov_own.compiled\nfrom .b import LIMIT\n"
        "from prov_own.part import one",
        "b.py": "LIMIT = 3\ndef late():\n    import prov_own.c",
        "c.py": "import numpy\nfrom prov_own import a",
        "part/__init__.py": "",
        "part/one.py": "from .. import b",
        "unused.py": "from prov_own import a",
    }
    for name, source in files.items():
        write(folder, f"prov_own/{name}", source)
    write(folder, "prov_own/__init__.py", "")
    write(folder, "prov_alone.py", "import os")
    importlib.invalidate_caches()
    assert own_code("prov_own.a") == (
        "prov_own.a",
        "prov_own.b",
        "prov_own.c",
        "prov_own.part.one",
    )
    # b imports c late, and that imports a
    assert own_code("prov_own.part.one") == own_code("prov_own.a")
    assert own_code("prov_alone") == ("prov_alone",)
    assert "prov_own" not in sys.modules


def test_comments_docstrings_and_layout_do_not_count(folder: Path) -> None:
    assert of_package(folder, {"a.py": SOURCE}) == of_package(folder, {"a.py": SAME})


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("width * height", "width + height"),
        SOURCE.replace("2, 3", "2, 4"),
        SOURCE.replace("size", "sizes"),
        SOURCE + "x = 'not a docstring'\n",
        SOURCE.replace("    return", "    x = 'string'\n    return"),
    ],
)
def test_what_the_code_does_counts(folder: Path, other: str) -> None:
    assert of_package(folder, {"a.py": SOURCE}) != of_package(folder, {"a.py": other})


def test_a_package_stands_for_all_modules_below(folder: Path) -> None:
    packages = [
        {"__init__.py": "", "deep/leaf.py": "x = 1"},
        {"__init__.py": "", "deep/leaf.py": "x = 2"},
        {"__init__.py": "", "deep/leaf.py": "x = 1", "deep/other.py": "x = 1"},
        {"__init__.py": "", "deep/moved.py": "x = 1"},
    ]
    assert len({of_package(folder, files) for files in packages}) == 4


def test_a_process_goes_by_the_code_it_began_with(folder: Path) -> None:
    before = of_package(folder, {"a.py": "x = 1"})
    write(folder, "prov_package/a.py", "x = 2")
    assert fingerprint(["prov_package"]) == before


def test_neither_the_module_nor_its_parents_are_imported(folder: Path) -> None:
    write(folder, "prov_bomb/__init__.py", "raise RuntimeError('imported')")
    write(folder, "prov_bomb/leaf.py", "raise RuntimeError('imported')")
    assert fingerprint(["prov_bomb.leaf"]) != fingerprint(["prov_bomb"])
    assert "prov_bomb" not in sys.modules


def test_order_and_repetition_of_the_names_do_not_count() -> None:
    assert fingerprint(["json", "ast", "json"]) == fingerprint(["ast", "json"])
    assert fingerprint(["json"]) != fingerprint(["ast"])


@pytest.mark.parametrize("name", ["no_such_module_x", "json.no_such", "json.decoder.x", "_struct"])
def test_a_module_without_source_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        fingerprint([name])


def test_one_definition_of_a_module_counts_alone(folder: Path) -> None:
    def found(source: str, name: str) -> str:
        of_package(folder, {"__init__.py": "", "part.py": source})
        return fingerprint([f"prov_package.part:{name}"])

    class_ = "class Kind:\n    value = {}\n"
    function = "def act():\n    return {}\n"
    one = class_.format(1) + function.format(1)
    for name, same, other in (
        ("Kind", class_.format(1) + function.format(2), class_.format(2) + function.format(1)),
        ("act", class_.format(2) + function.format(1), class_.format(1) + function.format(2)),
    ):
        assert found(one, name) == found(same, name) != found(other, name)
    with pytest.raises(ValueError, match=r"part\.py defines no function or class value"):
        found(one, "value")


def test_the_environment_names_versions_without_importing_them() -> None:
    found = environment()
    assert found["torch"] == metadata.version("torch")
    assert found["python"] == sys.version.split()[0]
    assert found["benchmark"] == f"wsss-benchmark {metadata.version('wsss-benchmark')}"
    assert found["mmseg"].split()[-1] == installed_version("mmseg").split()[-1]  # type: ignore[union-attr]
    program = (
        "import sys, benchmark.executor, benchmark.store, benchmark.progress\n"
        "from benchmark.provenance import environment\n"
        "assert environment()['device'] == 'cpu'\n"
        "print(sorted({'torch', 'torchvision', 'mmseg', 'mmengine', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_git_revision_of_the_checkout_and_its_changes(tmp_path: Path) -> None:
    source = tmp_path / "checkout" / "package" / "module.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1")
    assert git_revision(source) is None  # no checkout
    git(tmp_path / "checkout", "init", "-q")
    installed = source.with_name("installed.py")
    installed.write_text("")
    git(tmp_path / "checkout", "add", "package/module.py")
    git_revision.cache_clear()
    assert git_revision(source) is None  # no commit yet
    git(tmp_path / "checkout", "commit", "-qm", "first")
    git_revision.cache_clear()
    assert git_revision(installed) is None  # a file in somebody else's checkout
    installed.unlink()
    revision = git(tmp_path / "checkout", "rev-parse", "HEAD")
    assert git_revision(source) == revision
    (tmp_path / "checkout/results.md").write_text("not code")
    git_revision.cache_clear()
    assert git_revision(source) == revision
    (tmp_path / "checkout/other.py").write_text("x = 2")  # elsewhere in the checkout
    git_revision.cache_clear()
    assert git_revision(source) == f"{revision}+dirty"
    git_revision.cache_clear()


def test_peak_memory_sees_what_was_freed_again() -> None:
    """In a process of its own: what other tests leave to be freed would move the baseline."""
    program = """
import time
from benchmark.provenance import PeakMemory
with PeakMemory(interval=0.01) as small:
    pass
with PeakMemory(interval=0.01) as memory:
    block = bytearray(120_000_000)
    block[::4096] = b"x" * len(range(0, len(block), 4096))
    time.sleep(0.1)
    del block
assert 100 < memory.megabytes - small.megabytes < 200
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_peak_memory_includes_children() -> None:
    with PeakMemory(interval=0.02) as alone:
        pass
    program = "import time; x = bytes(b'1') * 80_000_000; time.sleep(0.3)"
    with PeakMemory(interval=0.02) as memory:
        subprocess.run([sys.executable, "-c", program], check=True)
    assert memory.megabytes - alone.megabytes > 70
