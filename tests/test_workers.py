"""Stages in processes of their own: order, display, errors and death."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.progress import SilentProgress
from benchmark.store import Record, Stage, Store

sys.path.insert(0, str(Path(__file__).parent / "helpers"))  # the processes look there, too
from shown import Shown
from worker_stages import FUNCTIONS


def made(stages: list[Stage], store: Path, shown: Shown | None = None) -> dict[str, Record]:
    progress = shown or SilentProgress()
    return execute(stages, Store(store), FUNCTIONS, progress, jobs=2, announce=print)


def firsts() -> dict[str, Stage]:
    return {name: Stage("first", {"value": i}, label=name) for i, name in enumerate("abc")}


def test_what_follows_comes_after_all_its_inputs_and_all_is_shown(tmp_path: Path) -> None:
    inputs = firsts()
    shown = Shown()
    records = made([Stage("both", {}, inputs)], tmp_path / "store", shown)
    assert len(records) == 4
    assert next((tmp_path / "store").rglob("sum.txt")).read_text() == "3"
    expected = [
        line for name in "abc" for line in (f"{name} 0/2", f"{name} +2 both", f"{name} done")
    ]
    assert Counter(shown.lines) == Counter(expected)
    processes = {records[stage.key].metrics["process"] for stage in inputs.values()}
    assert len(processes) <= 2
    assert os.getpid() not in processes


def test_each_process_has_one_thread(tmp_path: Path) -> None:
    stage = Stage("first", {"value": 1})
    assert made([stage], tmp_path / "store")[stage.key].metrics["threads"] == "1"


def test_stages_that_need_nothing_of_each_other_run_at_once(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    guests = [
        Stage("meeting", {"guests": 2, "n": n}, {}, {"place": str(place)}, f"guest {n}")
        for n in range(2)
    ]
    assert len(made(guests, tmp_path / "store")) == 2


def test_nothing_is_made_again(tmp_path: Path) -> None:
    stages = list(firsts().values())
    made(stages, tmp_path / "store")
    shown = Shown()
    made(stages, tmp_path / "store", shown)
    assert shown.lines == []


def test_a_mistake_ends_the_run_and_what_was_made_meanwhile_leaves_nothing_half_made(
    tmp_path: Path,
) -> None:
    begun = str(tmp_path / "begun")
    stages = [
        Stage("endless", {}, {}, {"begun": begun}, "long"),
        Stage("bad", {"error": "user"}, {}, {"after": begun}, "wrong"),
    ]
    shown = Shown()
    started = time.monotonic()
    with pytest.raises(BenchmarkError, match=r"^wrong: no such folder$"):
        made(stages, tmp_path / "store", shown)
    assert time.monotonic() - started < 40
    assert not list((tmp_path / "store").rglob("half"))
    assert shown.lines == ["long 0/1", "long stopped"]


def test_an_error_of_ours_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: of nothing") as caught:
        made([Stage("bad", {"error": "ours"}, label="wrong")], tmp_path / "store")
    assert "in bad" in caught.value.__notes__[0]
    assert "while making wrong" in caught.value.__notes__[0]


def test_a_process_that_dies_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"^fatal: its process ended with status -9 .*--jobs"):
        made([Stage("deadly", {}, label="fatal")], tmp_path / "store")


def test_what_fails_or_dies_is_set_aside_and_the_rest_is_made(tmp_path: Path) -> None:
    inputs = firsts()
    stages = [
        Stage("bad", {"error": "user"}, {}, {}, "wrong"),
        Stage("deadly", {}, {"a": inputs["a"]}, label="fatal"),
        Stage("bad", {"error": "ours"}, {"b": inputs["b"]}, {}, "ours"),
        Stage("both", {}, inputs),
    ]
    failures: dict[str, str] = {}
    records = execute(
        stages,
        Store(tmp_path / "store"),
        FUNCTIONS,
        SilentProgress(),
        jobs=2,
        announce=print,
        set_aside=lambda stage, error: failures.update({stage.label: str(error)}),
    )
    assert failures["wrong"] == "wrong: no such folder"
    assert failures["fatal"].startswith("fatal: its process ended with status -9")
    assert failures["ours"] == "ZeroDivisionError: of nothing"
    assert len(failures) == 3
    assert set(records) == {stages[3].key, *(stage.key for stage in inputs.values())}
