"""The fenced blocks of Markdown files, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
PROGRAMS = ("python", "pip", "pipx", "pytest", "wsss-benchmark", "mkdocs", "docker", "dask")
OPENING = re.compile(r"^( *)```+ *([\w-]*)")


@dataclass(frozen=True)
class Fence:
    """One block: where it begins, its language, and what it holds."""

    path: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return the words of each command: of all lines, or in a console of those after $."""
        text = self.text
        if self.language == "console":
            text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
        lines = text.replace("\\\n", " ").splitlines()
        parts = [part for line in lines for part in line.split("&&")]
        words = [shlex.split(part, comments=True) for part in parts]
        return [command for command in words if command]


def fences() -> list[Fence]:
    """Return every block of README and docs."""
    return [fence for path in DOCUMENTS for fence in _fences(path)]


def begins_with_command(line: str) -> bool:
    """Tell whether a line, or the first of a block, is something to type."""
    words = line.split(maxsplit=1)
    return bool(words) and (words[0] == "$" or words[0] in PROGRAMS)


def _fences(path: Path) -> Iterator[Fence]:
    block: list[str] | None = None
    start, language, indent = 0, "", ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        opening = OPENING.match(line)
        if opening and block is None:
            block, start, indent, language = [], number, opening[1], opening[2]
        elif opening and block is not None:
            text = "".join(f"{one}\n" for one in block)
            kind = "sh" if not language and begins_with_command(text) else language
            yield Fence(path, start, kind, text)
            block = None
        elif block is not None:
            block.append(line.removeprefix(indent))
    assert block is None, f"{path}:{start}: a block that nothing ends"
