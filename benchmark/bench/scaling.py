"""The same small plan with 1, 2, 4... jobs: wall time, and how much of it was work."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.executor import execute, with_inputs
from benchmark.plan import make_plan
from benchmark.profiles import Profile, load_profile
from benchmark.progress import SilentProgress
from benchmark.stages import STAGES
from benchmark.store import Stage, Store
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

TABLE = "methods"
"""Many trainings that do not wait for one another, and no segmentation."""
ITERATIONS = 20


@dataclass(frozen=True)
class Scaling:
    """One run of the plan into an empty store."""

    jobs: int
    stages: int
    wall_seconds: float
    stage_seconds: float
    """The sum of the stages' own times."""
    alone_seconds: float
    """The wall time of the same plan with one job."""

    @property
    def efficiency(self) -> float:
        """The share of the jobs' time in which they made stages."""
        return self.stage_seconds / (self.wall_seconds * self.jobs)

    @property
    def speed_up(self) -> float:
        """How many times as fast as one job."""
        return self.alone_seconds / self.wall_seconds

    def shown(self) -> dict[str, str]:
        """Return the run in words, by column."""
        return {
            "scaling": f"{self.stages} stages, {self.jobs} job{'s' if self.jobs > 1 else ''}",
            "wall": f"{self.wall_seconds:.1f} s",
            "stages": f"{self.stage_seconds:.1f} s",
            "efficiency": f"{self.efficiency:.2f}",
            "speed-up": f"{self.speed_up:.2f}",
        }

    def to_json(self) -> dict[str, Any]:
        """Return the run for machines."""
        return {
            "group": "scaling",
            **dataclasses.asdict(self),
            "efficiency": self.efficiency,
            "speed_up": self.speed_up,
        }


def scaling(jobs: Sequence[int] | None = None) -> list[Scaling]:
    """Make every method's labels, trained for moments, with each number of jobs.

    ``jobs``: by default 1, 2, 4... up to the number of cores. Each job computes with one thread,
    the one that works alone too. The start of worker processes is part of their wall time.
    """
    plan = make_plan(load_table(TABLE), _shortened(load_profile("scenes")), UserFiles(), (0,))
    return scaled(plan.targets, jobs or _up_to(len(os.sched_getaffinity(0))))


def scaled(targets: Sequence[Stage], jobs: Sequence[int]) -> list[Scaling]:
    """Make the stages in an empty store for each number of jobs, the first of which is 1."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runs = [_run(targets, number) for number in jobs]
    finally:
        torch.set_num_threads(threads)
    alone = runs[0][0]
    stages = len(with_inputs(targets))
    return [
        Scaling(number, stages, wall, work, alone)
        for number, (wall, work) in zip(jobs, runs, strict=True)
    ]


def _run(targets: Sequence[Stage], jobs: int) -> tuple[float, float]:
    """Return the seconds by the clock and those of all stages."""
    with tempfile.TemporaryDirectory(prefix="wsss_bench_") as folder:
        begun = time.perf_counter()
        records = execute(
            targets,
            Store(Path(folder) / "store"),
            STAGES,
            SilentProgress(),
            jobs=jobs,
            announce=lambda line: None,
        )
        wall = time.perf_counter() - begun
    return wall, sum(record.seconds for record in records.values())


def _up_to(cores: int) -> list[int]:
    """Return 1, 2, 4... and ``cores``."""
    powers = [2**power for power in range(cores.bit_length()) if 2**power < cores]
    return [*powers, cores]


def _shortened(profile: Profile) -> Profile:
    """Return the profile with few images and a few training steps."""
    recipe, saliency = profile.attention.recipe, profile.saliency.recipe
    data = {**profile.data.options, "train_images": 48, "val_images": 24}  # type: ignore[union-attr]
    changed = {
        "data": profile.data.model_copy(update={"options": data}),
        "attention": profile.attention.model_copy(
            update={"recipe": {**recipe, "iterations": ITERATIONS}}
        ),
        "refinement": {**profile.refinement, "iterations": ITERATIONS},
        "saliency": profile.saliency.model_copy(
            update={"recipe": {**saliency, "images": 64, "iterations": ITERATIONS}}
        ),
    }
    return profile.model_copy(update=changed)
