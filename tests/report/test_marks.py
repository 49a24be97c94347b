"""Every verdict has a mark."""

from __future__ import annotations

from typing import get_args

from benchmark.report.claims import ClaimVerdict
from benchmark.report.marks import MARKS, mark
from benchmark.report.verdicts import Verdict


def test_every_verdict_has_a_mark_and_an_unknown_one_a_dot() -> None:
    assert set(MARKS) == {*get_args(Verdict), *get_args(ClaimVerdict)}
    assert mark("of-tomorrow").symbol == "•"
