"""What another shell sees of a run: signs in the store, and where each stage stands."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.executor import execute
from benchmark.progress import SilentProgress
from benchmark.status import (
    EVERY,
    QUIET,
    StageStatus,
    print_statuses,
    stage_statuses,
    watch_statuses,
)
from benchmark.store import Metrics, Stage, Store, Workspace
from benchmark.under_way import SignedProgress, read_sign


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def stages() -> dict[str, Stage]:
    first = Stage("first", {}, label="first")
    return {
        "first": first,
        "second": Stage("second", {}, {"first": first}, label="second"),
        "other": Stage("other", {}, label="other [red]"),
    }


def stands(store: Store) -> dict[str, str]:
    found = stage_statuses(list(stages().values()), store)
    return {status.stage.name: status.stand for status in found}


def test_a_running_stage_says_who_makes_it_and_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    printed = []

    def first(work: Workspace) -> Metrics:
        with work.progress.task("training", 200, 50) as task:
            task.advance(100, "loss 0.31")
            (shown,) = (s for s in stage_statuses(list(stages().values()), store) if s.sign)
            assert shown.stand == "running"
            assert shown.sign is not None
            assert (shown.sign.host, shown.sign.pid) == (socket.gethostname(), os.getpid())
            assert shown.to_json()["state"] == "running"
            assert stands(store) == {"first": "running", "second": "waiting", "other": "waiting"}
            print_statuses(stage_statuses(list(stages().values()), store))
            printed.append(capsys.readouterr().out)
        return {}

    functions = {"first": first}
    execute([stages()["first"]], store, functions, SilentProgress(), announce=print)
    assert stands(store) == {"first": "cached", "second": "waiting", "other": "waiting"}
    assert "1 running, 2 waiting" in printed[0]
    assert "other [red]" in printed[0]


def test_a_sign_is_written_once_a_second_at_most_and_names_the_inner_task(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "sign.json"
    with SignedProgress(path, SilentProgress(), clock) as progress:
        begun = path.read_text()
        with progress.task("rounds", 3) as rounds:
            rounds.advance()
            assert path.read_text() == begun
            with progress.task("steps", 400, 100) as steps:
                clock.now = 1.0
                steps.advance(60, "loss 0.5")
                sign = read_sign(path)
                assert sign is not None
                assert (sign.task, sign.done, sign.total) == ("steps", 160, 400)
                assert (sign.percent, sign.note) == (40.0, "loss 0.5")
                clock.now = 1.9
                steps.advance(1)
                assert read_sign(path) == sign
            clock.now = 2.0
            rounds.advance()
            sign = read_sign(path)
            assert sign is not None
            assert (sign.task, sign.done, sign.total) == ("rounds", 2, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["sign.json"]


def test_a_failed_stage_says_why_and_an_interrupted_one_is_stopped_or_waits(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def run(name: str, error: BaseException) -> None:
        def fail(work: Workspace) -> Metrics:
            raise error

        functions = {"first": fail, "other": fail}
        with pytest.raises(type(error)):
            execute([stages()[name]], store, functions, SilentProgress(), announce=print)

    run("first", ZeroDivisionError("of nothing"))
    run("other", KeyboardInterrupt())
    found = {s.stage.name: s for s in stage_statuses(list(stages().values()), store)}
    assert found["first"].stand == "failed"
    assert found["first"].to_json()["note"] == "ZeroDivisionError: of nothing"
    assert found["other"].stand == "waiting"
    store.sign_path(stages()["other"]).write_text(  # as a kill leaves it
        json.dumps({"host": "elsewhere", "pid": 1, "since": "2026-01-01T00:00:00+00:00"})
    )
    assert stands(store)["other"] == "stopped"
    with store.lock(stages()["other"]):
        assert stands(store)["other"] == "running"


def test_what_no_target_needs_is_not_waited_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    functions = dict.fromkeys(["first", "second"], lambda work: {})
    execute([stages()["second"]], store, functions, SilentProgress(), announce=print)
    folder = store.folder(stages()["first"])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    found = stage_statuses([stages()["second"]], store)
    assert [status.stand for status in found] == ["not needed", "cached"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}', '{"a": 2}'])
def test_a_sign_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "sign.json").write_text(text)
    assert read_sign(tmp_path / "sign.json") is None


class Watched:
    """A run of three stages that is looked at again and again, and the screen it is shown on."""

    def __init__(self, looks: list[list[str]], terminal: bool) -> None:
        self.looks = looks
        self.console = Console(
            file=io.StringIO(), force_terminal=terminal, width=80, height=6, color_system=None
        )
        self.slept: list[float] = []

    def look(self) -> list[StageStatus]:
        stands = self.looks[min(len(self.slept), len(self.looks) - 1)]
        return [
            StageStatus(stage, stand)  # type: ignore[arg-type]
            for stage, stand in zip(stages().values(), stands, strict=True)
        ]

    def shown(self) -> str:
        watch_statuses(self.look, console=self.console, sleep=self.slept.append)
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()


def test_a_watched_run_is_a_line_a_change_and_ends_with_its_last_stage() -> None:
    begun = ["running", "waiting", "waiting"]
    watched = Watched([begun, begun, ["cached", "running", "running"], ["cached"] * 3], False)
    lines = ["1 running, 2 waiting", "2 running, 1 cached", "3 cached"]
    assert watched.shown().split("\n") == [*lines, ""]
    assert watched.slept == [EVERY] * 3


def test_a_terminal_shows_what_is_open_as_far_as_it_fits() -> None:
    shown = Watched([["cached", "waiting", "running"], ["cached"] * 3], True).shown()
    first = shown.split("3 cached")[0]
    assert first.index("other [red]") < first.index("second")
    assert "first" not in first
    assert "1 running, 1 waiting, 1 cached" in first


def test_a_watch_ends_where_a_run_has_failed_and_nothing_is_made_any_more() -> None:
    watched = Watched([["running", "waiting", "waiting"], ["failed", "waiting", "waiting"]], False)
    assert "1 failed, 2 waiting" in watched.shown()
    assert sum(watched.slept) == EVERY + QUIET


def test_a_watch_that_is_there_before_its_run_waits_for_it() -> None:
    waiting = ["waiting"] * 3
    watched = Watched([waiting] * 30 + [["running"] * 3, ["cached"] * 3], False)
    assert watched.shown().split("\n") == ["3 waiting", "3 running", "3 cached", ""]
