"""Trains attention networks and reads their class scores and maps."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.backbones import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.augment import training_crop, warped
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Method, TrainingRecipe
from benchmark.progress import Progress
from benchmark.seeding import derive

CHECKPOINT_SECONDS = 30.0

Losses = Callable[[nn.Module, Batch], dict[str, Tensor]]


@dataclass(frozen=True)
class LabelledImages:
    """Decoded images (uint8, any sizes) and their labels (N, C) bool."""

    images: Sequence[NDArray[np.uint8]]
    labels: NDArray[np.bool_]


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision() -> AbstractContextManager[Any]:
    """Return bfloat16 autocast on a GPU; on a CPU it would be slower than float32."""
    if torch.cuda.is_available():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def to_tensor(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack (H, W, 3) images of one size to a normalised (B, 3, H, W) tensor on the device."""
    batch = torch.from_numpy(np.stack(images)).to(device())
    mean = torch.tensor(IMAGENET_MEAN, device=batch.device) * 255
    std = torch.tensor(IMAGENET_STD, device=batch.device) * 255
    return ((batch.float() - mean) / std).permute(0, 3, 1, 2).contiguous()


class Trainer:
    """The default training loop: SGD with drops; can be killed, and goes on where it was."""

    def __init__(
        self,
        data: LabelledImages,
        recipe: TrainingRecipe,
        *,
        seed: int,
        scratch: Path,
        progress: Progress,
        label: str,
    ) -> None:
        self.data = data
        self.recipe = recipe
        self.seed = seed
        self.checkpoint = scratch / "attention.pt"
        self.progress = progress
        self.label = label
        self._order_of: tuple[int, NDArray[np.int64]] | None = None

    def run(self, network: nn.Module, losses: Losses) -> None:
        """Train ``network`` in place; BenchmarkError where the loss is not finite."""
        optimiser = build_optimiser(network, self.recipe)
        start = self._resume(network, optimiser)
        network.train()
        saved = time.monotonic()
        with self.progress.task(self.label, self.recipe.iterations, start) as task:
            for step, batch in self.batches(start):
                loss = self._step(network, losses, optimiser, step, batch)
                task.advance(1, f"loss {loss:.3f}")
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._save(network, optimiser, step + 1)
                    saved = time.monotonic()

    def _step(
        self,
        network: nn.Module,
        losses: Losses,
        optimiser: torch.optim.Optimizer,
        step: int,
        batch: Batch,
    ) -> float:
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * learning_rate(self.recipe, step)
        with mixed_precision():
            loss = torch.stack(list(losses(network, batch).values())).sum()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise BenchmarkError(
                f"the loss is {value} at step {step + 1}: lower the profile's learning rate"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), self.recipe.clip)
        optimiser.step()
        return value

    def batches(self, start: int) -> Iterator[tuple[int, Batch]]:
        """Yield (step, batch) from ``start`` on; a batch depends on the seed and its step alone."""
        for step in range(start, self.recipe.iterations):
            first = step * self.recipe.batch_size
            draws = [self._draw(first + index) for index in range(self.recipe.batch_size)]
            labels = torch.from_numpy(np.stack([label for _, label in draws])).float()
            yield step, Batch(to_tensor([view for view, _ in draws]), labels.to(device()))

    def _draw(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        epoch, position = divmod(number, len(self.data.images))
        index = self._order(epoch)[position]
        view = training_crop(
            self.data.images[index],
            np.random.default_rng(derive("view", self.seed, number)),
            shorter_side=self.recipe.shorter_side,
            crop=self.recipe.crop,
            flip=self.recipe.flip,
            colour=self.recipe.colour,
        )
        return view, self.data.labels[index]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._order_of is None or self._order_of[0] != epoch:
            rng = np.random.default_rng(derive("order", self.seed, epoch))
            self._order_of = (epoch, rng.permutation(len(self.data.images)))
        return self._order_of[1]

    def _save(self, network: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "random": torch.get_rng_state(),
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.checkpoint)

    def _resume(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        if not self.checkpoint.exists():
            return 0
        state = torch.load(self.checkpoint, map_location=device(), weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"].cpu())
        return int(state["step"])


def build_optimiser(network: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Return SGD with momentum, or AdamW where a profile's slim networks need it."""
    groups = parameter_groups(network, recipe)
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, recipe.learning_rate)
    return torch.optim.SGD(
        groups, recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov
    )


def learning_rate(recipe: TrainingRecipe, step: int) -> float:
    """Return the rate of ``step`` (0-based): linear warm-up, then divided by 10 at each drop."""
    drops = sum(step >= round(fraction * recipe.iterations) for fraction in recipe.drops)
    growth = min(1.0, (step + 1) / (recipe.warm_up + 1))
    return float(recipe.learning_rate * growth * 0.1**drops)


def parameter_groups(network: nn.Module, recipe: TrainingRecipe) -> list[dict[str, Any]]:
    """Return groups {params, rate, weight_decay}: backbone or head, weights or biases."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        bias = name.endswith("bias")
        rate = 1.0 if name.startswith("backbone.") else recipe.head_rate
        rate *= recipe.bias_rate if bias else 1.0
        groups.setdefault((rate, 0.0 if bias else recipe.weight_decay), []).append(parameter)
    return [
        {"params": parameters, "rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


@torch.inference_mode()
def class_scores(
    method: Method, network: Any, images: Sequence[NDArray[np.uint8]], size: int, batch: int
) -> NDArray[np.float32]:
    """Return logits (N, C) of the classifier on whole images warped to ``size``."""
    network.eval()
    rows = []
    for start in range(0, len(images), batch):
        views = [warped(image, size) for image in images[start : start + batch]]
        with mixed_precision():
            rows.append(method.class_scores(network, to_tensor(views)).float().cpu().numpy())
    return np.concatenate(rows)


@torch.inference_mode()
def attention_maps(
    method: Method,
    network: nn.Module,
    images: Sequence[NDArray[np.uint8]],
    labels: NDArray[np.bool_],
    size: int,
) -> NDArray[np.float32]:
    """Return maps (B, C, h, w): the maximum over the image and its mirror image.

    SeeNet Sec. 3.3. Absent classes are 0; values lie in [0, 1].
    """
    network.eval()
    views = to_tensor([warped(image, size) for image in images])
    present = torch.from_numpy(labels).float().to(views.device)
    with mixed_precision():
        maps = method.attention(network, views, present)
        mirrored = method.attention(network, views.flip(3), present).flip(3)
    return torch.maximum(maps, mirrored).float().cpu().numpy()
