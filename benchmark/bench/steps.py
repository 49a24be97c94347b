"""Training steps of every method, fed by the real loader and from a batch that stays in memory."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from benchmark.attention import Trainer
from benchmark.backbones import build_backbone
from benchmark.costs.flops import VOC_IMAGE, training_step_flops
from benchmark.costs.without_files import GraphWithoutFiles
from benchmark.device import device
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Head, LabelledImages, Method, TrainingRecipe
from benchmark.profiles import GeneratedScenes, Profile, VocFolder, load_profile
from benchmark.progress import SilentProgress, duration
from benchmark.registry import build_method, near_name, parse_options
from benchmark.seeding import derive
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

TABLE = "methods"
"""Has every method in a row."""
CLASSES = 20


@dataclass(frozen=True)
class StepTimes:
    """A method's training step: with several trainings one step of each, summed.

    ``operations``: floating-point ones of a mean step (``benchmark.costs.flops``). ``iterations``:
    of the profile's schedule, or where it follows the papers, of the method's.
    """

    method: str
    device: str
    batch_size: int
    loader_seconds: float
    resident_seconds: float
    operations: float
    iterations: int

    @property
    def training_seconds(self) -> float:
        """The whole schedule at the speed of the loader's steps."""
        return self.iterations * self.loader_seconds

    @property
    def ratio(self) -> float:
        """The loader's steps in a second over those of the resident batch; 1: loading is free."""
        return self.resident_seconds / self.loader_seconds

    @property
    def tflops(self) -> float:
        """10^12 floating-point operations a second that the real step sustains."""
        return self.operations / self.loader_seconds / 1e12

    def shown(self) -> dict[str, str]:
        """Return the times in words, by column."""
        return {
            "training step of": f"{self.method}, batch {self.batch_size}, {self.device}",
            "from the loader": f"{self.loader_seconds:.3g} s",
            "from a resident batch": f"{self.resident_seconds:.3g} s",
            "ratio": f"{self.ratio:.2f}",
            "TFLOP/s": f"{self.tflops:.3g}",
            "whole training": f"{self.iterations} steps: {duration(self.training_seconds)}",
        }

    def to_json(self) -> dict[str, Any]:
        """Return the times for machines."""
        return {
            "group": "steps",
            **dataclasses.asdict(self),
            "ratio": self.ratio,
            "tflops": self.tflops,
            "training_seconds": self.training_seconds,
        }


def steps(
    profile: str = "scenes",
    rows: Sequence[str] = (),
    *,
    block: int | None = None,
    rounds: int = 3,
) -> list[StepTimes]:
    """Time a step of every method under a profile, or of some ``rows`` of the methods' table.

    Images are noise of the data set's size and weights are random: neither changes what a step
    costs. Blocks of ``block`` steps take turns; one uncounted, then ``rounds`` of each kind, of
    which the median counts. On a GPU blocks are long: the images of two steps are drawn ahead, and
    a short block would live on those. BenchmarkError for a row that the table has not, and for a
    profile whose images are the user's, of any size.
    """
    block = block or (4 if device().type == "cpu" else 40)
    scale = load_profile(profile)
    if isinstance(scale.data, VocFolder) and scale.data.name is None:
        raise BenchmarkError(f"profile {profile} has no images of its own: choose scenes or paper")
    graph = GraphWithoutFiles(scale, UserFiles())
    found = {row.id: row for row in load_table(TABLE).rows}
    for name in rows:
        if name not in found:
            raise BenchmarkError(near_name(f"row of table {TABLE}", name, found))
    return [
        _measured(name, graph.attention(row, 0).config, _image_size(scale), block, rounds)
        for name, row in found.items()
        if not rows or name in rows
    ]


def _measured(
    name: str, config: Mapping[str, Any], size: tuple[int, int], block: int, rounds: int
) -> StepTimes:
    method, network = untrained(config)
    recipe: TrainingRecipe = parse_options("recipe", TrainingRecipe, config["recipe"])
    with tempfile.TemporaryDirectory(prefix="wsss_bench_") as scratch:
        trainer = _TimedTrainer(
            noise(2 * recipe.batch_size, size, method),
            dataclasses.replace(recipe, iterations=block * (rounds + 1)),
            seed=0,
            scratch=Path(scratch),
            progress=SilentProgress(),
            label=name,
        )
        trainer.block = block
        method.fit(network, trainer)
    return StepTimes(
        method=name,
        device=_device_name(),
        batch_size=recipe.batch_size,
        loader_seconds=trainer.loader_seconds,
        resident_seconds=trainer.resident_seconds,
        operations=training_step_flops(config),
        iterations=recipe.iterations,
    )


def untrained(config: Mapping[str, Any]) -> tuple[Method, nn.Module]:
    """Return the method of an attention stage's config and its network with random weights."""
    method = build_method(config["method"], config["options"])
    described = config["backbone"]
    backbone = build_backbone(described["architecture"], **described["options"])
    network: nn.Module = method.network(backbone, CLASSES, Head(**described["head"]))
    return method, network.to(device())


class _TimedTrainer(Trainer):
    """Feeds its trainings from the loader and from one batch, in turns, and times both."""

    block = 1
    loader_seconds = 0.0
    resident_seconds = 0.0

    def batches(self, start: int, source: Any = None) -> Iterator[tuple[int, Batch]]:
        """Yield every block of steps twice: as it is loaded, then with the first batch alone.

        The caller's step lies between a yield and the return from it, and so within the times.
        """
        loaded = super().batches(start, source)
        resident: Batch | None = None
        taken: tuple[list[float], list[float]] = ([], [])
        for first in range(start, self.recipe.iterations, self.block):
            begun = _now()
            for _ in range(self.block):
                step, batch = next(loaded)
                resident = resident or batch
                yield step, batch
            loading, begun = _now() - begun, _now()
            assert resident is not None
            for step in range(first, first + self.block):
                yield step, dataclasses.replace(resident, step=step)
            staying = _now() - begun
            if first > start:
                taken[0].append(loading / self.block)
                taken[1].append(staying / self.block)
        self.loader_seconds += statistics.median(taken[0])
        self.resident_seconds += statistics.median(taken[1])


def _now() -> float:
    """Return the time when all that was asked of the device is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def noise(number: int, size: tuple[int, int], method: Method) -> LabelledImages:
    """Return random images of one or two random classes, with saliency where it is looked at."""
    rng = np.random.default_rng(derive("bench", "steps"))
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(number)]
    labels = np.zeros((number, CLASSES), bool)
    for row in labels:
        row[rng.integers(0, CLASSES, 2)] = True
    if not method.needs_saliency:
        return LabelledImages(images, labels)
    planes = [rng.integers(0, 256, size, dtype=np.uint8) for _ in range(number)]
    return LabelledImages(images, labels, planes)


def _image_size(profile: Profile) -> tuple[int, int]:
    if not isinstance(profile.data, GeneratedScenes):
        return VOC_IMAGE
    side = int(profile.data.options.get("size", 96))
    return side, side


def _device_name() -> str:
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    count = torch.get_num_threads()
    return f"CPU, {count} thread{'s' if count > 1 else ''}"
