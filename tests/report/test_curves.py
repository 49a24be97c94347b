"""Charts, read back from their SVG against the numbers they were drawn from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmark.report.curves import (
    Panel,
    Scale,
    render_sweeps,
    sweep_panels,
    threshold_panels,
    ticks,
    whiskers,
)
from benchmark.report.model import ThresholdCurve

SVG = "{http://www.w3.org/2000/svg}"


def cell(row: str, mean: float | None, published: float | None, half: float | None) -> Any:
    return {
        "row": row,
        "column": "val",
        "mean": mean,
        "published": published,
        "values": [] if mean is None else [mean] * 3,
        "seeds": [] if mean is None else [0, 1, 2],
        "interval": None if mean is None or half is None else [mean - half, mean + half],
    }


def document(**changes: Any) -> dict[str, Any]:
    return {
        "title": "A <sweep> & more",
        "columns": [{"id": "val", "title": "mS_{IoU}"}],
        "rows": [{"id": name, "title": name} for name in "abcd"],
        "cells": [
            cell("a", 40.0, 50.0, 2.0),
            cell("b", 44.0, 53.0, 2.0),
            cell("c", None, 52.0, None),
            cell("d", 42.0, None, None),
        ],
        "curves": [
            {
                "id": "x",
                "title": "x",
                "x_title": "λ",
                "x": [0, 1, 2, 4],
                "rows": list("abcd"),
                "columns": ["val"],
            }
        ],
        "threshold_curves": [],
    } | changes


def value_at(ticked: Mapping[float, float], place: float) -> float:
    """Return the value at a place of an axis, by its outermost labelled ticks."""
    (low, first), *_, (high, last) = sorted((value, at) for at, value in ticked.items())
    return low + (place - first) / (last - first) * (high - low)


def drawn(panel: Panel, points: str) -> list[tuple[float, float]]:
    x = {tick.at: float(tick.label) for tick in panel.x_ticks}
    y = {tick.at: float(tick.label) for tick in panel.y_ticks}
    pairs = [pair.split(",") for pair in points.split()]
    return [(value_at(x, float(a)), value_at(y, float(b))) for a, b in pairs]


def near(*pairs: tuple[float, float]) -> list[Any]:
    return [pytest.approx(pair, abs=0.05) for pair in pairs]


def test_curves_lie_where_the_axes_say() -> None:
    (panel,) = sweep_panels(document())
    paper, ours = panel.series
    assert [drawn(panel, piece) for piece in paper.pieces] == [near((0, 50), (1, 53), (2, 52))]
    # the row that has no number breaks the curve
    assert [drawn(panel, piece) for piece in ours.pieces] == [near((0, 40), (1, 44)), near((4, 42))]
    assert [drawn(panel, band) for band in ours.bands] == [near((0, 42), (1, 46), (1, 42), (0, 38))]
    assert paper.bands == ()
    assert len(ours.points) == 3
    assert panel.about == "3 seeds, band: 95 % for one run"


def test_labels_of_two_curves_do_not_touch() -> None:
    close = [cell("a", 40, 50, None), cell("b", 50, 50.1, None)]
    curve = document()["curves"][0] | {"x": [0, 1], "rows": ["a", "b"]}
    (panel,) = sweep_panels(document(cells=close, curves=[curve]))
    places = sorted(series.label_at[1] for series in panel.series)
    assert places[1] - places[0] >= 13.9


def test_without_a_run_the_papers_curve_stands_alone() -> None:
    cells = [cell(row, None, value, None) for row, value in zip("abcd", (1, 2, 3, 4), strict=True)]
    (panel,) = sweep_panels(document(cells=cells))
    assert [series.kind for series in panel.series] == ["paper"]
    assert panel.about == "not run yet"


def test_the_file_is_a_whole_svg_and_the_same_every_time() -> None:
    text = render_sweeps(document())
    assert render_sweeps(document()) == text
    root = ElementTree.fromstring(text)
    assert root.find(f"{SVG}title").text == "A <sweep> & more"  # type: ignore[union-attr]
    lines = root.findall(f".//{SVG}polyline")
    assert [line.get("class") for line in lines] == ["curve paper", "curve ours", "curve ours"]
    said = [one.text for one in root.findall(f".//{SVG}circle/{SVG}title")]
    assert said == [
        "ours, 0: 40.0 (38.0 to 42.0 for one run)",
        "ours, 1: 44.0 (42.0 to 46.0 for one run)",
        "ours, 4: 42.0",
    ]
    assert not re.search(r"\d{4}-\d\d-\d\d|href|url\(", text)


@pytest.mark.parametrize("values", [(3.0,), (0.0, 0.0), (12.3, 57.9), (-0.4, 0.1)])
def test_ticks_span_the_values(values: tuple[float, ...]) -> None:
    found = ticks(values)
    assert found[0] <= min(values)
    assert found[-1] >= max(values)
    assert 2 <= len(found) <= 8


def test_a_scale_runs_from_its_start_to_its_end() -> None:
    y = Scale(0, 50, 200, 100)
    assert (y(0), y(50), y(25)) == (200, 100, 150)


def threshold(row: str, seed: int, fixed: Any) -> dict[str, Any]:
    curve = ThresholdCurve(seed, (0.25, 0.5, 0.75), (0.2, 0.4, 0.4), fixed)
    return {
        "row": row,
        "seed": seed,
        "thresholds": list(curve.thresholds),
        "values": list(curve.values),
        "oracle": dict(zip(("threshold", "value"), curve.oracle, strict=True)),
        "fixed": None if fixed is None else {"threshold": fixed, "value": curve.fixed_value},
    }


def test_threshold_curves_mark_the_oracle_and_the_fixed_value() -> None:
    curves = [threshold("a", 0, 0.25), threshold("b", 0, None), threshold("c", 0, 0.3)]
    first, second, third = threshold_panels(document(threshold_curves=curves))
    assert first.oracle == "40.0 at 0.50"  # the lower of two equal ones
    assert first.fixed_at == "20.0 at 0.25"
    places = {tick.label: tick.at for tick in first.x_ticks}
    heights = {tick.label: tick.at for tick in first.y_ticks}
    assert first.oracles == ((places["0.5"], heights["40"]),)
    assert first.fixed == ((places["0.25"], heights["20"]),)
    assert (second.fixed, second.fixed_at) == ((), "")
    assert (third.fixed, third.fixed_at) == ((), "0.3, not among the scored ones")


def test_a_threshold_curve_has_a_value_for_every_threshold() -> None:
    with pytest.raises(ValueError, match="1 values of 2 thresholds"):
        ThresholdCurve(0, (0.1, 0.2), (0.5,))
    curve = ThresholdCurve(0, (0.1, 0.2), (0.5, 0.6), fixed=0.15)
    assert curve.fixed_value is None
    assert ThresholdCurve(0, (0.0, 0.2), (0.5, 0.6), fixed=0.0).fixed_value == 0.5


def test_effects_share_one_axis_with_0() -> None:
    claims = [
        {"kind": "gain", "effect": 2.0, "published_effect": 1.0, "interval": [1.0, 4.0]},
        {"kind": "order", "effect": None, "published_effect": -4.0, "interval": None},
        {"kind": "unstable", "effect": 90.0, "published_effect": None, "interval": [1.1, 99.0]},
    ]
    one, other, ratio = whiskers(claims)
    assert one.zero == other.zero
    assert one.ours is not None
    assert one.paper is not None
    assert one.high is not None
    assert other.paper is not None
    assert one.low == one.paper
    assert one.ours - one.zero == pytest.approx(2 * (one.paper - one.zero), abs=0.02)
    assert one.high - one.zero == pytest.approx(one.zero - other.paper, abs=0.02)
    assert (other.low, other.ours) == (None, None)
    assert (ratio.low, ratio.ours, ratio.zero) == (None, None, one.zero)
