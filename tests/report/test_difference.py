"""What changed between two reports, against cases worked by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchmarkError
from benchmark.report.build import build_report
from benchmark.report.difference import (
    Change,
    Difference,
    change_line,
    difference,
    difference_lines,
    passes,
)
from benchmark.report.document import read_document, report_to_json
from benchmark.report.model import Measurement
from benchmark.tables import Table

Measure = Callable[..., dict[tuple[str, str], Measurement]]
Document = dict[str, Any]


def cell(row: str, values: tuple[float, ...], **changed: Any) -> Document:
    """Return a cell of a report; with three values 1 apart the half width is 4.968."""
    mean = sum(values) / len(values) if values else None
    interval = None
    if len(values) == 3 and mean is not None:
        interval = [mean - 4.968, mean + 4.968]
    return {
        "row": row,
        "row_title": f"Row {row}",
        "column": "val",
        "column_title": "mIoU",
        "published": 57.3,
        "verdict": "within-noise" if values else "missing",
        "mean": mean,
        "values": list(values),
        "interval": interval,
        "note": "" if values else "not run yet",
        "card": {"crf": False, "classes": ["cat"], "network": None} if values else None,
        "images": 150 if values else 0,
    } | changed


def claim(verdict: str, **changed: Any) -> Document:
    known = {"id": "best", "kind": "gain", "text": "Ours is best.", "verdict": verdict}
    return known | {"by": 1.0, "effect": 1.5, "published_effect": 1.2} | changed


def report(*cells: Document, claims: tuple[Document, ...] = (), **changed: Any) -> Document:
    known = {"table": "one", "title": "Table One", "profile": "scenes"}
    return known | {"data": {"digest": "a"}, "cells": list(cells), "claims": list(claims)} | changed


def only(found: Difference) -> Change:
    (change,) = found.changes
    return change


THREE = (56.0, 57.0, 58.0)  # 52.032 to 61.968


def test_nothing_changed() -> None:
    both = report(cell("a", THREE), cell("b", ()), claims=(claim("holds"),))
    found = difference(both, copy.deepcopy(both))
    assert (found.changes, found.regressed) == ((), False)
    assert (found.cells, found.claims) == (1, 1)  # a cell without a number is none


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        ((52.1,), None),  # inside 52.032 to 61.968, though 4.9 below
        ((52.0,), "regressed"),
        ((61.9,), None),
        ((62.0,), "improved"),
        ((50.0, 52.0, 54.0), "regressed"),  # the mean counts
        ((), "gone"),
    ],
)
def test_a_mean_against_the_interval_of_three_seeds(
    now: tuple[float, ...], kind: str | None
) -> None:
    found = difference(report(cell("a", THREE)), report(cell("a", now)))
    assert [change.kind for change in found.changes] == ([kind] if kind else [])
    assert found.regressed == (kind in ("regressed", "gone"))


@pytest.mark.parametrize(
    ("now", "kind"),
    [(56.0, None), (55.9, "regressed"), (58.0, None), (58.1, "improved")],
)
def test_a_mean_against_the_margin_where_seeds_were_few(now: float, kind: str | None) -> None:
    found = difference(report(cell("a", (56.5, 57.5))), report(cell("a", (now, now, now))))
    assert [change.kind for change in found.changes] == ([kind] if kind else [])


def test_a_line_says_from_where_to_where_and_what_was_published() -> None:
    lower = cell("a", (50.0,), verdict="differs")
    change = only(difference(report(cell("a", THREE)), report(lower)))
    assert (change.then, change.now, change.published) == (57.0, 50.0, 57.3)
    assert change_line(change) == (
        "regressed       Row a, mIoU: 57.0 then, 50.0 now, below 52.0 to 62.0, 95 % of 3 seeds "
        "then (published 57.3; within-noise then, differs now)"
    )
    gone = only(difference(report(cell("a", THREE)), report(cell("a", ()))))
    assert change_line(gone) == (
        "gone            Row a, mIoU: 57.0 then, none now: not run yet "
        "(published 57.3; within-noise then, missing now)"
    )


def test_a_verdict_on_the_published_value_may_change_alone() -> None:
    now = cell("a", (56.9, 57.0, 57.1), verdict="differs")
    change = only(difference(report(cell("a", THREE)), report(now)))
    assert (change.kind, change.regression) == ("changed", False)
    corrected = cell("a", THREE, published=57.4)
    change = only(difference(report(cell("a", THREE)), report(corrected)))
    assert change.kind == "changed"
    assert "57.3 then, 57.4 now" in change.why


def test_new_cells_and_cells_that_are_no_longer_in_the_table() -> None:
    then, now = report(cell("a", THREE), cell("b", ())), report(cell("c", THREE), cell("b", THREE))
    kinds = {change.id: change.kind for change in difference(then, now).changes}
    assert kinds == {"c/val": "new", "b/val": "new", "a/val": "gone"}
    assert difference(then, now).regressed


def test_a_report_that_is_not_there() -> None:
    one = report(cell("a", THREE), cell("b", ()), claims=(claim("holds"),))
    first = difference(None, one)
    assert [change.kind for change in first.changes] == ["new", "new"]
    assert not first.regressed
    last = difference(one, None)
    assert [change.kind for change in last.changes] == ["gone", "gone"]
    assert last.regressed
    with pytest.raises(ValueError, match="neither"):
        difference(None, None)


@pytest.mark.parametrize(
    ("then", "now", "kind"),
    [
        ("holds", "fails", "regressed"),
        ("fails", "holds", "improved"),
        ("holds", "undecided", "changed"),
        ("undecided", "fails", "changed"),
        ("fails", "fails", None),
    ],
)
def test_claims(then: str, now: str, kind: str | None) -> None:
    found = difference(report(claims=(claim(then),)), report(claims=(claim(now, effect=-2.0),)))
    assert [change.kind for change in found.changes] == ([kind] if kind else [])
    assert found.regressed == (kind == "regressed")
    if kind == "regressed":
        line = change_line(only(found))
        assert line.endswith("claim: Ours is best: holds then, fails now, +1.5 then, -2.0 now")


def test_a_claim_on_variances_shows_their_ratios() -> None:
    ratios = [claim("holds", kind="unstable", effect=4.0), claim("undecided", kind="unstable")]
    change = only(difference(report(claims=(ratios[0],)), report(claims=(ratios[1],))))
    assert change.why == "holds then, undecided now, × 4.0 then, × 1.5 now"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"profile": "light"}, "differs in: profile"),
        ({"data": {"digest": "b"}}, "differs in: data digest"),
        ({"data": {"digest": "a", "images": "7"}}, "differs in: data images"),
    ],
)
def test_other_images_are_not_compared(changed: Document, why: str) -> None:
    then = report(cell("a", THREE), claims=(claim("holds"),))
    now = report(cell("a", (1.0,)), claims=(claim("fails"),), **changed)
    found = difference(then, now)
    assert (only(found).kind, only(found).why) == ("not comparable", why)
    assert not found.regressed


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"card": {"crf": True, "classes": ["cat"], "network": None}}, "differs in: CRF"),
        ({"card": {"crf": False, "classes": ["cat", "dog"]}}, "differs in: classes"),
        ({"images": 149}, "differs in: number of images"),
        ({"verdict": "stale"}, "the code behind the number has changed: run again"),
    ],
)
def test_other_protocols_and_stale_numbers_are_not_compared(changed: Document, why: str) -> None:
    then = report(cell("a", THREE), claims=(claim("holds"),))
    now = report(cell("a", (1.0,), **changed), claims=(claim("fails"),))
    of_cell, of_claim = difference(then, now).changes
    assert (of_cell.kind, of_cell.why) == ("not comparable", why)
    assert of_claim.kind == "not comparable"
    assert not difference(then, now).regressed


def test_a_field_that_one_side_does_not_state_never_counts() -> None:
    stated = cell("a", THREE, card={"crf": False, "network": "vgg", "refinement": "none"})
    assert difference(report(cell("a", THREE)), report(stated)).changes == ()


def test_a_claim_that_is_another_one_is_not_compared() -> None:
    found = difference(report(claims=(claim("holds"),)), report(claims=(claim("fails", by=2.0),)))
    assert only(found).kind == "not comparable"


def test_lines_name_the_tables_that_changed_and_no_others() -> None:
    then = report(cell("a", THREE), cell("b", THREE), claims=(claim("holds"),))
    same = difference(then, then)
    worse = report(cell("a", (50.0,)), cell("b", THREE), claims=(claim("holds"),), table="two")
    assert difference_lines([same, same]) == ["nothing changed in one, one: 4 cells, 2 claims"]
    heading, line = difference_lines([same, difference(then, worse)])
    assert heading == "two, profile scenes"
    assert line.startswith("  regressed       Row a, mIoU: 57.0 then, 50.0 now, below")


def test_cells_that_are_not_compared_for_one_reason_share_a_line() -> None:
    then = report(cell("a", THREE), cell("b", THREE), cell("c", THREE))
    stale = [cell(row, THREE, verdict="stale") for row in "ab"]
    now = report(*stale, cell("c", THREE, images=149))
    assert difference_lines([difference(then, now)])[1:] == [
        "  not comparable  2 cells: the code behind the number has changed: run again",
        "  not comparable  Row c, mIoU: differs in: number of images "
        "(published 57.3; within-noise)",
        "  no number of this table can be compared: write its results again",
        "nothing was compared",
    ]


def test_it_passes_where_something_was_compared_and_nothing_regressed() -> None:
    kept = report(cell("a", THREE), cell("b", THREE))
    same = difference(kept, kept)
    new = difference(None, kept)
    stale = cell("a", THREE, verdict="stale")
    some = difference(kept, report(stale, cell("b", THREE)))
    none = difference(kept, report(stale, cell("b", THREE, verdict="stale")))
    other_images = difference(kept, report(cell("a", THREE), cell("b", THREE), profile="light"))
    worse = difference(kept, report(cell("a", (1.0,)), cell("b", THREE)))
    assert [(one.both, one.compared) for one in (same, new, some, none, other_images)] == [
        (2, 2),
        (0, 0),
        (2, 1),
        (2, 0),
        (2, 0),
    ]
    assert passes([same]) and passes([same, new]) and passes([some])
    assert not passes([none]) and not passes([other_images])
    assert not passes([same, none])  # of that table nobody knows
    assert not passes([new])  # compared with nothing, as after a slip in the folder's name
    assert not passes([same, worse])
    assert difference_lines([new])[-1] == difference_lines([other_images])[-1]
    assert difference_lines([same, other_images])[1:] == [
        "  not comparable  Table One: differs in: profile",
        "  no number of this table can be compared: write its results again",
    ]


def test_json_of_a_difference() -> None:
    found = difference(report(cell("a", THREE)), report(cell("a", (50.0,))))
    kept = json.loads(json.dumps(found.to_json()))
    assert (kept["table"], kept["regressed"], kept["cells"]) == ("one", True, 1)
    assert kept["changes"][0]["id"] == "a/val"


def test_reports_as_they_are_written(table1: Table, table2: Table, measure: Measure) -> None:
    for table in (table1, table2):
        good = report_to_json(build_report(table, "paper", measure(table)))
        bad = report_to_json(build_report(table, "paper", measure(table, rates=(0.3,) * 4)))
        none = report_to_json(build_report(table, "paper", {}))
        assert difference(good, good).changes == ()
        measured = [one for one in difference(good, bad).changes if one.of == "cell"]
        assert {one.kind for one in measured} == {"regressed"}
        assert len(measured) == difference(good, bad).cells == len(measure(table))
        assert {one.kind for one in difference(good, none).changes if one.of == "cell"} == {"gone"}


def test_documents_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    assert read_document(path) is None
    path.write_text("{")
    with pytest.raises(BenchmarkError, match="cannot be read as a report"):
        read_document(path)
    path.write_text('{"schema": 99}')
    with pytest.raises(BenchmarkError, match="no report of this version"):
        read_document(path)
