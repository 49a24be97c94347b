"""Stages that a GPU made without being asked for the same numbers, where the user now asks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmark.plan import CellPlan, Plan, make_plan
from benchmark.profiles import load_profile
from benchmark.report.build import build_report
from benchmark.report.console import print_report
from benchmark.report.document import read_document, report_to_json
from benchmark.report.markdown import render_markdown
from benchmark.report.model import Measurement, TableReport
from benchmark.report.page import render_page
from benchmark.runner import report_plan
from benchmark.store import Store
from benchmark.tables import Table, load_table
from benchmark.user_files import UserFiles

Measure = Callable[..., dict[tuple[str, str], Measurement]]
Environment = Mapping[str, str]

CPU = {"device": "cpu", "deterministic": "as the device is"}
GPU = {"device": "NVIDIA H200", "deterministic": "as the device is"}
ASKED = {"device": "NVIDIA H200", "deterministic": "asked for"}
OLD_GPU = {"device": "NVIDIA H200"}  # of a record from before it was said

ONE = (
    "1 stage was made on a GPU without WSSS_DETERMINISTIC: another run may give other numbers; "
    "--store NEW makes it again"
)
TWO = (
    "2 stages were made on a GPU without WSSS_DETERMINISTIC: another run may give other numbers; "
    "--store NEW makes them again"
)


def made_in(runs: Mapping[tuple[str, str], Measurement], *environments: Environment) -> Any:
    """Return measurements whose attention networks were made in these environments, row by row.

    The images that they share were made on a CPU.
    """
    found = {}
    for (place, run), environment in zip(runs.items(), environments, strict=True):
        attention, scenes = run.records
        records = (
            replace(attention, environment=dict(environment)),
            replace(scenes, environment=CPU),
        )
        found[place] = replace(run, records=records)
    return found


@pytest.mark.parametrize(
    ("environments", "caveats"),
    [
        ((CPU, CPU, CPU), ()),
        ((ASKED, ASKED, CPU), ()),
        ((ASKED, GPU, CPU), (ONE,)),
        ((GPU, OLD_GPU, ASKED), (TWO,)),
    ],
)
def test_stages_that_a_gpu_made_unasked_are_counted(
    environments: tuple[Environment, ...],
    caveats: tuple[str, ...],
    table1: Table,
    measure: Measure,
) -> None:
    runs = made_in(measure(table1), *environments)
    assert build_report(table1, "paper", runs, deterministic=True).caveats == caveats
    assert build_report(table1, "paper", runs).caveats == ()


@pytest.fixture
def report(table1: Table, measure: Measure) -> TableReport:
    runs = made_in(measure(table1), GPU, GPU, ASKED)
    return build_report(table1, "paper", runs, deterministic=True)


def test_every_report_for_people_and_the_json_say_so(report: TableReport, tmp_path: Path) -> None:
    screen = io.StringIO()
    print_report(report, console=Console(file=screen))
    assert TWO in screen.getvalue().splitlines()
    assert f"- {TWO}" in render_markdown(report).splitlines()
    document = report_to_json(report)
    assert document["caveats"] == [TWO]
    (tmp_path / f"{report.table.id}.json").write_text(json.dumps(document))
    assert render_page(tmp_path).count(TWO) == 1


def test_a_report_from_before_there_were_caveats_is_read(
    report: TableReport, tmp_path: Path
) -> None:
    document = report_to_json(report)
    del document["caveats"]
    path = tmp_path / f"{report.table.id}.json"
    path.write_text(json.dumps(document))
    assert read_document(path) == document
    assert "on a GPU without" not in render_page(tmp_path)


@pytest.mark.parametrize(("asked", "caveats"), [("1", (ONE,)), ("0", ())])
def test_it_is_said_where_the_environment_asks(
    asked: str,
    caveats: tuple[str, ...],
    measure: Measure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = load_table("seenet_table1")
    plan = make_plan(table, load_profile("scenes"), UserFiles(), (0,))
    places = [(cell.row.id, cell.column.id) for cell in plan.cells]
    runs = {place: run for place, run in measure(table, 1).items() if place in places}
    kept = made_in(runs, GPU, *[ASKED] * (len(runs) - 1))

    def measured(plan: Plan, cell: CellPlan, *given: object) -> Measurement | None:
        return kept.get((cell.row.id, cell.column.id))

    monkeypatch.setattr("benchmark.runner._measurement", measured)
    monkeypatch.setenv("WSSS_DETERMINISTIC", asked)
    assert report_plan(plan, Store(tmp_path), {}).caveats == caveats
