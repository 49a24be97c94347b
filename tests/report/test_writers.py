"""The files of a report: readable, complete, and the same bytes every time."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.report.build import build_report
from benchmark.report.card import ProtocolCard
from benchmark.report.document import KEYS, report_to_json
from benchmark.report.markdown import escape, markdown_table
from benchmark.report.model import Measurement, TableReport
from benchmark.report.writers import CSV_HEADER, render_index, write_index, write_report
from benchmark.tables import Table

Measure = Callable[..., dict[tuple[str, str], Measurement]]
Change = Callable[[ProtocolCard], ProtocolCard]


@pytest.fixture
def report(table1: Table, measure: Measure, on_scenes: Change) -> TableReport:
    return build_report(
        table1,
        "scenes",
        measure(table1, change=on_scenes),
        meaning="Never claims the absolute value.",
        data={"name": "scenes 1", "digest": "abc"},
    )


@pytest.fixture
def swept(swept_table: Table, measure: Measure, on_scenes: Change) -> TableReport:
    rates = [0.6 + index / 100 for index in range(12)]
    measured = measure(swept_table, change=on_scenes, rates=rates)
    return build_report(swept_table, "scenes", measured, data={"name": "scenes"})


@pytest.fixture
def report2(table2: Table, measure: Measure) -> TableReport:
    return build_report(table2, "paper", measure(table2, seeds=1))


def read_tables(markdown: str) -> list[list[list[str]]]:
    """Return the GitHub tables of a text as rows of cells, rule lines left out."""
    tables: list[list[list[str]]] = []
    inside = False
    for line in markdown.splitlines():
        if line.startswith("|"):
            if not inside:
                tables.append([])
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            tables[-1].append([cell.strip() for cell in cells])
        inside = line.startswith("|")
    return [[table[0], *table[2:]] for table in tables]


def test_files_lie_under_the_profile_and_do_not_change(report: TableReport, tmp_path: Path) -> None:
    paths = write_report(report, tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in paths]
    assert names == [f"scenes/seenet_table1.{suffix}" for suffix in ("md", "csv", "json", "tex")]
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_report(report, tmp_path)] == first
    assert len(list((tmp_path / "scenes").iterdir())) == 4


def test_markdown_shows_every_part(report: TableReport, tmp_path: Path) -> None:
    text = write_report(report, tmp_path)[0].read_text()
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "Scores",
        "Claims of the paper",
        "Where the points are",
        "Protocol card",
        "Per class",
        "Notes",
        "Provenance",
    ]
    assert "arXiv:1810.09821" in text
    assert "Never claims the absolute value." in text
    assert "name: scenes 1; digest: abc" in text
    scores, claims, stages, card, classes, records = read_tables(text)
    cell = report.by_place["seenet", "val"]
    assert scores[3][:3] == ["3 SeeNet (ours)", "57.3", f"{cell.mean:.1f} ± {cell.sd:.1f}"]
    assert scores[3][6:] == ["not-comparable", "differs in: data set, profile"]
    assert [row[1] for row in claims[1:]] == ["+1.2", "+1.5"]
    assert stages[1][1:4] == ["50.0"] * 3
    assert ["data set", "VOC 2012", "generated scenes", "yes"] in card
    assert ["image labels from", "not stated", "csv", ""] in card
    assert [row[0] for row in classes[1:]] == [
        "background",
        *report.table.protocol.classes,
        "**mean**",
    ]
    assert len(records) == 1 + len(report.records)


def test_every_markdown_table_is_whole(
    report: TableReport, report2: TableReport, tmp_path: Path
) -> None:
    for one in (report, report2):
        text = write_report(one, tmp_path)[0].read_text()
        for table in read_tables(text):
            assert {len(row) for row in table} == {len(table[0])}
            assert "nan" not in {cell for row in table for cell in row}


def test_several_columns_keep_the_papers_layout(report2: TableReport, tmp_path: Path) -> None:
    text = write_report(report2, tmp_path)[0].read_text()
    layout, verdicts = read_tables(text)[:2]
    assert layout[0][:4] == ["row", "publication", "supervision", "mIoU val w/o CRF"]
    assert len(layout) == 1 + 18
    assert layout[1] == ["CCNN", "ICCV’15", "10K weak", "33.3 (?)", "–", "35.3", "–", "–", "–"]
    assert {row[0] for row in verdicts[1:]} == {"SeeNet (Ours, VGG16)", "SeeNet (Ours, ResNet101)"}
    assert "- (?) Row *CCNN*, *mIoU val w/o CRF*: row from order" in text


def test_csv_holds_unrounded_numbers_a_line_a_cell(
    report: TableReport, report2: TableReport, tmp_path: Path
) -> None:
    with write_report(report, tmp_path)[1].open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == CSV_HEADER
    assert [line["row"] for line in lines] == ["acol", "seenet_no_flip", "seenet"]
    cell = report.by_place["seenet", "val"]
    assert cell.interval is not None
    assert float(lines[2]["ours_mean"]) == cell.mean
    assert (float(lines[2]["pi_low"]), float(lines[2]["pi_high"])) == cell.interval
    assert (lines[2]["difference"], lines[2]["differing_fields"]) == ("", "dataset profile")
    with write_report(report2, tmp_path)[1].open(newline="") as file:
        lines = list(csv.DictReader(file))
    published = {(r.id, c): v for r in report2.table.rows for c, v in r.published.items()}
    assert {(x["row"], x["column"]): float(x["published"]) for x in lines} == published
    ours = next(x for x in lines if (x["row"], x["column"]) == ("seenet_vgg16", "val"))
    assert float(ours["difference"]) == pytest.approx(float(ours["ours_mean"]) - 59.9)


def leaves(value: Any, path: str = "") -> set[str]:
    """Return the documented part of every path in a document."""
    if path in KEYS:
        return {path}
    if isinstance(value, dict):
        inner = [leaves(item, f"{path}.{key}" if path else key) for key, item in value.items()]
        return set().union(*inner)
    if isinstance(value, list):
        return set().union(*(leaves(item, f"{path}[]") for item in value))
    return {path}


def test_json_has_the_documented_keys_and_no_others(swept: TableReport, tmp_path: Path) -> None:
    document = json.loads(write_report(swept, tmp_path)[2].read_text())
    assert leaves(document) == set(KEYS)
    assert document["schema"] == 2


def test_json_keeps_the_layout_the_sweeps_and_the_threshold_curves(
    swept: TableReport, tmp_path: Path
) -> None:
    document = json.loads(write_report(swept, tmp_path)[2].read_text())
    assert [row["id"] for row in document["rows"]] == [
        "alpha_0",
        "alpha_001",
        "alpha_005",
        "alpha_01",
    ]
    assert [column["metric"] for column in document["columns"]] == ["miou", "precision", "recall"]
    assert [column["decimals"] for column in document["columns"]] == [2, 2, 2]
    assert (document["curves"][0]["x"], document["curves"][0]["rows"]) == (
        [0, 0.01, 0.05, 0.1],
        ["alpha_0", "alpha_001", "alpha_005", "alpha_01"],
    )
    curve = document["threshold_curves"][1]
    assert (curve["row"], curve["seed"], curve["values"]) == ("alpha_0", 1, [0.4, 0.51, 0.45])
    assert curve["oracle"] == {"threshold": 0.2, "value": 0.51}
    assert curve["fixed"] == {"threshold": 0.3, "value": 0.45}


def test_a_swept_table_has_its_chart_beside_it(swept: TableReport, tmp_path: Path) -> None:
    paths = write_report(swept, tmp_path)
    assert paths[-1].name == "eader_alpha.svg"
    assert "](eader_alpha.svg)" in paths[0].read_text()
    first = paths[-1].read_bytes()
    assert write_report(swept, tmp_path)[-1].read_bytes() == first
    other = write_report(swept, tmp_path, "from/other")
    assert [path.relative_to(tmp_path).as_posix() for path in other] == [
        f"scenes/from/other.{suffix}" for suffix in ("md", "csv", "json", "tex", "svg")
    ]
    assert "](other.svg)" in other[0].read_text()


def test_json_keeps_everything_unrounded(report: TableReport, tmp_path: Path) -> None:
    document = json.loads(write_report(report, tmp_path)[2].read_text())
    cell, kept = report.by_place["seenet", "val"], document["cells"][2]
    assert tuple(kept["values"]) == cell.values
    assert tuple(kept["class_scores"].values()) == cell.class_scores
    assert list(kept["class_scores"])[:2] == ["background", "aeroplane"]
    assert kept["card"]["dataset"] == "generated scenes"
    assert kept["published_card"]["image_labels"] is None
    assert kept["records"] == list(cell.keys)
    assert [record["environment"] for record in document["records"]] == [0] * 4
    assert document["environments"] == [{"python": "3.11", "device": "cpu"}]
    assert document["records"][0]["config"] == {"seed": 0, "note": "a | b"}


def test_a_report_without_any_run_can_be_written(table1: Table, tmp_path: Path) -> None:
    markdown, _, document, _ = write_report(build_report(table1, "scenes", {}), tmp_path)
    assert "no run yet" in markdown.read_text()
    assert json.loads(document.read_text())["verdicts"] == {"missing": 3}


def test_no_machine_path_is_written(table1: Table, measure: Measure, tmp_path: Path) -> None:
    runs = measure(table1)
    error = f"weights {tmp_path}/w.safetensors lack features.0.weight (see '/opt/x y/z.txt')"
    runs["acol", "val"] = Measurement(card=runs["acol", "val"].card, error=error)
    for path in write_report(build_report(table1, "scenes", runs), tmp_path):
        text = path.read_text()
        if path.suffix != ".tex":  # has no notes
            assert "w.safetensors lack features.0.weight" in text
        assert str(tmp_path) not in text
        assert "/opt" not in text


def test_pipes_and_line_breaks_cannot_break_a_table() -> None:
    table = markdown_table(["a", "b"], [["x | y", "two\nlines"]], right=[1])
    assert table.splitlines() == ["| a | b |", "| --- | ---: |", "| x \\| y | two lines |"]
    assert escape("C:\\d") == "C:\\\\d"
    with pytest.raises(ValueError, match="as many cells"):
        markdown_table(["a", "b"], [["only one"]])


def test_index_counts_verdicts_and_claims(
    report: TableReport, report2: TableReport, tmp_path: Path
) -> None:
    assert "No table has been run yet." in render_index(tmp_path)
    write_report(report, tmp_path)
    write_report(report2, tmp_path)
    (tmp_path / "light").mkdir()
    (tmp_path / "light" / "broken.json").write_text("{")
    text = write_index(tmp_path).read_text()
    light, paper_table, scenes = read_tables(text)
    paper = ", ".join(f"{n} {name}" for name, n in report2.verdict_counts().items())
    claims = ", ".join(f"{n} {name}" for name, n in report2.claim_counts().items())
    assert sum(report2.verdict_counts().values()) == 6
    assert light[1][1:6] == ["", "", "", "not readable: run the table again", ""]
    assert [*paper_table[1][1:2], *paper_table[1][3:6]] == ["2026-03-04", "1", paper, claims]
    assert [*scenes[1][1:2], *scenes[1][3:6]] == ["2026-03-04", "3", "3 not-comparable", "2 holds"]
    assert "## Profile light\n\nNo table of it can be read.\n" in text
    assert "## Profile scenes\n\n1 table; cells: 3 not-comparable; claims: 2 holds.\n" in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (tmp_path / link).is_file()


def test_index_names_the_commits_behind_a_table_the_newest_first(
    report: TableReport, tmp_path: Path
) -> None:
    document = report_to_json(report)
    record = {"inputs": {}, "environment": 0, **document["records"][0]}
    document["records"] = [
        {
            **record,
            "key": str(number),
            "started": f"2026-03-0{day}T00:00:00",
            "git_revision": commit,
        }
        for number, (day, commit) in enumerate(
            [(1, "a" * 40), (3, "b" * 40), (2, "c" * 40), (4, "a" * 40), (1, None)]
        )
    ]
    path = tmp_path / "scenes" / "one.json"
    path.parent.mkdir()
    path.write_text(json.dumps(document))
    (table,) = read_tables(render_index(tmp_path))
    assert table[1][2] == f"{'a' * 7}, {'b' * 7}, {'c' * 7}, not in a checkout"


def test_index_adds_up_the_tables_of_a_profile_and_says_where_seeds_are_missing(
    table1: Table, measure: Measure, tmp_path: Path
) -> None:
    whole = report_to_json(build_report(table1, "paper", measure(table1)))
    started = report_to_json(build_report(table1, "paper", measure(table1)))
    started["cells"][0]["seeds"] = [0]
    for name, document in (("one", whole), ("two", started)):
        path = tmp_path / "paper" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
    text = render_index(tmp_path)
    (table,) = read_tables(text)
    assert [row[3] for row in table[1:]] == ["3", "1 to 3"]
    twice = ", ".join(f"{2 * number} {name}" for name, number in whole["verdicts"].items())
    assert f"2 tables; cells: {twice}; claims:" in text


def test_a_stale_value_is_still_shown(table1: Table, measure: Measure, tmp_path: Path) -> None:
    runs = measure(table1, seeds=1)
    runs["seenet", "val"] = replace(runs["seenet", "val"], stale=True)
    document = write_report(build_report(table1, "paper", runs), tmp_path)[2]
    kept = json.loads(document.read_text())["cells"][2]
    assert (kept["verdict"], kept["sd"], kept["interval"]) == ("stale", None, None)
    assert len(kept["values"]) == 1
