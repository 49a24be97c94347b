"""The bootstrap against a plain loop, and claim verdicts against hand-worked intervals."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmark.metrics import mean_iou
from benchmark.report.claims import (
    Effect,
    gain_verdict,
    order_verdict,
    resampled_scores,
    smallest_difference,
    smallest_of_pairs,
    smallest_step,
    unstable_verdict,
    unsteady,
    variance_ratio,
)
from benchmark.seeding import derive


def random_counts(seed: int, images: int = 12, classes: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 50, (images, classes, classes + 1))
    counts[:, 2] *= rng.random((images, 1)) < 0.1  # a class that few images have
    counts[:, :, 2] = 0
    return counts


def test_a_draw_is_the_mean_iou_of_the_drawn_images_and_seeds() -> None:
    counts = [random_counts(1), random_counts(2)]
    draws = resampled_scores(counts, seeds=(4, 9), draws=40)
    images = np.random.default_rng(derive("claims", "images", 12))
    weights = images.multinomial(12, [1 / 12] * 12, size=40)
    runs = np.random.default_rng(derive("claims", "seeds", 4, 9))
    chosen = runs.multinomial(2, [0.5, 0.5], size=40)
    for d in range(40):
        scores = []
        for s, times in enumerate(chosen[d]):
            drawn = np.repeat(counts[s], weights[d], axis=0)
            scores += [100 * float(mean_iou(drawn.sum(axis=0)))] * times
        assert draws[d] == pytest.approx(np.mean(scores), abs=1e-9)


def test_an_absent_class_is_left_out_of_every_draw() -> None:
    counts = np.zeros((5, 3, 4), np.int64)
    counts[:, 0, 0], counts[:, 1, 1], counts[:, 1, 0] = 60, 30, 10
    # class 2 is nowhere: background 60/70, class 1 30/40, whichever images are drawn
    expected = 100 * (60 / 70 + 30 / 40) / 2
    assert resampled_scores([counts], (0,), draws=10) == pytest.approx([expected] * 10)


def test_void_predictions_are_misses() -> None:
    counts = np.zeros((3, 1, 2), np.int64)
    counts[:, 0] = 30, 10
    assert resampled_scores([counts], (0,), draws=5) == pytest.approx([75.0] * 5)


@pytest.mark.parametrize("metric", ["precision", "recall"])
def test_precision_and_recall_by_loops(metric: str) -> None:
    counts = random_counts(3)
    draws = resampled_scores([counts], (0,), metric, draws=20)  # type: ignore[arg-type]
    weights = np.random.default_rng(derive("claims", "images", 12)).multinomial(
        12, [1 / 12] * 12, size=20
    )
    for d in range(20):
        total = np.repeat(counts, weights[d], axis=0).sum(axis=0)
        values = []
        for c in range(4):
            true, predicted = total[c].sum(), total[:, c].sum()
            if true + predicted:
                whole = predicted if metric == "precision" else true
                values.append(total[c, c] / whole if whole else 0.0)
        assert draws[d] == pytest.approx(100 * np.mean(values))


def test_a_trend_is_as_strong_as_its_smallest_step() -> None:
    scores = [
        (9.0, np.array([9.0, 9.0, 9.0])),
        (6.0, np.array([8.0, 4.0, 6.0])),
        (5.0, np.array([5.0, 5.0, 5.0])),
    ]
    effect = smallest_step(scores)
    assert effect.value == 1.0
    steps = [1.0, -1.0, 1.0]  # min(1, 3), min(5, -1), min(3, 1)
    assert effect.low == np.quantile(steps, 0.025)
    assert effect.high == np.quantile([3.0, -1.0, 1.0], 1 - 0.025 / 2)  # of the lower step


def test_pairing_removes_what_two_rows_share() -> None:
    counts = [random_counts(seed) for seed in range(3)]
    same = resampled_scores(counts, (0, 1, 2))
    effect = smallest_difference((50.0, same), [(50.0, resampled_scores(counts, (0, 1, 2)))])
    assert effect == Effect(0.0, 0.0, 0.0)
    other = smallest_difference((50.0, same), [(50.0, resampled_scores(counts, (5, 6, 7)))])
    assert other.low < 0 < other.high


def test_the_interval_has_the_spread_of_a_known_case() -> None:
    # one class, one pixel an image, right with p 0.7: mIoU is the share of hits, so the sd of a
    # draw is sqrt(p (1 - p) / n) = 100 * sqrt(0.21 / 400) = 2.29 points
    counts = np.zeros((400, 1, 2), np.int64)
    counts[:280, 0, 0] = 1
    counts[280:, 0, 1] = 1
    effect = smallest_difference((70.0, resampled_scores([counts], (0,))), [(60.0, 60.0)])
    assert effect.value == pytest.approx(10.0)
    assert effect.low == pytest.approx(10 - 1.96 * 2.29, abs=0.4)
    assert effect.high == pytest.approx(10 + 1.96 * 2.29, abs=0.4)


def test_seeds_widen_the_interval() -> None:
    counts = np.zeros((100, 1, 2), np.int64)
    runs = []
    for hits in (60, 70, 80):
        run = counts.copy()
        run[:, 0] = hits, 100 - hits
        runs.append(run)
    draws = resampled_scores(runs, (0, 1, 2))  # images are all alike: seeds are all the noise
    assert set(np.round(draws, 6)) <= {round(x, 6) for x in np.arange(180, 241, 10) / 3}
    assert draws.std() == pytest.approx(np.std([60, 70, 80]) / np.sqrt(3), rel=0.05)


def test_the_smallest_difference_is_taken_draw_by_draw() -> None:
    better = (10.0, np.array([10.0, 10.0, 10.0, 10.0]))
    worse = [(6.0, np.array([5.0, 9.0, 5.0, 9.0])), (7.0, np.array([8.0, 6.0, 8.0, 6.0]))]
    effect = smallest_difference(better, worse)
    assert effect.value == 3.0
    assert effect.low == pytest.approx(1.0, abs=0.1)  # differences 2, 1, 2, 1
    assert effect.high == pytest.approx(4.0, abs=0.1)  # no pair is surely below: 1 to 5, 2 to 4


@pytest.mark.parametrize(("true", "most"), [(0.0, 0.05), (1.0, 0.01)])
def test_many_rivals_do_not_refute_an_order_by_chance(true: float, most: float) -> None:
    """Twenty differences as large as each other, each measured with a standard error of 1."""
    random = np.random.default_rng(7)
    fails = holds = 0
    for _ in range(300):
        measured = true + random.standard_normal(20)
        draws = measured[:, None] + random.standard_normal((20, 2000))
        zero = (0.0, np.zeros(2000))
        pairs = [((value, one), zero) for value, one in zip(measured, draws, strict=True)]
        verdict, _ = order_verdict(smallest_of_pairs(pairs))
        fails += verdict == "fails"
        holds += verdict == "holds"
    assert fails / 300 <= most
    assert holds / 300 <= 0.025


def test_one_reversed_pair_refutes_an_order() -> None:
    random = np.random.default_rng(8)
    zero = (0.0, np.zeros(2000))
    centres = [*[3.0] * 19, -5.0]
    pairs = [((centre, centre + random.standard_normal(2000)), zero) for centre in centres]
    effect = smallest_of_pairs(pairs)
    assert order_verdict(effect)[0] == "fails"
    assert effect.value == -5.0
    # 1 - 0.025 / 20 of a normal distribution lies 3.02 deviations up
    assert effect.high == pytest.approx(-5 + 3.02, abs=0.4)


@pytest.mark.parametrize(
    ("low", "high", "by", "verdict", "note"),
    [
        (0.3, 1.6, 1.2, "holds", ""),
        (1.5, 3.0, 1.2, "holds", ""),
        (0.3, 1.2, 1.2, "holds", ""),  # reaches exactly what is claimed
        (0.3, 1.1, 1.2, "fails", "a gain, but smaller than 1.2"),
        (-0.5, 1.1, 1.2, "fails", "any gain is smaller than 1.2"),
        (-2.0, -0.1, 1.2, "fails", "the order is the other way round"),
        (-0.5, 1.3, 1.2, "undecided", "the interval holds 0"),
        (0.0, 1.3, 1.2, "undecided", "the interval holds 0"),
        (0.1, 0.2, 0.0, "holds", ""),
        (-0.1, 0.2, 0.0, "undecided", "the interval holds 0"),
        (-0.2, -0.1, 0.0, "fails", "the order is the other way round"),
    ],
)
def test_gain(low: float, high: float, by: float, verdict: str, note: str) -> None:
    assert gain_verdict(Effect((low + high) / 2, low, high), by) == (verdict, note)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 2.0, "holds"), (-2.0, -0.1, "fails"), (-0.1, 2.0, "undecided"), (0, 0, "undecided")],
)
def test_order(low: float, high: float, verdict: str) -> None:
    assert order_verdict(Effect((low + high) / 2, low, high))[0] == verdict


@pytest.mark.parametrize(
    ("low", "high", "by", "verdict"),
    [
        (1.1, 2.0, 0.0, "holds"),
        (0.9, 2.0, 0.0, "undecided"),
        (-2.0, -1.1, 0.0, "fails"),
        (-2.0, -0.9, 0.0, "undecided"),
        (1.1, 2.0, 1.5, "holds"),
        (1.1, 1.4, 1.5, "undecided"),  # falls short by less than the margin
        (0.1, 0.4, 1.5, "fails"),
    ],
)
def test_few_seeds_are_judged_with_a_margin(
    low: float, high: float, by: float, verdict: str
) -> None:
    effect = Effect((low + high) / 2, low, high)
    assert gain_verdict(effect, by, 1.0)[0] == verdict
    if not by:
        assert order_verdict(effect, 1.0)[0] == verdict


def test_a_class_is_scored_alone() -> None:
    counts = [random_counts(1), random_counts(2)]
    draws = resampled_scores(counts, (0, 1), draws=20, classes=slice(1, 2))
    weights = np.random.default_rng(derive("claims", "images", 12)).multinomial(
        12, [1 / 12] * 12, size=20
    )
    chosen = np.random.default_rng(derive("claims", "seeds", 0, 1)).multinomial(
        2, [0.5, 0.5], size=20
    )
    for d in range(20):
        scores = []
        for one, times in zip(counts, chosen[d], strict=True):
            total = np.repeat(one, weights[d], axis=0).sum(axis=0)
            union = total[1].sum() + total[:, 1].sum() - total[1, 1]
            scores += [100 * total[1, 1] / union] * times
        assert draws[d] == pytest.approx(np.mean(scores))


def test_the_background_can_be_left_out_of_the_mean() -> None:
    counts = np.zeros((1, 3, 4), np.int64)
    counts[0] = [[8, 2, 0, 0], [0, 3, 1, 0], [1, 0, 4, 0]]
    draws = resampled_scores([counts], (0,), "recall", draws=2, classes=slice(1, None))
    assert draws == pytest.approx(100 * (3 / 4 + 4 / 5) / 2)
    draws = resampled_scores([counts], (0,), "precision", draws=2, classes=slice(1, None))
    assert draws == pytest.approx(100 * (3 / 5 + 4 / 5) / 2)
    draws = resampled_scores([counts], (0,), "recall", draws=2)
    assert draws == pytest.approx(100 * (8 / 10 + 3 / 4 + 4 / 5) / 3)


def test_draws_without_the_class_are_left_out_of_the_interval() -> None:
    # of three images only the first has class 1: 8 of 27 draws lack it
    counts = np.zeros((3, 2, 3), np.int64)
    counts[:, 0, 0] = 10
    counts[0, 1, 1], counts[0, 1, 0] = 3, 1
    counts[1, 0, 1] = 2  # predicted where it is not: still no draw of the class
    draws = resampled_scores([counts], (0,), classes=slice(1, 2))
    assert np.isnan(draws).mean() == pytest.approx(8 / 27, abs=0.03)
    effect = smallest_of_pairs([((50.0, draws), (40.0, 40.0))])
    assert effect.value == 10.0
    assert effect.high == pytest.approx(75 - 40)  # the first image, never the second: 3 of 4
    assert effect.low == pytest.approx(100 * 3 / 8 - 40)  # once the first, twice the second


def test_pairs_are_compared_draw_by_draw() -> None:
    pairs = [
        ((9.0, np.array([9.0, 9.0])), (8.0, np.array([8.0, 6.0]))),
        ((5.0, np.array([5.0, 5.0])), (1.0, np.array([1.0, 4.0]))),
    ]
    effect = smallest_of_pairs(pairs)  # type: ignore[arg-type]
    assert (effect.value, effect.low) == (1.0, 1.0)  # min(1, 4) and min(3, 1)
    # 98.75 % of the way from 1 to 3, and from 1 to 4
    assert effect.high == pytest.approx(1 + 0.975 * 2, abs=0.05)


def test_the_ratio_of_variances_has_the_f_interval() -> None:
    # with 3 seeds each F(2, 2) has the quantile p / (1 - p): 39 and 1 / 39
    effect = variance_ratio((40, 50, 60), [(50, 51, 52)])
    assert effect is not None
    assert effect.value == pytest.approx(100.0)
    assert (effect.low, effect.high) == (pytest.approx(100 / 39), pytest.approx(3900))
    closer = variance_ratio((40, 50, 60), [(50, 51, 52), (49, 51, 53)])
    assert closer is not None
    assert closer.value == pytest.approx(25.0)
    # F(3, 2) at 97.5 % and, of F(2, 3), one over it: 39.17 and 16.04 in the printed tables
    four = variance_ratio((1, 2, 3, 4), [(1, 2, 3)])
    assert four is not None
    assert four.value == pytest.approx(5 / 3)
    assert four.low == pytest.approx(5 / 3 / 39.17, rel=1e-3)
    assert four.high == pytest.approx(5 / 3 * 16.04, rel=1e-3)
    assert variance_ratio((5, 5, 5), [(1, 2, 3)]) is None
    assert variance_ratio((1, 2, 3), [(1, 2, 4), (5, 5, 5)]) is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(1.1, 9.0, "holds"), (0.1, 0.9, "fails"), (0.5, 2.0, "undecided"), (1.0, 2.0, "undecided")],
)
def test_unstable(low: float, high: float, verdict: str) -> None:
    assert unstable_verdict(Effect(1.5, low, high))[0] == verdict


@pytest.mark.parametrize(
    ("before", "after", "note"),
    [
        ((1, 2), (2, 1), ""),
        ((1, 1), (2, 2), ""),  # ties are steady: SGAN's own table has one
        ((2, 1), (2, 1), "our means do not rise to it steadily"),
        ((1, 2), (1, 2), "our means do not fall after it steadily"),
        ((1, 6), (1, 2), "our means do not rise to it or fall after it steadily"),
    ],
)
def test_the_shape_of_a_peak(
    before: tuple[float, ...], after: tuple[float, ...], note: str
) -> None:
    assert unsteady(before, 5, after) == note


def test_the_whole_of_voc_val_takes_seconds() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (1449, 21, 22))
    started = time.process_time()
    resampled_scores([counts] * 3, (0, 1, 2))
    assert time.process_time() - started < 10
