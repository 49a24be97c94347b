"""A display that keeps its lines, for tests that read what a run shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.progress import Task


class Shown:
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Task]:
        self.lines.append(f"{label} {done}/{total}")
        shown = self

        class Line:
            def advance(self, steps: int = 1, note: str = "") -> None:
                shown.lines.append(f"{label} +{steps} {note}")

        try:
            yield Line()
        except BaseException:
            self.lines.append(f"{label} stopped")
            raise
        self.lines.append(f"{label} done")
