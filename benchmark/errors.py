"""Mistakes of the user's, told in one line."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A mistake that its message alone explains: what is wrong, where, and the mend."""


class DiskFull(BenchmarkError):
    """Nothing can be written any more."""


class ProcessDied(BenchmarkError):
    """The process that made a stage was ended from outside: out of memory, or by hand."""
