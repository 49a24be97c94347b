"""Runs with several numbers of jobs: what is measured, and how it hangs together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch

from benchmark import bench
from benchmark.bench import scaling as bench_scaling
from benchmark.bench import steps
from benchmark.bench.scaling import Scaling, scaled
from benchmark.progress import SilentProgress
from benchmark.store import Stage, Store


def stages() -> list[Stage]:
    root = Stage("scenes", {})
    return [Stage("maps", {"seed": seed}, {"scenes": root}) for seed in range(3)]


def test_efficiency_is_the_share_of_the_jobs_time_that_was_work() -> None:
    found = Scaling(4, stages=9, wall_seconds=10.0, stage_seconds=30.0, alone_seconds=32.0)
    assert found.efficiency == 30 / (10 * 4)
    assert found.speed_up == 3.2
    assert found.shown() == {
        "scaling": "9 stages, 4 jobs",
        "wall": "10.0 s",
        "stages": "30.0 s",
        "efficiency": "0.75",
        "speed-up": "3.20",
    }
    assert found.to_json()["efficiency"] == found.efficiency


def test_each_run_has_an_empty_store_and_one_thread_and_its_records_are_summed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[tuple[int, int]] = []
    folders: list[Any] = []

    class Done:
        seconds = 2.5

    def execute(
        targets: Sequence[Stage], store: Store, *_: object, jobs: int, **__: object
    ) -> Mapping[str, Done]:
        assert not (store.root / "stages").exists()
        folders.append(store.root)
        runs.append((jobs, torch.get_num_threads()))
        return {str(number): Done() for number in range(4)}

    clock = itertools.accumulate([0, 12.0, 0, 6.5])
    monkeypatch.setattr(bench_scaling.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(bench_scaling, "execute", execute)
    threads = torch.get_num_threads()
    one, two = scaled(stages(), [1, 2])
    assert torch.get_num_threads() == threads
    assert runs == [(1, 1), (2, 1)]
    assert folders[0] != folders[1]
    assert not any(folder.exists() for folder in folders)
    assert (one.stages, one.wall_seconds, one.stage_seconds, one.speed_up) == (4, 12, 10, 1)
    assert (two.wall_seconds, two.alone_seconds, two.efficiency) == (6.5, 12, 10 / 13)


def test_real_stages_of_one_job_take_less_than_the_wall() -> None:
    (found,) = scaled([Stage("scenes", TINY_SCENES, label="scenes")], [1])
    assert found.speed_up == 1
    assert 0 < found.efficiency <= 1


TINY_SCENES = {
    "version": 1,
    "options": {"seed": 0, "train_images": 2, "val_images": 2, "size": 48, "co_occurrence": 0.8},
}


@pytest.mark.parametrize(
    ("cores", "jobs"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_jobs_double_up_to_the_cores(cores: int, jobs: list[int]) -> None:
    assert bench_scaling._up_to(cores) == jobs


def test_the_small_plan_has_every_method_and_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_scaling, "scaled", lambda targets, jobs: (targets, jobs))
    targets, jobs = bench_scaling.scaling([1])  # type: ignore[misc]
    assert jobs == [1]
    order = bench_scaling.with_inputs(targets)  # type: ignore[arg-type]
    trainings = [stage for stage in order if stage.name == "attention"]
    assert len(trainings) >= 11
    assert {stage.config["recipe"]["iterations"] for stage in trainings} == {20}  # type: ignore[index,call-overload]
    assert not [stage for stage in order if stage.name == "segmentation"]


def test_groups_are_measured_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Scaling(1, 1, 1.0, 1.0, 1.0)
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(bench_scaling, "scaling", lambda: [found])
    monkeypatch.setattr(steps, "steps", lambda *asking: asked.append(asking) or [found])
    measured = bench.run_benchmarks(["scaling", "steps"], SilentProgress(), "paper", ("cam",))
    assert measured == [[found], [found]]
    assert asked == [("paper", ("cam",))]
