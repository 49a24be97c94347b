"""The page of a profile: complete, made from committed files alone, and inert."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.report.build import build_report
from benchmark.report.card import ProtocolCard
from benchmark.report.document import read_document, report_to_json
from benchmark.report.model import Measurement, TableReport
from benchmark.report.page import render_page, write_page
from benchmark.report.page.figures import MOST_BYTES, read_figures
from benchmark.report.page.records import Provenance
from benchmark.report.page.scores import score_table
from benchmark.report.writers import write_report
from benchmark.tables import Table, load_table

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from inert import check_inert

Measure = Callable[..., dict[tuple[str, str], Measurement]]
Change = Callable[[ProtocolCard], ProtocolCard]
COMMITTED = Path(__file__).parents[2] / "results"


@pytest.fixture
def report(swept_table: Table, measure: Measure, on_scenes: Change) -> TableReport:
    rates = [0.6 + index / 100 for index in range(12)]
    measured = measure(swept_table, change=on_scenes, rates=rates)
    data = {"name": "scenes", "digest": "d1gest"}
    return build_report(swept_table, "scenes", measured, meaning="Claims alone.", data=data)


@pytest.fixture
def folder(report: TableReport, table1: Table, measure: Measure, tmp_path: Path) -> Path:
    """Results of two tables with a figure sheet."""
    write_report(report, tmp_path)
    write_report(build_report(table1, "scenes", measure(table1)), tmp_path)
    save_sheet(tmp_path / "scenes" / "figures" / "seenet_table1_acol.jpg", 40)
    return tmp_path / "scenes"


def save_sheet(path: Path, side: int) -> None:
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(noise).save(path, quality=95)


def test_the_page_is_inert_and_every_link_in_it_leads_somewhere(folder: Path) -> None:
    page = check_inert(render_page(folder))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inner = {link[1:] for link in page.values("href") if link.startswith("#")}
    assert inner | set(page.values("popovertarget")) <= set(ids)
    assert "https://arxiv.org/abs/1810.09821" in page.values("href")


def test_the_page_shows_every_part(folder: Path, report: TableReport) -> None:
    page = check_inert(render_page(folder))
    text = " ".join(page.text.split())
    for cell in report.cells:
        assert f"{cell.mean:.1f} ± {cell.sd:.1f}" in text
        assert all(f"{value:.2f}" in text for value in cell.values)
        assert f"{cell.published:.2f}" in text
    for result in report.claims:
        assert result.claim.text in text
    for part in ("Sweeps", "Maps over the background threshold", "Where the points are", "Records"):
        assert part in text
    assert "○ oracle 51.0 at 0.20 ● fixed 45.0 at 0.30" in text
    assert "digest d1gest" in text
    assert "Claims alone." in text
    assert "3 of our numbers were measured by the paper's protocol" in text  # of Table 1
    assert len(page.all("img")) == 1


def test_a_profile_that_may_compare_nothing_says_so(report: TableReport, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    assert "No number here may be held against a published one" in render_page(tmp_path / "scenes")


def test_every_record_stands_once(folder: Path) -> None:
    page = check_inert(render_page(folder))
    documents = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    keys = [record["key"] for document in documents for record in document["records"]]
    assert len(set(keys)) < len(keys)
    records = [one for one in page.values("id") if one.startswith("record-")]
    assert len(records) == len(set(keys))


def test_a_stage_made_anew_is_shown_beside_the_older_one() -> None:
    """Each table's numbers lead to its own records, where two tables hold a key of two runs."""

    def record(key: str, digest: str, inputs: dict[str, str]) -> dict[str, Any]:
        return {
            "stage": key.split("-")[0],
            "key": key,
            "digest": digest,
            "started": f"2026-11-{20 + int(digest)}",
            "inputs": inputs,
            "environment": 0,
            "seconds": 1.0,
            "peak_memory_mb": 1.0,
            "metrics": {},
            "config": {},
            "git_revision": digest * 40,
        }

    def document(attention: str, score: str) -> dict[str, Any]:
        records = [record("attention-1", attention, {}), record("scene-0", "0", {})]
        records += [record("score-1", score, {"maps": "attention-1", "images": "scene-0"})]
        return {"environments": [{"device": "cpu"}], "records": records}

    older, newer = document("1", "2"), document("3", "4")
    provenance = Provenance([older, newer])
    assert len(provenance.records) == 5  # the images are the same in both
    views = {view.id: view for view in provenance.records}
    for one, digests in ((older, ["2", "1", "0"]), (newer, ["4", "3", "0"])):
        steps = provenance.of(one).chain("score-1")
        assert [views[step.id].digest for step in steps] == digests
        assert {views[target].digest for _, target, _ in views[steps[0].id].inputs} == set(
            digests[1:]
        )
        assert provenance.of(one).origin(["score-1"]) == (digests[0] * 12, "1")


def test_the_same_folder_gives_the_same_bytes(folder: Path) -> None:
    path = write_page(folder.parent, "scenes")
    assert path == folder / "index.html"
    first = path.read_bytes()
    assert write_page(folder.parent, "scenes").read_bytes() == first


HOSTILE = """<script>alert(1)</script>"'></style><img src=x onerror=alert(1)>{{ 7*7 }}&amp;"""


def hostile(value: Any) -> Any:
    """Return JSON values with every text made hostile, but for what must be a known word."""
    if isinstance(value, dict):
        kept = {"schema", "kind", "verdict", "row", "id", "column", "rows", "columns", "key"}
        return {
            name: item if name in kept and not isinstance(item, dict | list) else hostile(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_hostile_names_are_inert(folder: Path) -> None:
    for path in folder.glob("*.json"):
        document = json.loads(path.read_text())
        changed = hostile(document)
        for name in ("records", "cells", "curves", "verdicts", "claim_verdicts"):
            changed[name] = document[name]
        for cell in changed["cells"]:
            cell["row_title"] = cell["column_title"] = cell["note"] = cell["flag"] = HOSTILE
            cell["class_scores"] = {HOSTILE: 50.0}
            cell["card"]["dataset"] = HOSTILE
        changed["verdicts"] = {HOSTILE: 3}
        for curve in changed["curves"]:
            curve["x_title"] = curve["title"] = HOSTILE
        for record in changed["records"]:
            record["stage"] = record["config"]["note"] = record["git_revision"] = HOSTILE
        for row in changed["rows"]:
            row["title"] = HOSTILE
        path.write_text(json.dumps(changed))
    save_sheet(folder / "figures" / "x<img src=x onerror=alert(1)>.jpg", 8)
    page = check_inert(render_page(folder))
    assert page.text.count(HOSTILE) > 50
    assert "49" not in re.findall(r"\{\{.*?\}\}|>(\d\d)&amp;", page.text)
    assert HOSTILE in page.values("aria-label")[1]
    assert "Figure: x<img src=x onerror=alert(1)>" in page.values("alt")


def test_large_sheets_are_made_smaller_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_sheet(tmp_path / "figures" / f"{name}.jpg", 1900)
    folder = tmp_path / "figures"
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert total > MOST_BYTES
    sheets = read_figures(folder, {"a": ("table", "Row A")})
    assert [(one.title, one.name) for one in sheets["table"]] == [("Row A", "a.jpg")]
    (other,) = sheets[""]
    content = base64.b64decode(other.data.partition(",")[2])
    assert len(content) <= MOST_BYTES / 2
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (other.width, other.height)
    assert other.width < 1900


def test_sheets_stand_with_their_row(tmp_path: Path) -> None:
    names = ("one_a", "one_a_context_img_7", "one_a_b", "one_ab", "two")
    for name in names:
        save_sheet(tmp_path / "figures" / f"{name}.jpg", 8)
    titles = {"one_a": ("one", "A"), "one_a_b": ("one", "B")}
    found = read_figures(tmp_path / "figures", titles)
    shown = {table: [(one.name, one.title) for one in sheets] for table, sheets in found.items()}
    assert shown == {
        "one": [
            ("one_a.jpg", "A"),
            ("one_a_b.jpg", "B"),
            ("one_a_context_img_7.jpg", "A, context img 7"),
        ],
        "": [("one_ab.jpg", "one_ab"), ("two.jpg", "two")],
    }


def test_small_sheets_are_kept_as_they_are(folder: Path) -> None:
    (sheet,) = read_figures(folder / "figures", {})[""]
    kept = base64.b64decode(sheet.data.partition(",")[2])
    assert kept == (folder / "figures" / "seenet_table1_acol.jpg").read_bytes()


def test_files_that_cannot_be_read_are_named(folder: Path) -> None:
    (folder / "broken.json").write_text("{")
    (folder / "later.json").write_text('{"schema": 99}')
    text = render_page(folder)
    for name in ("broken", "later"):
        assert f"{name}.json cannot be read: run its table again." in text


def test_a_profile_without_results_has_a_page(tmp_path: Path) -> None:
    assert "No table has been run yet." in check_inert(render_page(tmp_path)).text


def heads(document: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {head.title: head.parts for head in score_table(document).heads}


def test_a_column_shows_the_parts_it_has(folder: Path) -> None:
    one = json.loads((folder / "seenet_table1.json").read_text())
    (parts,) = heads(one).values()
    assert parts == ("paper", "ours", "95 % for one run", "ours − paper", "seeds", "verdict")
    several = json.loads((folder / "eader_alpha.json").read_text())
    three, first = several["columns"], "mIoU (attention map)"
    assert heads(several)[first] == ("paper", "ours")
    several["columns"] = [*three[:1], three[0] | {"id": "a", "title": "a"}]
    assert heads(several)[first] == ("paper", "ours", "95 % for one run")
    assert heads(several)["a"] == ("paper",)


def test_scores_of_every_class_go_down_and_rows_across(measure: Measure) -> None:
    table = load_table("dsna_table6")
    rates = [0.6] * len(list(table.measurable()))
    shown = score_table(report_to_json(build_report(table, "paper", measure(table, rates=rates))))
    assert [(head.title, head.parts) for head in shown.heads] == [
        ("VGG-16  val", ("paper", "ours")),
        ("VGG-16  test", ("paper",)),
        ("ResNet-101  val", ("paper", "ours")),
        ("ResNet-101  test", ("paper",)),
    ]
    assert [line.title for line in shown.lines] == [one.title for one in table.score_columns]
    published = [row.published["cat"] for row in table.rows]
    (cat,) = (line for line in shown.lines if line.title == "IoU cat")
    printed = [entry.text for entry in cat.entries if entry.kind == "paper"]
    assert printed == [f"{value:.1f}" for value in published]
    assert [bool(entry.target) for entry in cat.entries] == [False, True, False] * 2
    assert (shown.first, cat.kind) == ("score", "")


def test_a_long_digest_is_whole_in_the_details_alone(folder: Path) -> None:
    path, digest = folder / "eader_alpha.json", "0123456789abcdef" * 4
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": {"digest": digest}}))
    text = check_inert(render_page(folder)).text
    assert "data: digest 0123456789ab…." in text
    assert text.count(f"digest {digest}") == 12


def test_tables_of_one_title_are_told_apart(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"title": "Same"}))
    text = check_inert(render_page(folder)).text
    assert "Same (seenet_table1)" in text
    assert "Same (eader_alpha)" in text


def first_layout(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document as the first version of the suite wrote it."""
    later = {"caption", "notes", "verdict_meanings", "columns", "rows", "curves"}
    later.add("threshold_curves")
    older = {name: value for name, value in document.items() if name not in later}
    for record in older["records"]:
        del record["digest"]
    return older | {"schema": 1}


def test_results_of_the_first_layout_are_still_shown(folder: Path) -> None:
    path = folder / "seenet_table1.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(first_layout(document)))
    read = read_document(path)
    assert read is not None
    assert [row["title"] for row in read["rows"]] == [
        "1 ACoL",
        "2 without sign-flipping in C-ReLU",
        "3 SeeNet (ours)",
    ]
    assert [column["id"] for column in read["columns"]] == ["val"]
    text = " ".join(check_inert(render_page(folder)).text.split())
    assert f"{document['cells'][2]['mean']:.1f} ± {document['cells'][2]['sd']:.1f}" in text


@pytest.mark.parametrize(
    "profile", sorted(path.name for path in COMMITTED.iterdir() if path.is_dir())
)
def test_committed_results_make_a_page(profile: str, tmp_path: Path) -> None:
    names = sorted(path.name for path in (COMMITTED / profile).glob("*.json"))
    (tmp_path / profile).mkdir()
    for name in names:
        shutil.copy(COMMITTED / profile / name, tmp_path / profile / name)
    page = check_inert(render_page(tmp_path / profile))
    assert "cannot be read" not in page.text
    sections = [one for one in page.values("id") if one.startswith("table-")]
    assert sections == [f"table-{name.removesuffix('.json')}" for name in names]
