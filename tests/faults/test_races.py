"""Two, then eight runs for one store at the same time: each stage is made once."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from forked import Place, context, open_many
from small_graph import STEPS, artifacts, run

from benchmark.store import Stage, Store

pytestmark = pytest.mark.faults


def all_ended(processes: list) -> list[int | None]:  # type: ignore[type-arg]
    for process in processes:
        process.join(600)
    return [process.exitcode for process in processes]


def test_eight_open_a_new_store_at_once(tmp_path: Path) -> None:
    forks = context()
    barrier = forks.Barrier(8)
    processes = [forks.Process(target=open_many, args=(tmp_path, barrier, 10)) for _ in range(8)]
    for process in processes:
        process.start()
    assert all_ended(processes) == [0] * 8
    assert not list(tmp_path.glob("*/.*.tmp"))


def test_another_process_makes_the_store_between_two_looks(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    other = [lambda: Store(folder).lock(Stage("stage", {}))]

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("os.listdir", "os.scandir") and arguments[0] == str(folder) and other:
            other.pop()()

    folder.mkdir()
    sys.addaudithook(look)
    Store(folder)
    assert not other
    assert (folder / "locks").is_dir()


@pytest.mark.parametrize("runs", [2, 8])
def test_each_stage_is_made_once(tmp_path: Path, runs: int) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    processes = [context().Process(target=run, args=(store, log, 0.05)) for _ in range(runs)]
    for process in processes:
        process.start()
    assert all_ended(processes) == [0] * runs
    lines = Counter(line for line in log.read_text().splitlines() if "waiting" not in line)
    steps = [f"step {i}" for i in range(STEPS)] + [f"label {i}" for i in range(STEPS)]
    assert lines == Counter(["images", *steps])
    run(tmp_path / "alone", tmp_path / "alone.log")
    assert artifacts(store) == artifacts(tmp_path / "alone")
    assert not list((store / "scratch").iterdir())


@pytest.mark.long
@pytest.mark.parametrize("runs", [2, 8])
def test_runs_of_the_real_stages(place: Place, finished: Place, runs: int) -> None:
    log = place.folder / "log"
    running = [place.start("run", log=log) for _ in range(runs)]
    ended = [one.end() for one in running]
    assert [one.status for one in ended] == [0] * runs, [one.err for one in ended]
    made = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert made == Counter(finished.records().keys())
    assert place.written() == finished.written()
    assert place.artifacts() == finished.artifacts()
    place.check_clean()
    assert os.listdir(place.results) == os.listdir(finished.results)
