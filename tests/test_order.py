"""In which order stages are begun."""

from __future__ import annotations

import heapq

import pytest

from benchmark.executor import with_inputs
from benchmark.order import chain_lengths, chosen
from benchmark.store import Stage

SECONDS = {"images": 1, "attention": 10, "maps": 2, "labels": 1, "segmentation": 10, "score": 1}


def rows(count: int) -> list[Stage]:
    """Return the last stages of rows on the same images, each a chain with two trainings."""
    images = Stage(name="images", config={}, label="images")
    ends = []
    for row in range(count):
        stage = images
        for name in list(SECONDS)[1:]:
            stage = Stage(name, {"row": row}, {"in": stage}, label=f"{row} {name}")
        ends.append(stage)
    return ends


def test_a_chain_counts_its_own_stage_and_the_longest_way_to_an_end() -> None:
    images = Stage(name="images", config={}, label="images")
    short = Stage(name="maps", config={}, inputs={"a": images}, label="short")
    training = Stage(name="attention", config={}, inputs={"a": images}, label="training")
    end = Stage(name="score", config={}, inputs={"a": training, "b": images}, label="end")
    lengths = chain_lengths(with_inputs([short, end]))
    assert lengths == {images.key: 12, short.key: 1, training.key: 11, end.key: 1}


def test_what_reads_the_users_files_comes_before_any_training() -> None:
    images = Stage(name="images", config={}, label="images")
    attention = Stage("attention", {}, {"images": images}, label="attention")
    saliency = Stage("saliency", {}, label="saliency")
    labels = Stage("labels", {}, {"maps": attention, "saliency": saliency}, label="labels")
    names = [stage.label for stage in with_inputs([labels])]
    assert names == ["images", "saliency", "attention", "labels"]


def makespan(ends: list[Stage], jobs: int) -> tuple[int, list[str]]:
    """Return the seconds until all is made, and the labels in the order of their end."""
    order = with_inputs(ends)
    lengths = chain_lengths(order)
    done: set[str] = set()
    running: list[tuple[int, int, Stage]] = []
    begun: set[str] = set()
    finished: list[str] = []
    now = 0
    while len(done) < len(order):
        ready = [
            stage
            for stage in order
            if stage.key not in begun and all(i.key in done for i in stage.inputs.values())
        ]
        waiting = [stage for stage in order if stage.key not in begun]
        for stage in chosen(ready, waiting, lengths, jobs - len(running), jobs):
            begun.add(stage.key)
            heapq.heappush(running, (now + SECONDS[stage.name], len(begun), stage))
        now = running[0][0]
        while running and running[0][0] == now:
            stage = heapq.heappop(running)[2]
            done.add(stage.key)
            finished.append(stage.label)
    return now, finished


@pytest.mark.parametrize(
    ("count", "jobs"), [(1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (4, 3), (7, 4), (20, 2)]
)
def test_rows_take_hardly_longer_than_their_work_or_their_longest_chain(
    count: int, jobs: int
) -> None:
    """24 seconds a row after 1 for the images; at most one training more than either."""
    least = 1 + max(24, 24 * count / jobs)
    assert least <= makespan(rows(count), jobs)[0] < least + SECONDS["segmentation"]


def test_three_rows_keep_two_workers_busy_to_the_end() -> None:
    """Two trainings of three rows each: at a training's end the longest row begins, not a map."""
    assert makespan(rows(3), 2)[0] <= 1 + 36 + SECONDS["maps"]


def test_a_cluster_without_workers_begins_nothing() -> None:
    stage = Stage("attention", {}, label="attention")
    assert chosen([stage], [stage], chain_lengths([stage]), 0, 0) == []


def test_the_first_rows_of_a_long_table_are_finished_long_before_its_end() -> None:
    time, finished = makespan(rows(20), 2)
    assert time < 260
    assert finished.index("0 score") < 30
    ends = [label for label in finished if label.endswith("score")]
    assert sorted(ends, key=lambda label: int(label.split()[0])) == ends
