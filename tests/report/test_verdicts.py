"""Verdicts against cases worked by hand."""

from __future__ import annotations

import math

import pytest
from scipy.stats import t

from benchmark.report.verdicts import MARGIN, compare, prediction_interval

REAL_RUNS = (68.02, 68.17, 68.25, 67.84, 67.92)


def test_five_real_runs_of_a_published_68_50() -> None:
    interval = prediction_interval(REAL_RUNS)
    assert interval is not None
    low, high = interval
    # mean 68.04, sd sqrt(0.1158 / 4) = 0.17015; half width 2.7764 * 0.17015 * sqrt(1.2) = 0.5175
    assert (low + high) / 2 == pytest.approx(68.04)
    assert low == pytest.approx(67.5225, abs=2e-4)
    assert high == pytest.approx(68.5575, abs=2e-4)
    assert compare(REAL_RUNS, 68.50, decimals=2).verdict == "within-noise"
    # the mean's own interval, 68.04 +- 2.7764 * 0.17015 / sqrt(5) = 0.211, would exclude it
    assert (high - 68.04) / math.sqrt(1 + 1 / 5) / math.sqrt(5) == pytest.approx(0.211, abs=1e-3)


def test_interval_of_three_runs_by_hand() -> None:
    # mean 2, sd 1: 2 +- 4.302653 * sqrt(4/3)
    low, high = prediction_interval((1.0, 2.0, 3.0)) or (0.0, 0.0)
    assert low == pytest.approx(2 - 4.968275, abs=1e-5)
    assert high == pytest.approx(2 + 4.968275, abs=1e-5)


@pytest.mark.parametrize("n", [3, 5, 20])
def test_the_quantile_is_students(n: int) -> None:
    values = [0.0] * (n - 1) + [1.0]
    sd = math.sqrt(sum((v - 1 / n) ** 2 for v in values) / (n - 1))
    low, high = prediction_interval(values) or (0.0, 0.0)
    assert (high - low) / 2 == pytest.approx(t.ppf(0.975, n - 1) * sd * math.sqrt(1 + 1 / n))


@pytest.mark.parametrize("values", [(), (50.0,), (50.0, 51.0)])
def test_no_interval_below_three_runs(values: tuple[float, ...]) -> None:
    assert prediction_interval(values) is None


@pytest.mark.parametrize(
    ("values", "published", "verdict"),
    [
        ((57.34,), 57.3, "exact"),
        ((57.36,), 57.3, "within-margin"),
        ((56.3,), 57.3, "within-margin"),  # exactly the margin below
        ((56.2,), 57.3, "differs"),
        ((58.3,), 57.3, "within-margin"),
        ((58.4,), 57.3, "better"),
        ((56.0, 58.6), 57.3, "exact"),  # the mean counts
        ((57.2, 57.3, 57.4), 57.3, "exact"),
        ((57.0, 57.1, 57.2), 57.3, "within-noise"),  # 57.1 +- 0.497
        ((56.7, 56.8, 56.9), 57.3, "differs"),  # up to 57.297
        ((57.7, 57.8, 57.9), 57.3, "better"),  # down from 57.303
        ((57.0, 57.0, 57.0), 57.3, "differs"),  # no noise at all
    ],
)
def test_verdict_of_comparable_numbers(
    values: tuple[float, ...], published: float, verdict: str
) -> None:
    assert compare(values, published).verdict == verdict


def test_the_hand_worked_margin_is_the_one_in_force() -> None:
    assert MARGIN == 1.0


def test_few_seeds_say_that_nothing_is_known_of_the_noise() -> None:
    note = "no noise estimate, compared with a margin of 1 point"
    assert compare((56.5,), 57.3).note == f"1 seed: {note}"
    assert compare((56.5, 56.9), 57.3).note == f"2 seeds: {note}"
    assert compare((57.3,), 57.3).note == f"1 seed: {note}"
    assert compare((57.0, 57.1, 57.2), 57.3).note == ""


def test_published_decimals_decide_what_is_exact() -> None:
    assert compare((41.374,), 41.37, decimals=2).verdict == "exact"
    assert compare((41.36,), 41.37, decimals=2).verdict == "within-margin"
    assert compare((41.36,), 41.4, decimals=1).verdict == "exact"
