"""Mistakes of the user's, told in one line."""

from __future__ import annotations

from collections.abc import Sequence

FEW = 3
"""So many of the names that are alike in a mistake are told; the others are counted."""


class BenchmarkError(Exception):
    """A mistake that its message alone explains: what is wrong, where, and the mend."""


class NotGiven(BenchmarkError):
    """A stage for which the user's files hold nothing, with the reason."""


class DiskFull(BenchmarkError):
    """Nothing can be written any more."""


class ProcessDied(BenchmarkError):
    """The process that made a stage was ended from outside: out of memory, or by hand."""


def lacking(missing: Sequence[str], wanted: Sequence[str], split: str) -> str:
    """Return e.g. ``8 of 1449 images of val: a, b, c and 5 more``."""
    return f"{len(missing)} of {len(wanted)} images of {split}: {first_few(missing)}"


def first_few(names: Sequence[str]) -> str:
    """Return e.g. ``a, b, c and 5 more``."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{', '.join(names[:FEW])}{more}"
