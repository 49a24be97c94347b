"""In which order stages are begun."""

from __future__ import annotations

import heapq

import pytest

from benchmark.executor import with_inputs
from benchmark.order import chain_lengths, chosen
from benchmark.store import Stage


def rows(count: int, length: int = 3) -> list[Stage]:
    """Return the last stages of rows of ``length`` stages on one source: a0 < a1 < ... < a9."""
    source = Stage(name="source", config={}, label="source")
    ends = []
    for row in range(count):
        stage = source
        for step in range(length):
            stage = Stage(
                name=f"step{step}", config={"row": row}, inputs={"in": stage}, label=f"{row}.{step}"
            )
        ends.append(stage)
    return ends


def test_a_chain_counts_its_own_stage_and_the_longest_way_to_an_end() -> None:
    source = Stage(name="source", config={}, label="source")
    short = Stage(name="short", config={}, inputs={"a": source}, label="short")
    middle = Stage(name="middle", config={}, inputs={"a": source}, label="middle")
    end = Stage(name="end", config={}, inputs={"a": middle, "b": source}, label="end")
    lengths = chain_lengths(with_inputs([short, end]))
    assert lengths == {source.key: 3, short.key: 1, middle.key: 2, end.key: 1}


def makespan(ends: list[Stage], jobs: int) -> tuple[int, list[str]]:
    """Return how long it takes if every stage takes 1, and the labels in the order of their end."""
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
        for stage in chosen(ready, lengths, jobs - len(running), jobs):
            begun.add(stage.key)
            heapq.heappush(running, (now + 1, len(begun), stage))
        now = running[0][0]
        while running and running[0][0] == now:
            stage = heapq.heappop(running)[2]
            done.add(stage.key)
            finished.append(stage.label)
    return now, finished


@pytest.mark.parametrize(
    ("count", "jobs", "least"),
    [(1, 2, 4), (2, 2, 4), (3, 2, 6), (5, 2, 9), (4, 3, 5), (7, 4, 7)],
)
def test_rows_of_equal_stages_take_no_longer_than_they_must(
    count: int, jobs: int, least: int
) -> None:
    """1 for the source; then 3 stages a row, spread over the workers, or one chain's length."""
    assert least == 1 + max(3, -(-3 * count // jobs))
    assert makespan(rows(count), jobs)[0] == least


def test_the_first_rows_of_a_long_table_are_finished_long_before_its_end() -> None:
    time, finished = makespan(rows(20), 2)
    assert time == 31
    assert finished.index("0.2") < 12
    assert finished.index("4.2") < 24
    ends = [label for label in finished if label.endswith(".2")]
    assert sorted(ends, key=lambda label: int(label.split(".")[0])) == ends
