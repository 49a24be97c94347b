"""Charts of a report, as geometry for a template: sweeps, and maps over their threshold.

Everything comes from a report's JSON (benchmark.report.document), so that a page can be drawn from
committed results alone. The pictures are SVG with classes for colours, and nothing in them is
measured by a machine's fonts, so the same numbers give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, in the picture's units."""

    at: float
    label: str


@dataclass(frozen=True)
class Series:
    """One curve: its unbroken pieces and its points, in the picture's units."""

    kind: str  # "ours" | "paper"
    label: str
    label_at: Point
    pieces: tuple[str, ...]  # SVG points of each stretch without a gap
    bands: tuple[str, ...]  # SVG points of each stretch with an interval
    points: tuple[tuple[float, float, str], ...]  # with what is said of each


@dataclass(frozen=True)
class Panel:
    """One chart. Units are those of the SVG's view box; y runs downwards."""

    title: str
    x_title: str
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    about: str = ""


@dataclass(frozen=True)
class Scale:
    """A line from values to places in the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value, to a hundredth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


WIDTH, HEIGHT = 380, 250
LEFT, RIGHT, TOP, BOTTOM = 40, 332, 14, 208
LINE = 14.0  # between two labels


def ticks(values: Iterable[float], number: int = 5) -> tuple[float, ...]:
    """Return round values that span the given ones."""
    from matplotlib.ticker import MaxNLocator

    found = list(values)
    low, high = min(found), max(found)
    if math.isclose(low, high):
        low, high = low - 1, high + 1
    places = MaxNLocator(nbins=number, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return tuple(round(float(place), 9) for place in places)


def sweep_panels(document: Mapping[str, Any]) -> list[Panel]:
    """Return a chart for every column of every sweep of a report's JSON."""
    cells = {(cell["row"], cell["column"]): cell for cell in document["cells"]}
    titles = {column["id"]: column["title"] for column in document["columns"]}
    return [
        _sweep_panel(curve, titles[column], [cells.get((row, column)) for row in curve["rows"]])
        for curve in document["curves"]
        for column in curve["columns"]
    ]


def _sweep_panel(
    curve: Mapping[str, Any], column: str, cells: Sequence[Mapping[str, Any] | None]
) -> Panel:
    ours = [cell["mean"] if cell else None for cell in cells]
    paper = [cell["published"] if cell else None for cell in cells]
    spans = [cell["interval"] if cell else None for cell in cells]
    seeds = sorted({len(cell["seeds"]) for cell in cells if cell and cell["values"]})
    heights = [value for value in (*ours, *paper) if value is not None]
    heights += [end for span in spans if span for end in span]
    places = ticks(heights or [0, 100])
    x = Scale(curve["x"][0], curve["x"][-1], LEFT + 8, RIGHT - 8)
    y = Scale(places[0], places[-1], BOTTOM, TOP)
    kept = [
        series
        for series in (
            _series("paper", "paper", curve["x"], paper, [None] * len(paper), x, y),
            _series("ours", "ours", curve["x"], ours, spans, x, y),
        )
        if series.points
    ]
    return Panel(
        title=column,
        x_title=curve["x_title"],
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        x_ticks=tuple(Tick(x(value), f"{value:g}") for value in curve["x"]),
        y_ticks=tuple(Tick(y(value), f"{value:g}") for value in places),
        series=tuple(_apart(kept)),
        about=_about_sweep(seeds, any(spans)),
    )


def _about_sweep(seeds: Sequence[int], banded: bool) -> str:
    if not seeds:
        return "not run yet"
    number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    plural = "" if seeds[-1] == 1 else "s"
    band = "band: 95 % for one run" if banded else "too few for a band"
    return f"{number} seed{plural}, {band}"


def _series(
    kind: str,
    label: str,
    xs: Sequence[float],
    values: Sequence[float | None],
    spans: Sequence[Sequence[float] | None],
    x: Scale,
    y: Scale,
) -> Series:
    known = [
        (x(a), y(v), f"{a:g}: {v:.1f}{_spread(span)}")
        for a, v, span in zip(xs, values, spans, strict=True)
        if v is not None
    ]
    pieces = [
        _path([(x(xs[i]), y(value)) for i in piece if (value := values[i]) is not None])
        for piece in _stretches([value is not None for value in values])
    ]
    bands = []
    for piece in _stretches([span is not None for span in spans]):
        upper = [(x(xs[i]), y(span[1])) for i in piece if (span := spans[i])]
        lower = [(x(xs[i]), y(span[0])) for i in reversed(piece) if (span := spans[i])]
        if len(piece) == 1:  # no width of its own
            upper = [(upper[0][0] - 3, upper[0][1]), (upper[0][0] + 3, upper[0][1])]
            lower = [(lower[0][0] + 3, lower[0][1]), (lower[0][0] - 3, lower[0][1])]
        bands.append(_path([*upper, *lower]))
    end = (known[-1][0] + 8, known[-1][1]) if known else (0.0, 0.0)
    return Series(kind, label, end, tuple(pieces), tuple(bands), tuple(known))


def _spread(span: Sequence[float] | None) -> str:
    return f" ({span[0]:.1f} to {span[1]:.1f} for one run)" if span else ""


def _stretches(present: Sequence[bool]) -> list[list[int]]:
    """Return the runs of indices that are present."""
    runs: list[list[int]] = []
    for index, there in enumerate(present):
        if there and index and present[index - 1]:
            runs[-1].append(index)
        elif there:
            runs.append([index])
    return runs


def _path(points: Iterable[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _apart(series: list[Series]) -> list[Series]:
    """Move the labels of two curves apart where they would touch."""
    if len(series) < 2:
        return series
    upper, lower = sorted(series, key=lambda one: one.label_at[1])
    overlap = LINE - (lower.label_at[1] - upper.label_at[1])
    if overlap <= 0 or abs(lower.label_at[0] - upper.label_at[0]) > 3 * LINE:
        return series
    moved = {
        upper.kind: round(upper.label_at[1] - overlap / 2, 2),
        lower.kind: round(lower.label_at[1] + overlap / 2, 2),
    }
    return [_relabelled(one, moved[one.kind]) for one in series]


def _relabelled(series: Series, y: float) -> Series:
    return replace(series, label_at=(series.label_at[0], y))


# Maps over their background threshold


@dataclass(frozen=True)
class ThresholdPanel:
    """The curves of one row's maps, one a seed, before those of the other rows."""

    title: str
    lines: tuple[str, ...]
    others: tuple[str, ...]
    oracles: tuple[Point, ...]
    fixed: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    oracle: str  # in words
    fixed_at: str  # in words; empty where the recipe has no threshold on the maps alone


SMALL_WIDTH, SMALL_HEIGHT = 240, 150
SMALL_LEFT, SMALL_RIGHT, SMALL_TOP, SMALL_BOTTOM = 28, 232, 10, 128


def threshold_panels(document: Mapping[str, Any]) -> list[ThresholdPanel]:
    """Return a chart for every row whose maps were scored over the background threshold."""
    curves = document["threshold_curves"]
    if not curves:
        return []
    places = ticks([0.0, *(100 * value for curve in curves for value in curve["values"])], 4)
    x = Scale(0, 1, SMALL_LEFT, SMALL_RIGHT)
    y = Scale(places[0], places[-1], SMALL_BOTTOM, SMALL_TOP)
    lines = [
        _path((x(a), y(100 * v)) for a, v in zip(one["thresholds"], one["values"], strict=True))
        for one in curves
    ]
    titles = {row["id"]: row["title"] for row in document["rows"]}
    panels = []
    for row in dict.fromkeys(curve["row"] for curve in curves):
        mine = [curve for curve in curves if curve["row"] == row]
        oracles = [curve["oracle"] for curve in mine]
        fixed = [curve["fixed"] for curve in mine if curve["fixed"]]
        scored = [one for one in fixed if one["value"] is not None]
        panels.append(
            ThresholdPanel(
                title=titles[row],
                lines=tuple(dict.fromkeys(_of(lines, curves, row, True))),
                others=tuple(dict.fromkeys(_of(lines, curves, row, False))),
                oracles=tuple((x(one["threshold"]), y(100 * one["value"])) for one in oracles),
                fixed=tuple((x(one["threshold"]), y(100 * one["value"])) for one in scored),
                x_ticks=tuple(Tick(x(value), f"{value:g}") for value in (0, 0.25, 0.5, 0.75, 1)),
                y_ticks=tuple(Tick(y(value), f"{value:g}") for value in places),
                width=SMALL_WIDTH,
                height=SMALL_HEIGHT,
                left=SMALL_LEFT,
                right=SMALL_RIGHT,
                top=SMALL_TOP,
                bottom=SMALL_BOTTOM,
                oracle=_at(oracles),
                fixed_at=_at(scored) if scored else _unscored(fixed),
            )
        )
    return panels


def _of(lines: Sequence[str], curves: Sequence[Any], row: str, mine: bool) -> list[str]:
    return [
        line for line, curve in zip(lines, curves, strict=True) if (curve["row"] == row) == mine
    ]


def _at(places: Sequence[Mapping[str, float]]) -> str:
    """Return the mean value and the thresholds in words."""
    mean = 100 * math.fsum(one["value"] for one in places) / len(places)
    found = sorted({one["threshold"] for one in places})
    span = f"{found[0]:.2f}" if len(found) == 1 else f"{found[0]:.2f} to {found[-1]:.2f}"
    return f"{mean:.1f} at {span}"


def _unscored(fixed: Sequence[Mapping[str, float]]) -> str:
    return f"{fixed[0]['threshold']:g}, not among the scored ones" if fixed else ""


# Claims


@dataclass(frozen=True)
class Whisker:
    """One effect with its interval on the axis that all claims of a table share."""

    width: int
    zero: float
    low: float | None
    high: float | None
    ours: float | None
    paper: float | None


WHISKER_WIDTH = 160
RATIOS = {"unstable"}
"""Claims whose effect is no difference in points, so that it has no place on their axis."""


def whiskers(claims: Sequence[Mapping[str, Any]]) -> list[Whisker]:
    """Return the pictures of the claims' effects; the axis holds 0 and every value."""
    values = [0.0]
    for claim in claims:
        if claim["kind"] in RATIOS:
            continue
        values += [
            claim[name] for name in ("effect", "published_effect") if claim[name] is not None
        ]
        values += claim["interval"] or []
    reach = max(map(abs, values)) or 1.0
    x = Scale(min(values) - 0.05 * reach, max(values) + 0.05 * reach, 6, WHISKER_WIDTH - 6)

    return [_whisker(claim, x) for claim in claims]


def _whisker(claim: Mapping[str, Any], x: Scale) -> Whisker:
    def at(value: float | None) -> float | None:
        return None if value is None or claim["kind"] in RATIOS else x(value)

    low, high = claim["interval"] or (None, None)
    return Whisker(
        width=WHISKER_WIDTH,
        zero=x(0.0),
        low=at(low),
        high=at(high),
        ours=at(claim["effect"]),
        paper=at(claim["published_effect"]),
    )


def render_sweeps(document: Mapping[str, Any]) -> str:
    """Return the report's sweeps as one SVG file, charts beside each other, two a line."""
    from markupsafe import Markup

    from benchmark.report.templates import render, source

    panels = sweep_panels(document)
    across = min(2, len(panels))
    return render(
        "sweeps.svg",
        panels=[
            (panel, (index % across) * WIDTH, (index // across) * (HEIGHT + 30))
            for index, panel in enumerate(panels)
        ],
        width=across * WIDTH,
        height=-(-len(panels) // across) * (HEIGHT + 30),
        title=document["title"],
        style=Markup(source("charts.css")),
    )
