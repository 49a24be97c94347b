"""How many more seeds would settle what is open: the verdict on a cell, or on a claim.

Everything here rests on one assumption, which the notes repeat: that the mean and the spread of
the runs stay as they are. Of three runs the true spread may be half the one seen or six times it
(95 %), so the numbers say how much work is ahead, and no more. Choose a number of seeds before
they are run, and read the verdict once: adding seeds until a verdict pleases is no test.

A cell, our runs x_1 .. x_n beside a published value p, both under one protocol:
    n < 3      open: 3 - n more seeds give the first interval
    settled    p lies outside the 95 % prediction interval of a single run (the interval narrows
               with n, so p stays outside), or our rounded mean is p, or |mean - p| is at most
               the half width that is left however many seeds there are, 1.96 sd: such a p is
               within the noise of a single run, and more seeds will not move it
    open       p lies inside, only because n is small: the smallest N with
               t(0.975, N - 1) sd sqrt(1 + 1/N) < |mean - p| would put it outside
Cells that are not compared (not-comparable, stale, missing, cited) are neither open nor settled.

An undecided claim, a difference e of two scores, at least ``by``: decided once the half width of
its interval is below max(e, by - e), for then the interval lies above 0, or below ``by``.
Resampled images give the variance V of e that is left however many seeds there are; the effects
of the single seeds give the variance s^2 that shrinks with their number. The smallest N with
    1.96 sqrt(V + s^2 / N) < max(e, by - e)
decides it; where V alone is too large, only more images would. A claim on the smallest of several
differences has no such answer: which one is smallest changes from seed to seed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.report.verdicts import MINIMUM_SEEDS, half_width

MOST_SEEDS = 100
"""Nobody runs more; the half width of a prediction interval is then 1.99 sd instead of 1.96."""

NORMAL = statistics.NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Outlook:
    """What more seeds would do, if mean and spread stay as they are."""

    more_seeds: int  # the fewest that would settle it; 0: settled, or no number of seeds would
    note: str = ""


def cell_outlook(values: Sequence[float], published: float, decimals: int = 1) -> Outlook:
    """Return how many seeds settle the verdict on our runs (points, one a seed, at least one)."""
    seeds = len(values)
    if seeds < MINIMUM_SEEDS:
        more = MINIMUM_SEEDS - seeds
        return Outlook(more, f"{_more(more)} {'gives' if more == 1 else 'give'} an interval")
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    distance = abs(mean - published)
    if distance > half_width(spread, seeds) or round(mean, decimals) == round(published, decimals):
        return Outlook(0)
    for number in range(seeds + 1, MOST_SEEDS + 1):
        if half_width(spread, number) < distance:
            more = number - seeds
            return Outlook(more, f"open: {_more(more)} would settle it, if mean and sd stay")
    return Outlook(0, "more seeds will not move it")


def claim_outlook(
    effects: Sequence[float], image_variance: float, by: float = 0.0
) -> Outlook | None:
    """Return how many seeds decide an undecided claim; None below three seeds.

    ``effects``: the difference that the claim is about, in points, one a seed.
    ``image_variance``: of their mean under resampled images, the seeds kept as they are.
    ``by``: the least gain that the paper names; 0 for an order.
    """
    seeds = len(effects)
    if seeds < MINIMUM_SEEDS:
        return None
    effect, seed_variance = statistics.fmean(effects), statistics.variance(effects)
    allowed = (max(effect, by - effect) / NORMAL) ** 2
    if allowed <= image_variance:
        return Outlook(0, "more seeds will not decide it, only more images")
    number = max(seeds, math.floor(seed_variance / (allowed - image_variance))) + 1
    if number > MOST_SEEDS:
        return Outlook(0, f"not even {MOST_SEEDS} seeds would decide it")
    more = number - seeds
    return Outlook(more, f"about {_more(more)} would decide it, if mean and sd stay")


def _more(number: int) -> str:
    return f"{number} more seed{'' if number == 1 else 's'}"
