"""What happens around each training iteration."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from benchmark.feeding import LossReader
from benchmark.progress import Task
from benchmark.seeding import derive
from benchmark.weights import load_backbone, load_state_dict


@HOOKS.register_module()
class SeedEachIteration(Hook):
    """Draws each iteration's random numbers (dropout) from (seed, iteration) alone.

    So a resumed training repeats an unbroken one without any generator's state being kept.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Seed torch for the iteration that begins."""
        torch.manual_seed(derive("iteration", self.seed, runner.iter))


@HOOKS.register_module()
class AtomicCheckpoint(Hook):
    """Keeps one checkpoint, the last, replaced only by one that is wholly on the disk.

    Args:
        interval: Iterations from one checkpoint to the next.
    """

    priority = "VERY_LOW"  # after the schedulers' step, which belongs to the checkpoint
    FILE = "checkpoint.pth"

    def __init__(self, interval: int) -> None:
        self.interval = interval

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint after every ``interval`` iterations."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        folder = Path(runner.work_dir)
        runner.save_checkpoint(str(folder), "unfinished.pth", by_epoch=False)
        with (folder / "unfinished.pth").open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(folder / "unfinished.pth", folder / self.FILE)


class StartFrom(Hook):
    """Loads a whole network's weights before the first iteration; a resumed training has its own.

    Args:
        weights: A state dict in the network's key layout.
    """

    def __init__(self, weights: Path) -> None:
        self.weights = weights

    def before_train(self, runner: Runner) -> None:
        """Load the weights, once what MMEngine loads itself is in place."""
        if runner.iter == 0:
            load_backbone(runner.model, load_state_dict(self.weights), str(self.weights))


class WatchLoss(Hook):
    """Tells the progress of each loss, and stops at the first that is not finite.

    Args:
        begin: Opens the progress's task, given the iterations done before.
        interval: Iterations from one checkpoint to the next; before one all losses are read.
    """

    def __init__(self, begin: Callable[[int], Task], interval: int) -> None:
        self.begin = begin
        self.interval = interval
        self.resumed_at = 0
        self.reader = LossReader(mend="lower the config's learning rate")

    def before_train(self, runner: Runner) -> None:
        """Open the task, once it is known where a resumed training goes on."""
        self.resumed_at = runner.iter
        self.task = self.begin(runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Take the loss of the iteration that ended."""
        self.reader.take(runner.iter, (outputs or {})["loss"])
        if self.every_n_train_iters(runner, self.interval):
            self.reader.read_rest()
        self.task.advance(1, note=self.reader.note)

    def after_train(self, runner: Runner) -> None:
        """Read the last losses."""
        self.reader.read_rest()
