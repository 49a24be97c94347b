"""Ends the process of a stage that hangs.

The kernel's own alarm does it: it needs neither Python nor the thread that hangs.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmark.progress import Progress, Task

HUNG = -signal.SIGALRM
"""The exit status, as multiprocessing tells it, of a process that has hung."""


@contextmanager
def alarmed(progress: Progress, seconds: float | None) -> Iterator[Progress]:
    """Kill this process by SIGALRM once nothing was told to ``progress`` for so many seconds.

    None waits for ever. Only for a process that makes one stage at a time and nothing else.
    """
    if seconds is None:
        yield progress
        return
    watched = _WatchedProgress(progress, seconds)
    watched.wait_again()
    try:
        yield watched
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@dataclass(frozen=True)
class _WatchedProgress:
    progress: Progress
    seconds: float

    def wait_again(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Task]:
        self.wait_again()
        with self.progress.task(label, total, done) as task:
            yield _WatchedTask(task, self)
        self.wait_again()


@dataclass(frozen=True)
class _WatchedTask:
    task: Task
    watch: _WatchedProgress

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.watch.wait_again()
        self.task.advance(steps, note)
