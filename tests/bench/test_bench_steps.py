"""Training steps timed in blocks that take turns; no speed is asserted."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.bench import steps as bench_steps
from benchmark.bench.steps import StepTimes, _TimedTrainer, steps
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress

TIMES = StepTimes(
    "cam", "CPU", 16, loader_seconds=0.5, resident_seconds=0.45, operations=1e12, iterations=25_000
)


def test_the_ratio_is_what_is_left_of_the_speed_and_the_rest_is_of_the_real_step() -> None:
    assert TIMES.ratio == pytest.approx(0.9)
    assert TIMES.tflops == 2.0
    assert TIMES.shown()["ratio"] == "0.90"
    assert TIMES.shown()["whole training"] == "25000 steps: 3 h 28 min"
    found = TIMES.to_json()
    assert (found["group"], found["ratio"], found["tflops"]) == ("steps", TIMES.ratio, 2.0)


class Loop:
    """A training of one weight that notes what it sees."""

    def __init__(self, scratch: Path) -> None:
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(6)]
        self.seen: list[Batch] = []
        self.trainer = _TimedTrainer(
            LabelledImages(images, np.ones((6, 2), bool)),
            TrainingRecipe(iterations=6, batch_size=2, side=(32, 40), crop=32),
            seed=0,
            scratch=scratch,
            progress=SilentProgress(),
            label="loop",
        )
        self.trainer.block = 2

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        self.seen.append(batch)
        return {"loss": network(batch.images.mean(dim=(1, 2, 3))[:, None]).sum()}


def test_blocks_take_turns_and_see_the_same_steps(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.trainer.run(nn.Linear(1, 1), loop.losses)
    assert [batch.step for batch in loop.seen] == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5]
    first = loop.seen[0].images
    resident = [loop.seen[place].images for place in (2, 3, 6, 7, 10, 11)]
    assert all(images is first for images in resident)
    loaded = [loop.seen[place].images for place in (1, 4, 5, 8, 9)]
    assert not any(torch.equal(images, first) for images in loaded)


def test_the_first_blocks_are_not_counted_and_of_the_others_the_median(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # begin, loaded, begin, done of three blocks of two steps each; the first takes ages
    times = [100, 50, 0, 70, 0, 4, 0, 2, 0, 8, 0, 6]
    clock = itertools.accumulate(times)
    monkeypatch.setattr(bench_steps, "_now", lambda: float(next(clock)))
    loop = Loop(tmp_path)
    loop.trainer.run(nn.Linear(1, 1), loop.losses)
    assert loop.trainer.loader_seconds == (4 / 2 + 8 / 2) / 2
    assert loop.trainer.resident_seconds == (2 / 2 + 6 / 2) / 2


@pytest.mark.parametrize("row", ["cam", "sgan"])
def test_a_method_is_timed_with_all_its_trainings(
    row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SGAN trains two networks, and looks at saliency."""
    monkeypatch.setattr(bench_steps, "training_step_flops", lambda config: 1e9)
    (found,) = steps(rows=(row,), block=1, rounds=1)
    assert (found.method, found.batch_size) == (row, 16)
    assert found.loader_seconds > 0
    assert found.resident_seconds > 0


def test_a_row_that_the_table_has_not_is_one_line() -> None:
    with pytest.raises(BenchmarkError, match=r"row of table methods.*seenett.*seenet"):
        steps("scenes", ("seenett",))


def test_a_profile_without_images_of_its_own_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="light has no images of its own: choose scenes"):
        steps("light", ("cam",))
