"""Makes the checks, one after another, with as many classes as VOC has and with one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.conformance.checks import CHECKS, Check
from benchmark.conformance.global_state import global_state_restored
from benchmark.conformance.subject import NotTried, Subject
from benchmark.method import Method

CLASS_COUNTS = (20, 1)


@dataclass(frozen=True)
class Outcome:
    """One check's result; ``passed`` is None where it was not tried, and ``reason`` says why."""

    check: str
    passed: bool | None
    reason: str


def check_method(make: Callable[[], Method]) -> list[Outcome]:
    """Run every check over the method that ``make`` returns; never raises for a fault of its."""
    return list(checked(make))


def checked(make: Callable[[], Method]) -> Iterator[Outcome]:
    """Yield what ``check_method`` returns, each check as it ends."""
    passed: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        subjects = [Subject(make, classes, Path(scratch)) for classes in CLASS_COUNTS]
        for check in CHECKS:
            lacking = [name for name in check.after if name not in passed]
            if lacking:
                reason = f"not tried: {lacking[0]!r} did not pass"
                outcome = Outcome(check.name, None, reason)
            else:
                outcome = _outcome(check, subjects)
            if outcome.passed:
                passed.add(check.name)
            yield outcome


def _outcome(check: Check, subjects: Sequence[Subject]) -> Outcome:
    for subject in subjects:
        try:
            with global_state_restored():
                reason = check.function(subject)
        except NotTried as skipped:
            return Outcome(check.name, None, f"not tried: {skipped}")
        except Exception as error:  # a plugin may fail in any way at all
            reason = f"{type(error).__name__}: {error}"
        if reason:
            line = " ".join(reason.split())
            plural = "class" if subject.classes == 1 else "classes"
            return Outcome(check.name, False, f"with {subject.classes} {plural}: {line}")
    return Outcome(check.name, True, "")
