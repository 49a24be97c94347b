"""The benchmarks: sides in turns, medians, and answers that must agree. No speed is asserted."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from benchmark import bench, metrics
from benchmark.bench import compared
from benchmark.errors import BenchmarkError
from benchmark.progress import SilentProgress


def test_the_sides_take_turns_and_the_median_of_the_counted_rounds_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    # the uncounted round reads the clock at the two beginnings; then ours 1, 9, 3, theirs 2, 4, 6
    steps = [0, 0, 0, 1, 0, 2, 0, 9, 0, 4, 0, 3, 0, 6]
    clock = itertools.accumulate(steps)
    monkeypatch.setattr(compared.time, "perf_counter", lambda: float(next(clock)))

    def side(name: str) -> Callable[[], None]:
        return lambda: calls.append(name)

    assert compared._in_turns(side("ours"), side("theirs"), rounds=3) == (3.0, 4.0)
    assert calls == ["ours", "theirs"] * 4


def test_a_figure_says_how_many_times_ours_is_as_fast() -> None:
    figure = compared.Figure("scoring", "masks/s", 300.0, 20.0, "the plain way")
    assert figure.ratio == 15.0
    assert figure.shown() == {
        "what": "scoring",
        "ours": "300 masks/s",
        "beside": "20 masks/s",
        "ratio": "15.0",
        "of": "the plain way",
    }


def test_scoring_agrees_with_mmsegmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compared, "ROUNDS", 1)
    (figure,) = compared.scoring(masks=2)
    assert figure.ours > 0
    assert figure.reference > 0


def test_a_scorer_that_disagrees_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
        return np.zeros((classes, classes + 1), np.int64)

    monkeypatch.setattr(metrics, "confusion_counts", wrong)
    with pytest.raises(AssertionError, match="disagree"):
        compared.scoring(masks=2)


def test_loading_is_measured_in_a_process_that_has_imported_nothing() -> None:
    program = "from benchmark.bench.compared import loading; loading(images=1, epochs=1)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_every_group_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compared, "SIZE", (24, 32))
    figures = [*compared.crf(images=2), *compared.loading(images=2, epochs=1)]
    assert [figure.unit for figure in figures] == ["images/s", "images/s", "views/s"]
    assert all(figure.ours > 0 and figure.reference > 0 for figure in figures)


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="scoring"):
        bench.run_benchmarks(["scorin"], SilentProgress())
