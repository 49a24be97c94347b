"""Claims of a paper, tested on our per-image counts with a paired bootstrap.

Each draw takes images with replacement (the same ones for every cell) and seeds with replacement
(the same ones for cells that have the same seeds), and yields one score a cell. An effect is a
difference of such scores in points; its interval runs from the 2.5th to the 97.5th percentile.

gain, ``better`` exceeds ``worse`` by at least ``by``:
    holds      the interval lies above 0 and reaches ``by`` (low > 0 and high >= by)
    fails      the interval lies below ``by`` (high < by), or below 0 if ``by`` is 0
    undecided  otherwise: it holds 0 (low <= 0) and reaches ``by``
order, ``better`` is above every one of ``worse``; the effect is the smallest of the differences,
    its interval that of ``smallest_of_pairs``:
    holds      low > 0
    fails      high < 0
    undecided  otherwise
every, ``better`` is above ``worse`` in every column: as for an order.
trend, every score is above the next; the effect is the smallest of the steps: as for an order.
peak, ``best`` is above all rows before it and all rows after it: as for an order. Whether the
    other rows rise and fall steadily is not judged, for rows that lie close together change places
    by chance; the note says where our means do.

unstable, ``row`` varies more over the seeds than every row of ``than``. A bootstrap of a few seeds
says nothing about a variance, so this one is an F-test at 5 %: the effect is a ratio of sample
variances and not points, the smallest over ``than``, with the 95 % interval of normal scores, from
ratio / F(0.975) to ratio / F(0.025):
    holds      low > 1
    fails      high < 1
    undecided  otherwise, below 3 seeds, and where a variance is 0

A class is scored on the draws that hold it: a draw of images without the class is left out.

A bootstrap over n seeds is a little too narrow for small n, and one seed carries no noise of the
training at all: below 3 seeds the interval must clear 0, or ``by``, by a point besides, and the
report says so beside the verdict.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri

from benchmark.metrics import Counts, MetricName, mean_over_classes
from benchmark.seeding import derive

ClaimVerdict = Literal["holds", "fails", "undecided"]
Draws = NDArray[np.float64]

DRAWS = 2000
LEVELS = (0.025, 0.975)


@dataclass(frozen=True)
class Effect:
    """An effect with its 95 % interval: points, but for ``unstable`` a ratio of variances."""

    value: float
    low: float
    high: float


def resampled_scores(
    counts: Sequence[Counts],
    seeds: Sequence[int],
    metric: MetricName = "miou",
    draws: int = DRAWS,
    *,
    classes: slice = slice(None),
) -> Draws:
    """Return the metric in points, (draws,), under resampled images and seeds.

    ``counts``: one int64 (N, C, C + 1) a seed. Two calls with the same N draw the same images,
    and with the same seeds the same seeds: that is what pairs the differences.
    The mean over ``classes`` (0 the background). Of one class alone it is nan where no drawn
    image holds the class.
    """
    weights = _drawn_images(len(counts[0]), draws)
    per_seed = np.stack([_weighted_scores(one, weights, metric, classes) for one in counts], axis=1)
    runs = np.random.default_rng(derive("claims", "seeds", *seeds))
    chosen = runs.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=draws)
    return np.asarray((per_seed * chosen).sum(axis=1) / len(seeds))


@lru_cache(maxsize=1)  # a table's cells share their images
def _drawn_images(number: int, draws: int) -> NDArray[np.float64]:
    """Return how often each of ``number`` images is drawn, (draws, number)."""
    images = np.random.default_rng(derive("claims", "images", number))
    weights = images.multinomial(number, np.full(number, 1 / number), size=draws).astype(float)
    weights.setflags(write=False)
    return weights


def _weighted_scores(
    counts: Counts, weights: NDArray[np.float64], metric: MetricName, classes: slice
) -> Draws:
    """Return the metric in points, (draws,), of image counts (N, C, C + 1), weights (draws, N)."""
    square = counts[..., :-1]
    marginals = (np.diagonal(square, axis1=1, axis2=2), counts.sum(axis=2), square.sum(axis=1))
    # the marginals alone, as floats for BLAS: exact below 2**53 pixels, and a tenth of the work
    hits, true, predicted = (weights @ part[:, classes].astype(np.float64) for part in marginals)
    # all rows of a table leave out the same draws: those without the class, whatever is predicted
    seen = true if true.shape[1] == 1 else true + predicted
    whole = {"miou": true + predicted - hits, "precision": predicted, "recall": true}[metric]
    return 100.0 * mean_over_classes(np.where(seen > 0, hits / np.maximum(whole, 1), np.nan))


Score = tuple[float, Draws | float]
"""A point value and its draws, or the same constant twice."""


def smallest_difference(better: Score, worse: Sequence[Score]) -> Effect:
    """Return the smallest of better - worse."""
    return smallest_of_pairs([(better, other) for other in worse])


def smallest_step(scores: Sequence[Score]) -> Effect:
    """Return the smallest of each score minus the next."""
    return smallest_of_pairs(list(pairwise(scores)))


def smallest_of_pairs(pairs: Sequence[tuple[Score, Score]]) -> Effect:
    """Return the smallest of first - second over the pairs.

    All pairs lie above ``low``, the 2.5th percentile of the smallest, taken draw by draw. Its
    97.5th would not do for ``high``, below which one pair at least lies: of pairs equally far
    apart, chance puts one low in every draw. That is the lowest of the pairs' own upper ends, each
    at 2.5 % over their number (Bonferroni).
    """
    values = [first - second for (first, _), (second, _) in pairs]
    draws = [np.asarray(first) - second for (_, first), (_, second) in pairs]
    low = np.nanquantile(np.min(draws, axis=0), LEVELS[0])
    upper = 1 - (1 - LEVELS[1]) / len(pairs)
    high = min(np.nanquantile(one, upper) for one in draws)
    return Effect(min(values), float(low), float(high))


def variance_ratio(values: Sequence[float], others: Sequence[Sequence[float]]) -> Effect | None:
    """Return the smallest ratio of sample variances, ``values`` to each of ``others``.

    One score a seed, at least 2 each. None where a variance is 0: there is no ratio.
    """
    variances = [statistics.variance(scores) for scores in (values, *others)]
    if 0 in variances:
        return None
    ratios = np.array([variances[0] / variance for variance in variances[1:]])
    freedoms = [len(other) - 1 for other in others]
    low, high = (fdtri(len(values) - 1, freedoms, level) for level in LEVELS)
    return Effect(*(float(bound.min()) for bound in (ratios, ratios / high, ratios / low)))


def gain_verdict(effect: Effect, by: float, margin: float = 0.0) -> tuple[ClaimVerdict, str]:
    """Return the verdict on a gain of at least ``by`` points, and why.

    ``margin``: points that the interval must clear besides, for noise that is not in it.
    """
    if effect.high + margin < 0:
        return "fails", "the order is the other way round"
    if effect.high + margin < by:
        size = "a gain, but" if effect.low > margin else "any gain is"
        return "fails", f"{size} smaller than {by:g}"
    if effect.low > margin and effect.high >= by:
        return "holds", ""
    return "undecided", _open(effect)


def order_verdict(effect: Effect, margin: float = 0.0) -> tuple[ClaimVerdict, str]:
    """Return the verdict on an order, and why; see ``gain_verdict``."""
    if effect.low > margin:
        return "holds", ""
    if effect.high + margin < 0:
        return "fails", "the order is another one"
    return "undecided", _open(effect)


def _open(effect: Effect) -> str:
    if effect.low <= 0 <= effect.high:
        return "the interval holds 0"
    return "too near for so few seeds"


def unstable_verdict(effect: Effect) -> tuple[ClaimVerdict, str]:
    """Return the verdict on a ratio of variances, and why."""
    if effect.low > 1:
        return "holds", ""
    if effect.high < 1:
        return "fails", "it varies less"
    return "undecided", "the interval holds 1"


def unsteady(before: Sequence[float], best: float, after: Sequence[float]) -> str:
    """Return how scores depart from a rise to ``best`` and a fall after it; empty if not."""
    rises = all(one <= two for one, two in pairwise([*before, best]))
    falls = all(one >= two for one, two in pairwise([best, *after]))
    missing = [name for name, kept in (("rise to it", rises), ("fall after it", falls)) if not kept]
    return f"our means do not {' or '.join(missing)} steadily" if missing else ""
