"""How fast the suite is: beside the plain way of the same, step by step, and as work grows."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from benchmark.errors import BenchmarkError
from benchmark.progress import Progress
from benchmark.registry import near_name

GROUPS = {
    "scoring": "compared",
    "crf": "compared",
    "loading": "compared",
    "steps": "steps",
    "growth": "growth",
    "scaling": "scaling",
}
"""The module here that measures a group, in a function of the group's name."""


class Measurement(Protocol):
    """What a group measures: something to print for people and for machines."""

    def shown(self) -> dict[str, str]:
        """Return it in words, by column."""

    def to_json(self) -> dict[str, Any]:
        """Return it for machines."""


def run_benchmarks(
    names: Sequence[str] | None,
    progress: Progress,
    profile: str = "scenes",
    rows: Sequence[str] = (),
) -> list[list[Measurement]]:
    """Measure the named groups, or all; BenchmarkError for a name that is none.

    The steps are those of ``profile``, and of ``rows`` alone. Each group's measurements have the
    same columns.
    """
    for name in names or ():
        if name not in GROUPS:
            raise BenchmarkError(near_name("bench group", name, GROUPS))
    chosen = names or tuple(GROUPS)
    found: list[list[Measurement]] = []
    with progress.task("bench", len(chosen)) as task:
        for name in chosen:
            measure = getattr(import_module(f"{__name__}.{GROUPS[name]}"), name)
            found.append(list(measure(profile, rows) if name == "steps" else measure()))
            task.advance(note=name)
    return found
