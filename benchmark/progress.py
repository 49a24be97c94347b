"""Progress on stderr: bars in a terminal, now and then a line elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more as done; ``note`` is shown beside, e.g. "loss 0.31"."""


class Progress(Protocol):
    """Shows tasks, one after the other or nested."""

    def task(
        self, label: str, total: int | None = None, done: int = 0
    ) -> AbstractContextManager[Task]:
        """Begin a task of ``total`` steps (None: unknown), ``done`` of them before a resume."""


def make_progress(quiet: bool = False) -> Progress:
    """Return what suits where stderr goes; ``quiet`` shows nothing."""
    if quiet:
        return SilentProgress()
    return RichProgress() if sys.stderr.isatty() else PlainProgress()


class SilentProgress:
    """Shows nothing."""

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Task]:
        """Begin a task that nobody sees."""
        yield _SilentTask()


class _SilentTask:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


class PlainProgress:
    """Prints a line at the start, at most one every ``interval`` seconds, and one at the end."""

    def __init__(
        self,
        stream: TextIO | None = None,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._interval = interval
        self._clock = clock

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Task]:
        """Begin a task; one that ends by an exception says so."""
        task = _PlainTask(label, total, done, self._print, self._interval, self._clock)
        self._print(f"{label}: started" + (f" at {done}/{total}" if done else ""))
        try:
            yield task
        except BaseException:
            self._print(f"{label}: stopped at {task.count} after {duration(task.elapsed)}")
            raise
        self._print(f"{label}: done in {duration(task.elapsed)}")

    def _print(self, line: str) -> None:
        print(line, file=self._stream or sys.stderr, flush=True)


class _PlainTask:
    def __init__(
        self,
        label: str,
        total: int | None,
        done: int,
        show: Callable[[str], None],
        interval: float,
        clock: Callable[[], float],
    ) -> None:
        self._label, self._total, self._done, self._before = label, total, done, done
        self._show, self._interval, self._clock = show, interval, clock
        self._started = self._shown = clock()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        now = self._clock()
        if now - self._shown >= self._interval and self._done != self._total:
            self._shown = now
            parts = [part for part in (self.count, note, self._left()) if part]
            self._show(f"{self._label}: {', '.join(parts)}")

    @property
    def elapsed(self) -> float:
        return self._clock() - self._started

    @property
    def count(self) -> str:
        if not self._total:
            return str(self._done)
        return f"{self._done}/{self._total} ({100 * self._done / self._total:.0f} %)"

    def _left(self) -> str:
        made = self._done - self._before
        if not self._total or made <= 0:
            return ""
        return f"{duration(max(0, self._total - self._done) * self.elapsed / made)} left"


class RichProgress:
    """Bars in a terminal, while anything is under way; a finished task leaves one line."""

    def __init__(self, console: Console | None = None) -> None:
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._open = 0

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Task]:
        """Begin a task; the display lives as long as any task does."""
        started = time.monotonic()
        bar = self._begin(label, total, done)
        try:
            yield _RichTask(self._bars, bar)
            line = f"{escape(label)}: done in {duration(time.monotonic() - started)}"
            self._bars.console.print(line, highlight=False)
        finally:
            self._end(bar)

    def _begin(self, label: str, total: int | None, done: int) -> TaskID:
        if self._open == 0:
            self._bars.start()
        self._open += 1
        return self._bars.add_task(escape(label), total=total, completed=done, note="")

    def _end(self, bar: TaskID) -> None:
        self._bars.remove_task(bar)
        self._open -= 1
        if self._open == 0:
            self._bars.stop()


class _RichTask:
    def __init__(self, bars: Bars, bar: TaskID) -> None:
        self._bars, self._bar = bars, bar

    def advance(self, steps: int = 1, note: str = "") -> None:
        if note:
            self._bars.update(self._bar, advance=steps, note=escape(note))
        else:
            self._bars.update(self._bar, advance=steps)


def duration(seconds: float) -> str:
    """Return e.g. "0.4 s", "12 s", "3 min 20 s" or "2 h 5 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
