"""What a stage in the making leaves in the store, so that another shell sees how far it is."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import AwareDatetime, TypeAdapter

from benchmark.errors import BenchmarkError
from benchmark.progress import Progress, Task

INTERVAL = 1.0
"""Seconds between two writes."""


@dataclass(frozen=True)
class Sign:
    """Who makes a stage, since when, and how far it is; or why it failed."""

    host: str
    pid: int
    since: AwareDatetime
    task: str = ""  # what it is at, e.g. "attention seenet seed 0"
    done: int = 0
    total: int | None = None
    note: str = ""  # e.g. "loss 0.31"
    error: str = ""

    @property
    def percent(self) -> float | None:
        """How much of its task is done; None where nobody knows."""
        return 100 * self.done / self.total if self.total else None


_SIGN = TypeAdapter(Sign)


def read_sign(path: Path) -> Sign | None:
    """Return the sign at ``path``, None where there is none that can be read."""
    try:
        return _SIGN.validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


class SignedProgress:
    """Shows tasks in another progress, and keeps a sign in the file ``path`` meanwhile.

    As a context manager: the sign is there from the beginning, tells the error of a block that
    failed, and is removed where the block was interrupted. A sign that cannot be written is left
    out: it is for people alone.
    """

    def __init__(
        self, path: Path, progress: Progress, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._progress, self._clock = path, progress, clock
        self._written = float("-inf")
        self._sign = Sign(socket.gethostname(), os.getpid(), datetime.now(UTC))

    def __enter__(self) -> SignedProgress:
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            mistake = isinstance(error, BenchmarkError)
            told = str(error) if mistake else f"{type(error).__name__}: {error}"
            self._sign = replace(self._sign, error=" ".join(told.split()))
            self._write()
        elif error is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Task]:
        """Begin a task; of nested ones the inner one is in the sign."""
        outer = self._sign
        self._put(task=label, total=total, done=done, note="")
        with self._progress.task(label, total, done) as shown:
            yield _SignedTask(shown, self)
        self._put(task=outer.task, total=outer.total, done=outer.done, note=outer.note)

    def advance(self, steps: int, note: str) -> None:
        """Count ``steps`` more as done in the sign."""
        self._put(done=self._sign.done + steps, note=note or self._sign.note)

    def _put(self, **changes: Any) -> None:
        self._sign = replace(self._sign, **changes)
        if self._clock() - self._written >= INTERVAL:
            self._write()

    def _write(self) -> None:
        self._written = self._clock()
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        with suppress(OSError):
            temporary.write_bytes(_SIGN.dump_json(self._sign))
            os.replace(temporary, self._path)  # never flushed: it need not survive the machine


@dataclass(frozen=True)
class _SignedTask:
    shown: Task
    progress: SignedProgress

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.shown.advance(steps, note)
        self.progress.advance(steps, note)
