"""How a table is set in LaTeX so that it fits: in one column of a paper or in both, how small.

TeX alone knows how wide a text is; what is here is a careful estimate, a little above the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

SCRIPT = 0.8
"""Of the widths at 10 points, in ``\\scriptsize``."""

WIDTHS = {"il.,:;'|!": 2.8, "fjrst()[]- ": 3.95, "0123456789": 5.0, "mw%+±×=≈−": 8.4}
"""Points of characters in 10 point type; a capital takes 7.6, and any other character 5.3."""

NARROWEST = 70
"""Points that the first column keeps where its entries are broken into lines."""


@dataclass(frozen=True)
class Entry:
    """One entry of a table; its widths are points in 10 point type."""

    latex: str
    width: float
    script: float = 0.0  # of what is set in ``\scriptsize``, whatever the rest is set in

    def points(self, scale: float) -> float:
        """Return its width where the type has this scale."""
        return scale * self.width + SCRIPT * self.script


@dataclass(frozen=True)
class Group:
    """Columns of a table under one title."""

    title: str  # empty: none
    names: tuple[str, ...]  # of each column
    columns: tuple[tuple[Entry, ...], ...]  # its entries, downwards
    kind: str = "r"
    gap: int = 0  # points between its columns, beyond what every column has


@dataclass(frozen=True)
class Size:
    """An environment with its type, in an article of two columns on A4 with 10 point type."""

    environment: str
    type: str
    scale: float  # of the widths at 10 points
    separation: int  # points on each side of a column
    room: int  # points of a line


SIZES = (
    Size("table", r"\small", 0.93, 4, 221),
    Size("table", r"\footnotesize", 0.86, 3, 221),
    Size("table*", r"\small", 0.93, 4, 452),
    Size("table*", r"\footnotesize", 0.86, 3, 452),
    Size("table*", r"\scriptsize", SCRIPT, 2, 452),
)
"""From the one that is read best to the one that holds most."""


@dataclass(frozen=True)
class Layout:
    """A size for a table, and how its heads and first column are broken."""

    size: Size
    groups: tuple[Group, ...]
    first: float | None = None  # points of a first column that is broken into lines

    @cached_property
    def heads(self) -> list[list[str]]:
        """The lines of every group's title, no wider than its columns but for long words."""
        return [
            _broken(group.title, _inner_width(group, self.size) / self.size.scale)
            for group in self.groups
        ]

    @property
    def kinds(self) -> str:
        """What the tabular is told of its columns."""
        first = "l" if self.first is None else f"p{{{self.first:.0f}pt}}"
        return first + "".join(self._kinds(group) for group in self.groups)

    def _kinds(self, group: Group) -> str:
        between = rf"@{{\hspace{{{2 * self.size.separation + group.gap}pt}}}}" if group.gap else ""
        return between.join(group.kind * len(group.columns))

    @property
    def room(self) -> float:
        """Points that the first column may take."""
        taken = (
            max(_inner_width(group, self.size), *map(self._points, lines or [""]))
            for group, lines in zip(self.groups, self.heads, strict=True)
        )
        edges = 2 * self.size.separation
        return self.size.room - edges - sum(width + edges for width in taken)

    def _points(self, text: str) -> float:
        return self.size.scale * text_width(text)


def fit(titles: Sequence[str], groups: Sequence[Group], sizes: Sequence[Size] = SIZES) -> Layout:
    """Return the first layout that holds a table; else the last one, which is too wide.

    ``titles`` stand in the first column. Where no size holds them on one line each, they are broken
    in the first size that spans the page and leaves them room.
    """
    widest = max(map(text_width, titles))
    layouts = [Layout(size, tuple(groups)) for size in sizes]
    for layout in layouts:
        if layout.size.scale * widest <= layout.room:
            return layout
    for layout in layouts:
        if layout.size.environment == "table*" and layout.room >= NARROWEST:
            return replace(layout, first=layout.room)
    return layouts[-1]


def text_width(text: str) -> float:
    """Return the points of a text in 10 point type."""
    return sum(map(_character_width, " ".join(text.split())))


def _character_width(one: str) -> float:
    for group, width in WIDTHS.items():
        if one in group:
            return width
    return 7.6 if one.isupper() else 5.3


def _inner_width(group: Group, size: Size) -> float:
    """Return the points from the left end of a group's first column to the right of its last."""
    widths = [
        max(size.scale * text_width(name), *(entry.points(size.scale) for entry in column))
        for name, column in zip(group.names, group.columns, strict=True)
    ]
    return sum(widths) + (2 * size.separation + group.gap) * (len(widths) - 1)


def _broken(title: str, room: float) -> list[str]:
    """Return a title in lines of at most ``room`` points in 10 point type, or of one word."""
    lines: list[str] = []
    for word in title.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
