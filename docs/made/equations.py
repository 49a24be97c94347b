"""Equations as HTML: no script, no font from elsewhere.

In a block ``equation`` every line is one equation, cut at its first ``=``; a line that begins with
a space goes on with the one before. ``x_c``, ``x_{A,c}`` and ``x^2`` become indices and powers.
"""

from __future__ import annotations

import html
import re
from typing import Any

INDEX = re.compile(r"_(\{[^}]*\}|\(\w+\)|\w+)")
POWER = re.compile(r"\^(\{[^}]*\}|\([^)]*\)|\w+)")


def render(source: str, language: str, css_class: str, *_: Any, **__: Any) -> str:
    """Return the block as a grid of left and right sides; pymdownx calls this."""
    cells = "".join(_cells(line) for line in source.splitlines() if line.strip())
    return f'<div class="{css_class}">{cells}</div>'


def _cells(line: str) -> str:
    left, equals, right = line.partition("=")
    if line.startswith(" "):
        left, equals, right = "", "", line
    elif not equals:
        return f'<span class="whole">{_inline(line)}</span>'
    return f"<span>{_inline(left)}</span><span>{_inline(f'{equals}{right}')}</span>"


def _inline(text: str) -> str:
    escaped = html.escape(text.strip(), quote=False)
    with_indices = INDEX.sub(lambda found: f"<sub>{found[1].strip('{}')}</sub>", escaped)
    with_powers = POWER.sub(lambda found: f"<sup>{found[1].strip('{}')}</sup>", with_indices)
    return re.sub(r" {3,}", '<span class="gap"></span> ', with_powers)
