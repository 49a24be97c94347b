"""The cost of more images and classes; no speed is asserted."""

from __future__ import annotations

import itertools

import pytest

from benchmark import bench
from benchmark.bench import growth as bench_growth
from benchmark.bench.growth import Growth, growth
from benchmark.progress import SilentProgress


def test_growth_is_linear_where_each_costs_what_one_of_the_fewest_costs() -> None:
    found = Growth("images", 3000, seconds=33.0, least=0.01)
    assert found.each == 0.011
    assert found.shown() == {
        "growth": "images",
        "number": "3000",
        "time": "33 s",
        "each": "11 ms",
        "beside the fewest": "1.10",
    }
    assert found.to_json()["group"] == "growth"


def test_the_fewest_are_done_once_more_than_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.accumulate([0, 4, 0, 10])  # begin and end of two counted rounds
    monkeypatch.setattr(bench_growth.time, "perf_counter", lambda: float(next(clock)))
    done: list[int] = []
    two, four = bench_growth._grown("images", (2, 4), done.append)
    assert done == [2, 2, 4]
    assert (two.seconds, two.each, two.least) == (4.0, 2.0, 2.0)
    assert (four.seconds, four.each, four.least) == (10.0, 2.5, 2.0)


def test_images_and_classes_are_really_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, refined = [], []
    monkeypatch.setattr(bench_growth, "VOC_IMAGE", (20, 30))
    monkeypatch.setattr(bench_growth, "confusion_counts", lambda *pair: counted.append(pair))
    plain = bench_growth.crf_many

    def crf_many(jobs, options, workers):  # type: ignore[no-untyped-def]
        refined.append(int(jobs[0].present.sum()))
        return plain(jobs, options, workers)

    monkeypatch.setattr(bench_growth, "crf_many", crf_many)
    found = growth(numbers=(1, 2), present=(1, 3))
    assert [one.number for one in found] == [1, 2, 1, 3]
    assert len(counted) == 1 + 1 + 2
    assert refined == [2, 2, 4]
    assert all(one.seconds > 0 for one in found)


def test_it_is_a_group_of_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_growth, "growth", lambda: [Growth("images", 1, 1.0, 1.0)])
    assert bench.run_benchmarks(["growth"], SilentProgress()) == [[Growth("images", 1, 1.0, 1.0)]]
