"""Progress of another process: told in messages there, shown here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from benchmark.progress import Progress, Task


class ToldProgress:
    """Hands what tasks tell to ``send``, as tuples that begin with a kind and a number.

    ``interval``: seconds between two messages about the steps of one task; 0 sends every one.
    """

    def __init__(self, send: Callable[[tuple[Any, ...]], None], interval: float = 0.0) -> None:
        self._send = send
        self._interval = interval
        self._number = 0

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Task]:
        """Begin a task; one that ends by an exception tells no end."""
        self._number += 1
        number = self._number
        self._send(("begun", number, label, total, done))
        task = _ToldTask(number, self._send, self._interval)
        yield task
        task.tell()
        self._send(("ended", number))


class _ToldTask:
    def __init__(
        self, number: int, send: Callable[[tuple[Any, ...]], None], interval: float
    ) -> None:
        self._number, self._send, self._interval = number, send, interval
        self._steps, self._note, self._told = 0, "", float("-inf")

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._steps += steps
        self._note = note or self._note
        if time.monotonic() - self._told >= self._interval:
            self.tell()

    def tell(self) -> None:
        if self._steps:
            self._send(("advanced", self._number, self._steps, self._note))
            self._steps, self._note, self._told = 0, "", time.monotonic()


class _Stopped(Exception):
    """Ends the display of a task that was not finished."""


@dataclass(frozen=True)
class _Shown:
    manager: AbstractContextManager[Task]
    task: Task

    def end(self, stopped: _Stopped | None = None) -> None:
        with suppress(_Stopped):
            self.manager.__exit__(None if stopped is None else _Stopped, stopped, None)


class Screen:
    """Shows the tasks of one other process from the messages of its ``ToldProgress``."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._shown: dict[int, _Shown] = {}  # what is under way

    def show(self, kind: str, number: int, *values: Any) -> None:
        """Show one message."""
        if kind == "begun":
            manager = self._progress.task(*values)
            self._shown[number] = _Shown(manager, manager.__enter__())
        elif kind == "advanced":
            self._shown[number].task.advance(*values)
        else:
            self._shown.pop(number).end()

    def stop(self) -> None:
        """End the display of what will not be finished."""
        for shown in self._shown.values():
            shown.end(_Stopped())
        self._shown.clear()
