"""The figure sheets of a profile, as data in the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 1_500_000
"""Of all sheets of a page together; above it they are made smaller."""

OTHERS = ""
"""The key of sheets that belong to no table of the page."""


@dataclass(frozen=True)
class Figure:
    """One sheet."""

    title: str
    name: str
    width: int
    height: int
    data: str  # a data URI


def read_figures(folder: Path, titles: Mapping[str, tuple[str, str]]) -> dict[str, list[Figure]]:
    """Return the sheets in a folder by table; ``titles``: TABLE_ROW -> (table, title of its row).

    A sheet is named TABLE_ROW, or TABLE_ROW_WHAT where a row has others too.
    """
    paths = sorted(folder.glob("*.jpg"))
    total = sum(path.stat().st_size for path in paths)
    scale = min(1.0, math.sqrt(MOST_BYTES / total)) if total else 1.0
    found: dict[str, list[Figure]] = {}
    for path in paths:
        table, title = _belongs(path.stem, titles)
        found.setdefault(table, []).append(_figure(path, title, scale))
    return found


def _belongs(name: str, titles: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """Return the table of a sheet and what the sheet shows."""
    known = [key for key in titles if name == key or name.startswith(f"{key}_")]
    if not known:
        return OTHERS, name
    key = max(known, key=len)
    table, title = titles[key]
    what = name.removeprefix(key).replace("_", " ").strip()
    return table, f"{title}, {what}" if what else title


def _figure(path: Path, title: str, scale: float) -> Figure:
    from PIL import Image

    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        size = picture.size
        if scale < 1:
            size = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
            content = _smaller(picture, size)
    data = base64.b64encode(content).decode()
    return Figure(title, path.name, *size, f"data:image/jpeg;base64,{data}")


def _smaller(picture: Image.Image, size: tuple[int, int]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    resized = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    resized.save(buffer, format="JPEG", quality=80, optimize=True)
    return buffer.getvalue()
