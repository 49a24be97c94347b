"""SIGKILL in the middle of a run on the real stages: the next one ends with the same table."""

from __future__ import annotations

import random
import signal

import pytest
from forked import Moment, Place

pytestmark = pytest.mark.faults

KILLS = 50


def timed(finished: Place) -> list[tuple[str, float]]:
    """Return the stages in the order in which they were made, each with its processor time."""
    lines = [line.split() for line in (finished.folder / "log").read_text().splitlines()]
    return [(key, float(seconds)) for key, seconds in lines]


def drawn(finished: Place, number: int) -> Moment:
    """Return one of KILLS moments; the first ones hit every stage once."""
    moments, stages = random.Random(number), timed(finished)
    key, seconds = stages[number] if number < len(stages) else moments.choice(stages)
    return Moment(key, moments.uniform(0, seconds), after=moments.random() < 0.15)


def killed(place: Place, moment: Moment) -> None:
    assert place.run("run", moment=moment).status == -signal.SIGKILL
    assert (moment.name in place.records()) == moment.after


def check_same(place: Place, finished: Place) -> None:
    assert place.written() == finished.written()
    assert place.artifacts() == finished.artifacts()
    place.check_clean()


def test_the_small_table_makes_every_kind_of_stage(finished: Place) -> None:
    made = {record["stage"] for record in finished.records().values()}
    others = {"released_attention", "released_maps", "released_labels"}  # from the user's files
    # like backbone and saliency_network, of large networks and of a shipped one
    weights = {"fully_connected_backbone", "xception_backbone", "shipped_saliency_network"}
    from benchmark.stages import STAGES

    assert made == set(STAGES) - others - weights
    assert len(timed(finished)) == len(finished.records()) <= KILLS
    assert set(finished.written()) == {"small_table.csv", "small_table.tex"}


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_table(
    place: Place, finished: Place
) -> None:
    stages = timed(finished)
    moments = random.Random(7)
    chosen = sorted(moments.sample(range(len(stages)), 4))
    for number in chosen:
        key, seconds = stages[number]
        killed(place, Moment(key, moments.uniform(0, seconds), after=number == chosen[1]))
    ended = place.run("run", moment=Moment("small_table.json"))
    assert ended.status == -signal.SIGKILL
    assert not (place.results / "tiny" / "small_table.json").exists()
    for path in place.results.rglob(".*.tmp"):  # where a kill leaves it; nobody reads it
        path.unlink()
    place.finish()
    check_same(place, finished)


@pytest.mark.long
@pytest.mark.parametrize("number", range(KILLS))
def test_a_kill_at_any_moment_changes_nothing(place: Place, finished: Place, number: int) -> None:
    moment = drawn(finished, number)
    place.copy_store(finished)
    place.forget(moment.name)
    killed(place, moment)
    place.finish()
    check_same(place, finished)
