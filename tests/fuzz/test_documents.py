"""Records of the store, and the JSON of reports that page, diff and notebooks read again."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.changes import differences, written_documents
from benchmark.notebook import read_table
from benchmark.report.difference import difference_lines
from benchmark.report.document import read_document
from benchmark.report.page import render_page
from benchmark.report.writers import render_index
from benchmark.store import Record, Stage, Store, Workspace

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from breakage import broken_bytes, broken_json, one_line

COMMITTED = Path(__file__).parents[2] / "results" / "scenes" / "eader_alpha.json"


def shortened(document: dict[str, Any]) -> dict[str, Any]:
    """Return a report with two of whatever it has many of, so that each part is hit as often."""
    keys = {key for cell in document["cells"][:2] for key in cell["records"]}
    records = [one for one in document["records"] if one["key"] in keys]
    return document | {"records": records, "threshold_curves": document["threshold_curves"][:2]}


DOCUMENT = shortened(json.loads(COMMITTED.read_text()))
RECORD = {
    "version": 1,
    "stage": "scenes",
    "key": "5" * 64,
    "config": {"seed": 0},
    "inputs": {"images": "6" * 64},
    "input_digests": {"images": "7" * 64},
    "outputs": {"out.txt": "8" * 64},
    "metrics": {"miou": 0.5, "images": 3, "note": "a"},
    "started": "2026-03-04T05:06:00+00:00",
    "seconds": 90.0,
    "peak_memory_mb": 800.0,
    "environment": {"python": "3.11"},
    "code": "c",
    "git_revision": None,
}


def test_every_committed_report_is_one(tmp_path: Path) -> None:
    paths = sorted(COMMITTED.parents[1].glob("*/*.json"))
    assert len(paths) > 20
    assert all(read_document(path) for path in paths)
    (tmp_path / "whole.json").write_text(json.dumps(DOCUMENT))
    assert read_document(tmp_path / "whole.json") == DOCUMENT


@given(broken_json(DOCUMENT))
def test_whatever_reads_a_report_reads_it_or_says_why_not(tmp_path: Path, document: Any) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir(exist_ok=True)
    path = folder / "eader_alpha.json"
    path.write_text(json.dumps(document))
    wrong = one_line(lambda: read_document(path))
    page = render_page(folder)
    assert ("cannot be read" in page) == bool(wrong)
    render_index(tmp_path)
    if wrong:
        return
    table = read_table("eader_alpha", results=tmp_path)
    table.to_dataframe(), table.claims(), table._repr_html_(), repr(table)
    if table.document["curves"]:
        table.plot()
    then = written_documents(folder, ["eader_alpha"])
    difference_lines(differences(then, {"eader_alpha": DOCUMENT}))
    difference_lines(differences({"eader_alpha": DOCUMENT}, then))


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"schema": 1}', b'{"schema": 1, "cells": 7}', b"\xff"]
)
def test_files_that_are_no_report(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_bytes(content)
    assert one_line(lambda: read_document(tmp_path / "odd.json"))
    assert "odd.json cannot be read" in render_page(tmp_path)


def reads(read: Callable[[], Any]) -> bool:
    try:
        one_line(read)
    except ValueError:
        return False
    return True


def test_a_sound_record_is_read() -> None:
    assert json.loads(Record.from_json(json.dumps(RECORD)).to_json()) == RECORD


@given(broken_json(RECORD))
def test_records_are_read_or_damaged(record: Any) -> None:
    found = []
    reads(lambda: found.append(Record.from_json(json.dumps(record))))
    for one in found:
        assert float(one.seconds) >= 0 or one.seconds < 0  # a number, and no nan
        assert all(isinstance(value, float | int | str) for value in one.metrics.values())
        assert json.loads(one.to_json())["key"] == one.key


def made(folder: Path) -> tuple[Store, Stage]:
    """Return a store with one finished stage."""
    stage, store = Stage("first", {"value": 1}), Store(folder)
    work = store.prepare(stage)
    (work.out / "value.txt").write_text("1")
    store.commit(stage, work, {"miou": 0.5}, started="now", seconds=1.0, peak_memory_mb=1.0)
    return store, stage


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Stage]:
    return made(tmp_path_factory.mktemp("finished") / "store")


@given(st.data(), st.sampled_from(["record.json", "SHA256SUMS"]))
@settings(max_examples=settings().max_examples // 2)
def test_no_bytes_in_a_record_end_a_plan(
    finished: tuple[Store, Stage], data: st.DataObject, name: str
) -> None:
    store, stage = finished
    path = store.folder(stage) / name
    whole = path.read_bytes()
    content = data.draw(broken_bytes(whole))
    path.write_bytes(content)
    try:
        wrong = one_line(lambda: store.record(stage))  # a flipped version is a newer one
        assert wrong or store.state(stage) in ("damaged", "cached")
        changed = name == "record.json" and content != whole
        assert wrong or not changed or store.record(stage) is None
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("damage", ["[" * 100_000, '{"version": 1}', "[]", '{"version": 1e400}'])
def test_records_that_are_none(finished: tuple[Store, Stage], damage: str) -> None:
    store, stage = finished
    path = store.folder(stage) / "record.json"
    whole = path.read_bytes()
    path.write_text(damage)
    try:
        assert store.state(stage) == "damaged"
        assert store.typical_seconds(stage) is None
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_no_sum_leads_out_of_a_stages_folder(name: str, tmp_path: Path) -> None:
    store, stage = made(tmp_path / "store")
    (tmp_path / "outside").write_text("kept")
    sums = store.folder(stage) / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  {name}\n" + sums.read_text())
    assert store.inspect(stage).reason == f"{name} is missing"


def test_links_in_a_store_are_not_followed_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    store, stage = made(tmp_path / "store")
    shutil.rmtree(store.folder(stage))
    (store.root / "scratch" / stage.key).symlink_to(outside)
    work = store.prepare(stage)
    assert isinstance(work, Workspace)
    assert work.out.resolve().is_relative_to(store.root.resolve())
    assert [path.name for path in outside.iterdir()] == ["kept.txt"]
    (work.out / "link").symlink_to(outside / "kept.txt")
    with pytest.raises(ValueError, match="is a link"):
        store.commit(stage, work, {}, started="now", seconds=1.0, peak_memory_mb=1.0)
    store.discard_scratch(stage)
    assert (outside / "kept.txt").read_text() == "kept"
