"""The verdict on one cell: our runs beside one published value.

A published value is one draw. With at least three seeds it is compared with the 95 % prediction
interval of a single further run; with fewer there is no noise estimate, only a stated margin.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtrit

Verdict = Literal[
    "exact",
    "within-noise",
    "within-margin",
    "better",
    "differs",
    "not-comparable",
    "stale",
    "missing",
    "cited",
]

MEANINGS: dict[Verdict, str] = {
    "exact": "our mean, rounded as printed, is the published value",
    "within-noise": "the published value lies in our 95 % prediction interval of a single run",
    "within-margin": "fewer than 3 seeds: the published value is at most the margin away",
    "better": "our runs lie above the published value, beyond the interval or margin",
    "differs": "our runs lie below the published value, beyond the interval or margin",
    "not-comparable": "the protocol cards differ, so the two numbers are not compared",
    "stale": "the code behind our number has changed since; run again",
    "missing": "no number of ours",
    "cited": "a number of other authors; nobody here measures it",
}

COMPARED = frozenset[Verdict]({"exact", "within-noise", "within-margin", "better", "differs"})
"""The verdicts that compare our number with the published one."""

MARGIN = 1.0
"""Points of mIoU allowed for one run against another where nothing is known of the noise."""

MINIMUM_SEEDS = 3
"""Below this a standard deviation says too little for an interval."""


@dataclass(frozen=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    note: str = ""


def prediction_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of one further run; None with fewer than three values.

    mean +- t(0.975, n - 1) * sd * sqrt(1 + 1/n), with the sample standard deviation.
    """
    if len(values) < MINIMUM_SEEDS:
        return None
    mean = statistics.fmean(values)
    half = half_width(statistics.stdev(values), len(values))
    return mean - half, mean + half


def half_width(deviation: float, seeds: int) -> float:
    """Return half of the prediction interval, in points, of so many seeds with this spread."""
    return float(stdtrit(seeds - 1, 0.975)) * deviation * math.sqrt(1 + 1 / seeds)


def compare(values: Sequence[float], published: float, decimals: int = 1) -> Judgement:
    """Judge our runs (points, one a seed, at least one) against a comparable published value."""
    mean = statistics.fmean(values)
    interval = prediction_interval(values)
    low, high = interval or (published - MARGIN, published + MARGIN)
    margin = f"compared with a margin of {MARGIN:g} point"
    note = "" if interval else f"{no_noise_estimate(len(values))}, {margin}"
    if round(mean, decimals) == round(published, decimals):
        return Judgement("exact", note)
    if interval:
        if low <= published <= high:
            return Judgement("within-noise")
        return Judgement("better" if published < low else "differs")
    if low <= mean <= high:
        return Judgement("within-margin", note)
    return Judgement("better" if mean > high else "differs", note)


def no_noise_estimate(seeds: int) -> str:
    """Return the caveat that goes with fewer than three seeds."""
    return f"{seeds_text(seeds)}: no noise estimate"


def seeds_text(number: int) -> str:
    """Return e.g. ``3 seeds``."""
    return f"{number} seed{'' if number == 1 else 's'}"
