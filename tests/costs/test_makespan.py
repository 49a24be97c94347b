"""Schedules of small graphs, worked out by hand."""

from __future__ import annotations

import pytest

from benchmark.costs.makespan import longest_chain, makespan
from benchmark.store import Stage


class Graph:
    """Stages by name, each with its seconds, in the order in which they were added."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self.seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float, *inputs: str) -> None:
        self.stages[name] = Stage(name, {}, {role: self.stages[role] for role in inputs})
        self.seconds[self.stages[name].key] = seconds

    def spans(self, *devices: int) -> list[float]:
        return [makespan(list(self.stages.values()), self.seconds, number) for number in devices]

    def chain(self) -> float:
        return longest_chain(list(self.stages.values()), self.seconds)


def test_a_chain_is_as_long_on_any_number_of_devices() -> None:
    graph = Graph()
    graph.add("a", 3)
    graph.add("b", 4, "a")
    graph.add("c", 5, "b")
    assert graph.spans(1, 2, 64) == [12, 12, 12]
    assert graph.chain() == 12


def test_a_fork_is_as_wide_as_its_branches() -> None:
    graph = Graph()
    graph.add("root", 2)
    for name, seconds in (("x", 6), ("y", 5), ("z", 1)):
        graph.add(name, seconds, "root")
    # one: 2 + 12; two: x until 8, y until 7, then z until 8; three and more: until x is done
    assert graph.spans(1, 2, 3, 8) == [14, 8, 8, 8]
    assert graph.chain() == 8


def test_a_diamond_joins_when_its_slower_side_is_done() -> None:
    graph = Graph()
    graph.add("top", 1)
    graph.add("left", 10, "top")
    graph.add("right", 4, "top")
    graph.add("bottom", 2, "left", "right")
    assert graph.spans(1, 2) == [17, 13]
    assert graph.chain() == 13


def test_stages_with_equally_long_ways_to_go_are_begun_in_plan_order() -> None:
    graph = Graph()
    for name, seconds in (("a", 1), ("b", 1), ("c", 10)):
        graph.add(name, seconds)
    # a and b from 0 to 1, c from 1 to 11; the best schedule would take 10
    assert graph.spans(2) == [11]


def test_the_stage_with_most_stages_behind_it_is_begun_first() -> None:
    graph = Graph()
    graph.add("x", 4)
    graph.add("y", 4)
    graph.add("a", 1)
    graph.add("b", 1, "a")
    graph.add("c", 4, "b")
    # a beside x; b at 1; y (before c in the plan) from 2 to 6; c when x is done, from 4 to 8
    assert graph.spans(2) == [8]


def test_a_device_does_not_wait_for_the_stage_that_is_next_in_the_plan() -> None:
    graph = Graph()
    graph.add("slow", 5)
    graph.add("after", 3, "slow")
    graph.add("other", 4)
    # slow 0 to 5 beside other 0 to 4, then after from 5 to 8
    assert graph.spans(2) == [8]


def test_stages_that_end_together_free_their_devices_together() -> None:
    graph = Graph()
    graph.add("a", 2)
    graph.add("b", 2)
    graph.add("both", 3, "a", "b")
    graph.add("next", 1, "b")
    assert graph.spans(2) == [5]


def test_no_schedule_beats_the_chain_or_the_devices_share_and_none_is_twice_as_long() -> None:
    """Graham (1969): a list schedule ends within 2 - 1/m of the optimum, so of these bounds."""
    graph = Graph()
    for number in range(20):
        needed = [f"s{number - 4}", f"s{number - 7}"] if number >= 7 else []
        graph.add(f"s{number}", 1 + (7 * number) % 11, *needed)
    total = sum(graph.seconds.values())
    assert graph.spans(1) == [total]
    for devices in (2, 3, 5, 8):
        (span,) = graph.spans(devices)
        assert max(graph.chain(), total / devices) <= span
        assert span <= total / devices + graph.chain() * (1 - 1 / devices)
    assert graph.spans(20) == [graph.chain()]


def test_inputs_that_are_finished_already_are_waited_for_by_nobody() -> None:
    graph = Graph()
    graph.add("kept", 100)
    graph.add("new", 3, "kept")
    assert makespan([graph.stages["new"]], graph.seconds, 4) == 3
    assert longest_chain([graph.stages["new"]], graph.seconds) == 3


def test_no_stages_take_no_time_and_no_devices_are_refused() -> None:
    assert makespan([], {}, 3) == 0
    assert longest_chain([], {}) == 0
    with pytest.raises(ValueError, match="device"):
        makespan([], {}, 0)
