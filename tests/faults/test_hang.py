"""Stages that hang: killed, tried once more, then named; what only takes long is left alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from faulty_stages import FUNCTIONS

from benchmark import workers
from benchmark.commands.options import seconds_of
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.progress import SilentProgress
from benchmark.store import Record, Stage, Store

pytestmark = pytest.mark.faults

PATIENCE = 4.0  # a busy machine must not be taken for a stage that hangs


class Run:
    """Stages in two processes, and what was said about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "store")
        self.lines: list[str] = []
        self.failures: dict[str, str] = {}

    def stage(self, name: str, **config: object) -> Stage:
        attempts = {"attempts": str(self.folder / name)}
        return Stage(name, config, {}, attempts, label=f"the {name} one")  # type: ignore[arg-type]

    def attempts(self, name: str) -> int:
        return len(list((self.folder / name).iterdir()))

    def __call__(self, *stages: Stage, aside: bool = False) -> dict[str, Record]:
        def set_aside(stage: Stage, error: Exception) -> None:
            self.failures[stage.label] = str(error)

        return execute(
            stages,
            self.store,
            FUNCTIONS,
            SilentProgress(),
            jobs=2,
            patience=PATIENCE,
            announce=self.lines.append,
            set_aside=set_aside if aside else None,
        )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_stage_that_hangs_once_is_made_by_the_second_attempt(run: Run) -> None:
    stage = run.stage("stuck", times=1, how="asleep")
    assert run(stage)[stage.key].metrics == {"attempt": 2}
    assert run.lines == ["the stuck one: no progress for too long; trying once more"]
    assert not list((run.store.root / "scratch").iterdir())
    assert not (run.store.folder(stage) / "half").exists() or run.attempts("stuck") == 2


def test_one_that_hangs_again_is_named_and_the_others_are_made(run: Run) -> None:
    stuck = run.stage("stuck", times=9, how="in C")
    steady = run.stage("steady", steps=9, seconds=0.5)
    records = run(stuck, steady, aside=True)
    assert set(records) == {steady.key}  # though it took longer than the timeout
    assert run.attempts("stuck") == 2
    assert run.attempts("steady") == 1
    (line,) = run.failures.values()
    assert line.startswith("the stuck one: no progress for longer than the stage timeout, twice")


def test_one_job_cannot_watch_itself(run: Run) -> None:
    with pytest.raises(BenchmarkError, match="needs --jobs 2 or more"):
        execute(
            [run.stage("steady", steps=1, seconds=0)],
            run.store,
            FUNCTIONS,
            SilentProgress(),
            jobs=1,
            patience=PATIENCE,
            announce=print,
        )


def test_a_run_that_ends_does_not_wait_for_one_that_hangs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "GRACE", 0.5)
    after = str(run.folder / "stuck" / "1")
    stuck = run.stage("stuck", times=9, how="in C")
    bad = Stage("bad", {}, {}, {"after": after})
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="of nothing"):
        execute([stuck, bad], run.store, FUNCTIONS, SilentProgress(), jobs=2, announce=print)
    assert time.monotonic() - started < 110  # it would sleep for 120


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("90m", 5400), ("2h", 7200), ("1.5h", 5400), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "0s", "2 h", "1e9s", "nan", "2h30m", "٢h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BenchmarkError, match="is no duration"):
        seconds_of(text)
