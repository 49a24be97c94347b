"""Progress that passes through messages between processes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from benchmark.progress import PlainProgress
from benchmark.relay import Screen, ToldProgress


class Lines:
    """A stream that keeps its lines."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def shown(interval: float, fail: bool = False) -> tuple[list[tuple[Any, ...]], str]:
    """Return the messages of two nested tasks, and what a screen makes of them."""
    messages: list[tuple[Any, ...]] = []
    lines = Lines()
    screen = Screen(PlainProgress(lines, interval=0, clock=lambda: 0.0))  # type: ignore[arg-type]

    def send(message: tuple[Any, ...]) -> None:
        messages.append(message)
        screen.show(*message)

    told = ToldProgress(send, interval)
    with suppress(ZeroDivisionError), told.task("outer", 2) as outer:
        with told.task("inner", 9) as inner:
            for step in range(5):
                inner.advance(note=f"loss {step}")
            if fail:
                raise ZeroDivisionError
        outer.advance(2)
    screen.stop()
    return messages, lines.text


def test_all_is_shown_as_if_it_were_here() -> None:
    messages, text = shown(0)
    assert messages[:3] == [
        ("begun", 1, "outer", 2, 0),
        ("begun", 2, "inner", 9, 0),
        ("advanced", 2, 1, "loss 0"),
    ]
    assert messages[-2:] == [("advanced", 1, 2, ""), ("ended", 1)]
    assert [line.split(":")[0] for line in text.splitlines()].count("inner") == 7
    assert "inner: 5/9 (56 %), loss 4" in text
    assert text.endswith("outer: done in 0.0 s\n")


def test_steps_in_quick_succession_are_told_together() -> None:
    messages, text = shown(1000)
    advanced = [message for message in messages if message[0] == "advanced"]
    assert advanced == [
        ("advanced", 2, 1, "loss 0"),
        ("advanced", 2, 4, "loss 4"),
        ("advanced", 1, 2, ""),
    ]
    assert "inner: 5/9 (56 %), loss 4" in text


@pytest.mark.parametrize("interval", [0, 1000])
def test_what_will_not_be_finished_is_shown_as_stopped(interval: float) -> None:
    _, text = shown(interval, fail=True)
    assert "inner: stopped at " in text
    assert "outer: stopped at 0/2 (0 %)" in text
    assert "done" not in text
