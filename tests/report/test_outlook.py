"""How many seeds would settle a verdict, against cases worked by hand."""

from __future__ import annotations

import statistics

import pytest

from benchmark.report.outlook import MOST_SEEDS, Outlook, cell_outlook, claim_outlook
from benchmark.report.verdicts import compare, half_width

REAL_RUNS = (68.02, 68.17, 68.25, 67.84, 67.92)


def test_half_widths_in_standard_deviations_by_hand() -> None:
    # t(0.975, n - 1) sqrt(1 + 1/n), with t from a printed table
    by_hand = {3: 4.3027 * 1.15470, 5: 2.7764 * 1.09545, 6: 2.5706 * 1.08012, 7: 2.4469 * 1.06904}
    for seeds, expected in by_hand.items():
        assert half_width(1.0, seeds) == pytest.approx(expected, abs=3e-4)
    assert half_width(1.0, 10**6) == pytest.approx(1.95996, abs=1e-4)
    assert half_width(1.0, MOST_SEEDS) < 2.0


def test_five_real_runs_are_within_noise_because_they_are_five() -> None:
    # mean 68.04, sd 0.17015: 68.50 is 0.46 / 0.17015 = 2.7035 sd away. The half width is 3.041 sd
    # with five runs, 2.777 with six and 2.616 with seven, the first below 2.7035.
    assert compare(REAL_RUNS, 68.50, decimals=2).verdict == "within-noise"
    outlook = cell_outlook(REAL_RUNS, 68.50, decimals=2)
    assert outlook == Outlook(2, "open: 2 more seeds would settle it, if mean and sd stay")


def test_the_same_mean_and_spread_with_that_many_seeds_lie_outside() -> None:
    # seven runs with mean 68.04 and sd 0.17015: 68.04 +- 0.17015 sqrt(6/6) thrice, and 68.04
    spread = 0.1701470
    runs = (*(68.04 + spread,) * 3, *(68.04 - spread,) * 3, 68.04)
    assert statistics.stdev(runs) == pytest.approx(spread)
    assert compare(runs, 68.50, decimals=2).verdict == "differs"
    assert cell_outlook(runs, 68.50, decimals=2) == Outlook(0)


def test_a_value_within_the_noise_of_a_single_run_stays_there() -> None:
    # 68.04 + 1.9 * 0.17015 = 68.363 lies inside 1.96 sd, which is what is left at last
    assert cell_outlook(REAL_RUNS, 68.36, decimals=2) == Outlook(0, "more seeds will not move it")
    # sd 1 around 2: 1.9 sd away, and 2.1 sd away
    assert cell_outlook((1.0, 2.0, 3.0), 3.9) == Outlook(0, "more seeds will not move it")
    assert cell_outlook((1.0, 2.0, 3.0), 4.1).more_seeds > 0


@pytest.mark.parametrize(
    ("published", "more"),
    [
        (2 + 4.97, 0),  # outside already: the half width is 4.968
        (2 + 4.96, 1),  # four seeds: 3.558
        (2 - 4.96, 1),
        (2 + 3.56, 1),
        (2 + 3.55, 2),  # five seeds: 3.041
        (2 + 2.70, 4),  # seven seeds: 2.616
    ],
)
def test_three_runs_of_spread_one(published: float, more: int) -> None:
    assert cell_outlook((1.0, 2.0, 3.0), published).more_seeds == more


@pytest.mark.parametrize(("values", "more"), [((57.3,), 2), ((50.0, 51.0), 1)])
def test_fewer_than_three_runs_need_three(values: tuple[float, ...], more: int) -> None:
    outlook = cell_outlook(values, 57.3)
    assert outlook.more_seeds == more
    assert outlook.note.endswith("an interval")


def test_what_is_exact_is_settled() -> None:
    # mean 57.26 is printed 57.3: settled, though 0.04 off with no noise to speak of
    assert cell_outlook((57.25, 57.26, 57.27), 57.3) == Outlook(0)


def test_a_claim_by_hand() -> None:
    # effect 2, s^2 = 9, V = 0.5: (2 / 1.95996)^2 = 1.04127; 9 / (1.04127 - 0.5) = 16.63
    effects = (-1.0, 2.0, 5.0)
    assert claim_outlook(effects, 0.5) == Outlook(
        14, "about 14 more seeds would decide it, if mean and sd stay"
    )
    # no noise of the images: 9 / 1.04127 = 8.64
    assert claim_outlook(effects, 0.0) == Outlook(
        6, "about 6 more seeds would decide it, if mean and sd stay"
    )


def test_a_gain_is_decided_on_either_side() -> None:
    # effect 2 of at least 5: it fails once the half width is below 3: 9 / (3 / 1.95996)^2 = 3.84
    assert claim_outlook((-1.0, 2.0, 5.0), 0.0, by=5.0) == Outlook(
        1, "about 1 more seed would decide it, if mean and sd stay"
    )
    # of at least 3: that would need 1, above 0 needs 2, so as for an order
    assert claim_outlook((-1.0, 2.0, 5.0), 0.0, by=3.0) == claim_outlook((-1.0, 2.0, 5.0), 0.0)
    # effect -2: below 3 needs 5, 9 / (5 / 1.95996)^2 = 1.38, but the three runs did not decide it
    outlook = claim_outlook((1.0, -2.0, -5.0), 0.0, by=3.0)
    assert outlook is not None
    assert outlook.more_seeds == 1


def test_too_few_images_cannot_be_made_up_for_by_seeds() -> None:
    # V = 1.05 is above 1.04127
    outlook = claim_outlook((-1.0, 2.0, 5.0), 1.05)
    assert outlook == Outlook(0, "more seeds will not decide it, only more images")


def test_nobody_runs_hundreds_of_seeds() -> None:
    # 9 / (1.04127 - 1.0) = 218
    outlook = claim_outlook((-1.0, 2.0, 5.0), 1.0)
    assert outlook == Outlook(0, "not even 100 seeds would decide it")


def test_one_or_two_seeds_say_nothing_of_the_noise() -> None:
    assert claim_outlook((1.0,), 0.1) is None
    assert claim_outlook((1.0, 2.0), 0.1) is None
