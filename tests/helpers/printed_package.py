"""The package that a page prints, written as its readers would write it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "other-plugins.md"
NAME = "my_plugins"
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def write_printed_package(folder: Path) -> Path:
    """Write the files that docs/other-plugins.md prints into ``folder``/my_plugins; return it."""
    root = folder / NAME
    code = root / "src" / NAME
    for package in (code, code / "configs", code / "tables"):
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        (root / name).write_text(text, encoding="utf-8")
    return root
