"""Claims of a paper, tested on our per-image counts with a paired bootstrap.

Each draw takes images with replacement (the same ones for every cell) and seeds with replacement
(the same ones for cells that have the same seeds), and yields one score a cell. An effect is a
difference of such scores in points; its interval runs from the 2.5th to the 97.5th percentile.

gain, ``better`` exceeds ``worse`` by at least ``by``:
    holds      the interval lies above 0 and reaches ``by`` (low > 0 and high >= by)
    fails      the interval lies below ``by`` (high < by), or below 0 if ``by`` is 0
    undecided  otherwise: it holds 0 (low <= 0) and reaches ``by``
order, ``better`` is above every one of ``worse``; the effect is the smallest of the differences:
    holds      low > 0
    fails      high < 0
    undecided  otherwise
trend, every score is above the next; the effect is the smallest of the steps: as for an order.

A bootstrap over n seeds is a little too narrow for small n, and one seed carries no noise of the
training at all; the report says so beside the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics import Counts, MetricName, mean_over_classes
from benchmark.seeding import derive

ClaimVerdict = Literal["holds", "fails", "undecided"]
Draws = NDArray[np.float64]

DRAWS = 2000
LEVELS = (0.025, 0.975)


@dataclass(frozen=True)
class Effect:
    """An effect in points with its 95 % interval."""

    value: float
    low: float
    high: float


def resampled_scores(
    counts: Sequence[Counts],
    seeds: Sequence[int],
    metric: MetricName = "miou",
    draws: int = DRAWS,
) -> Draws:
    """Return the metric in points, (draws,), under resampled images and seeds.

    ``counts``: one int64 (N, C, C + 1) a seed. Two calls with the same N draw the same images,
    and with the same seeds the same seeds: that is what pairs the differences.
    """
    number = len(counts[0])
    images = np.random.default_rng(derive("claims", "images", number))
    weights = images.multinomial(number, np.full(number, 1 / number), size=draws).astype(float)
    per_seed = np.stack([_weighted_scores(one, weights, metric) for one in counts], axis=1)
    runs = np.random.default_rng(derive("claims", "seeds", *seeds))
    chosen = runs.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=draws)
    return np.asarray((per_seed * chosen).sum(axis=1) / len(seeds))


def _weighted_scores(counts: Counts, weights: NDArray[np.float64], metric: MetricName) -> Draws:
    """Return the metric in points, (draws,), of image counts (N, C, C + 1), weights (draws, N)."""
    square = counts[..., :-1]
    marginals = (np.diagonal(square, axis1=1, axis2=2), counts.sum(axis=2), square.sum(axis=1))
    # the marginals alone, as floats for BLAS: exact below 2**53 pixels, and a tenth of the work
    hits, true, predicted = (weights @ part.astype(np.float64) for part in marginals)
    seen = true + predicted
    whole = {"miou": seen - hits, "precision": predicted, "recall": true}[metric]
    return 100.0 * mean_over_classes(np.where(seen > 0, hits / np.maximum(whole, 1), np.nan))


def smallest_difference(
    better: tuple[float, Draws], worse: Sequence[tuple[float, Draws | float]]
) -> Effect:
    """Return the smallest of better - worse; each a point value and its draws (or a constant)."""
    value, draws = better
    values = [value - other for other, _ in worse]
    resampled = np.min([draws - other for _, other in worse], axis=0)
    low, high = np.quantile(resampled, LEVELS)
    return Effect(min(values), float(low), float(high))


def smallest_step(scores: Sequence[tuple[float, Draws | float]]) -> Effect:
    """Return the smallest of each score minus the next; each a value and its draws."""
    values = [higher - lower for (higher, _), (lower, _) in pairwise(scores)]
    steps = [np.asarray(higher) - lower for (_, higher), (_, lower) in pairwise(scores)]
    resampled = np.min(steps, axis=0)
    low, high = np.quantile(resampled, LEVELS)
    return Effect(min(values), float(low), float(high))


def gain_verdict(effect: Effect, by: float) -> tuple[ClaimVerdict, str]:
    """Return the verdict on a gain of at least ``by`` points, and why."""
    if effect.high < 0:
        return "fails", "the order is the other way round"
    if effect.high < by:
        size = "a gain, but" if effect.low > 0 else "any gain is"
        return "fails", f"{size} smaller than {by:g}"
    if effect.low > 0:
        return "holds", ""
    return "undecided", "the interval holds 0"


def order_verdict(effect: Effect) -> tuple[ClaimVerdict, str]:
    """Return the verdict on an order, and why."""
    if effect.low > 0:
        return "holds", ""
    if effect.high < 0:
        return "fails", "the order is another one"
    return "undecided", "the interval holds 0"
