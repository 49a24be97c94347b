"""Stages in processes of their own: order, display, errors and death."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmark import workers
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


class FullMemory:
    """A machine that has hardly any memory left once ``begun`` exists; then there is room again."""

    total = 100

    def __init__(self, begun: Path) -> None:
        self.begun = begun
        self.looks = 0

    def __call__(self) -> FullMemory:
        return self

    @property
    def available(self) -> int:
        self.looks += self.begun.exists()
        return 4 if self.looks == 1 else 50


def test_where_memory_runs_out_what_holds_the_most_is_killed_and_the_rest_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    monkeypatch.setattr(workers.psutil, "virtual_memory", FullMemory(begun))
    monkeypatch.setattr(workers, "MEMORY_PER_WORKER", 250_000_000)
    inputs = firsts()
    leaking = Stage("leaking", {}, {}, {"begun": str(begun)}, "the leaking one")
    failures: list[str] = []
    records = execute(
        [leaking, Stage("both", {}, inputs)],
        Store(tmp_path / "store"),
        FUNCTIONS,
        SilentProgress(),
        jobs=2,
        announce=print,
        set_aside=lambda stage, error: failures.append(str(error)),
    )
    assert len(records) == 4
    (told,) = failures
    assert re.fullmatch(
        r"the leaking one: the machine's memory ran out, and its process held 0\.[3-9] GB: "
        "it was killed, finished stages are kept",
        told,
    )


def test_a_full_memory_that_no_stage_fills_kills_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = FullMemory(tmp_path)
    monkeypatch.setattr(FullMemory, "available", 4)
    monkeypatch.setattr(workers.psutil, "virtual_memory", full)
    assert len(made([Stage("both", {}, firsts())], tmp_path / "store")) == 4


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
