from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from benchmark.progress import (
    PlainProgress,
    Progress,
    RichProgress,
    SilentProgress,
    make_progress,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(interval: float = 10.0) -> tuple[PlainProgress, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return PlainProgress(stream, interval, clock), stream, clock


def rich() -> tuple[RichProgress, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=140, color_system=None)
    return RichProgress(console), stream


def test_plain_prints_a_line_now_and_then() -> None:
    progress, stream, clock = plain()
    with progress.task("attention SeeNet seed 0", 320) as task:
        for _ in range(320):
            clock.now += 0.125
            task.advance(note="loss 0.31")
    assert stream.getvalue().splitlines() == [
        "attention SeeNet seed 0: started",
        "attention SeeNet seed 0: 80/320 (25 %), loss 0.31, 30 s left",
        "attention SeeNet seed 0: 160/320 (50 %), loss 0.31, 20 s left",
        "attention SeeNet seed 0: 240/320 (75 %), loss 0.31, 10 s left",
        "attention SeeNet seed 0: done in 40 s",
    ]


def test_plain_without_a_total_or_a_note() -> None:
    progress, stream, clock = plain()
    with progress.task("scan") as task:
        clock.now += 11
        task.advance(7)
    assert stream.getvalue().splitlines() == ["scan: started", "scan: 7", "scan: done in 11 s"]


def test_plain_counts_the_time_left_from_the_resume() -> None:
    progress, stream, clock = plain()
    with progress.task("training", 300, done=200) as task:
        clock.now += 20
        task.advance(20)
    assert stream.getvalue().splitlines()[:2] == [
        "training: started at 200/300",
        "training: 220/300 (73 %), 1 min 20 s left",
    ]


def test_plain_does_not_say_done_after_an_exception() -> None:
    progress, stream, clock = plain()
    with pytest.raises(KeyboardInterrupt), progress.task("training", 4) as task:  # noqa: PT012
        clock.now += 3700
        task.advance()
        raise KeyboardInterrupt
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "training: stopped at 1/4 (25 %) after 1 h 1 min"


def test_plain_survives_a_task_of_nothing() -> None:
    progress, stream, clock = plain()
    with progress.task("empty", 0) as task:
        clock.now += 60
        task.advance(0)
    assert stream.getvalue().splitlines()[-1] == "empty: done in 1 min 0 s"


@pytest.mark.parametrize("make", [rich, plain])
def test_tasks_nest_and_follow_one_another(make) -> None:  # type: ignore[no-untyped-def]
    progress, stream = make()[:2]
    with progress.task("outer", 2) as outer:
        for name in ("first", "second"):
            with progress.task(name, 10) as inner:
                inner.advance(10)
            outer.advance()
    with progress.task("later"):
        pass
    done = re.findall(r"(first|second|outer|later): done in", stream.getvalue())
    assert done == ["first", "second", "outer", "later"]


def test_rich_shows_a_bar_while_a_task_is_open_and_stops_after() -> None:
    progress, stream = rich()
    with progress.task("maps [seed 0]", 8) as task:
        task.advance(2, note="loss [0.5]")
        progress._bars.refresh()
        assert progress._bars.live.is_started
        shown = stream.getvalue()
    assert "maps [seed 0]" in shown  # brackets are no markup
    assert "loss [0.5]" in shown
    assert "25%" in shown
    assert not progress._bars.live.is_started
    assert progress._bars.task_ids == []


def test_rich_gives_the_terminal_back_after_an_exception() -> None:
    progress, stream = rich()
    with pytest.raises(ValueError, match="a bug"), progress.task("maps", 8):
        raise ValueError("a bug")
    assert not progress._bars.live.is_started
    assert "done" not in stream.getvalue()
    with progress.task("maps", 8):
        pass
    assert "maps: done in " in stream.getvalue()


def test_where_stderr_goes_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(make_progress(), RichProgress)
    assert isinstance(make_progress(quiet=True), SilentProgress)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(make_progress(), PlainProgress)


def test_nothing_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    for progress in (PlainProgress(), SilentProgress(), RichProgress()):
        use(progress)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("work: done in") == 2


def use(progress: Progress) -> None:
    with progress.task("work", 3) as task:
        task.advance(3, note="x")
