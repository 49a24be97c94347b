"""Trains attention networks and reads their class scores and maps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.batches import (
    Look,
    ResidentSource,
    Source,
    draw,
    images_of_shape,
    stacked,
    whole_images,
    with_mirror_images,
)
from benchmark.data.augment import draw_colours, draw_view
from benchmark.data.resident import fits_on_device
from benchmark.device import device, mixed_precision
from benchmark.errors import BenchmarkError
from benchmark.feeding import LossReader, drawing_threads, made_ahead
from benchmark.method import Batch, InferenceRecipe, LabelledImages, Method, TrainingRecipe
from benchmark.progress import Progress
from benchmark.seeding import derive

CHECKPOINT_SECONDS = 30.0
POLY_POWER = 0.9

Losses = Callable[[nn.Module, Batch], dict[str, Tensor]]


class Trainer:
    """The default training loop: SGD with drops; can be killed, and goes on where it was.

    A method that trains several networks, or one several times, calls ``run`` once for each with
    a ``name`` of its own: what was finished before a kill is loaded, not trained again.
    ``recipe`` is the one in force, a profile's where it replaces the method's: its ``iterations``
    are what a loss that grows over the training has to know.
    """

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
        self.scratch = scratch
        self.progress = progress
        self.label = label
        self._order_of: tuple[int, NDArray[np.int64]] | None = None

    def run(
        self,
        network: nn.Module,
        losses: Losses,
        *,
        name: str = "attention",
        images: Sequence[NDArray[np.uint8]] | None = None,
        seeds: Sequence[NDArray[np.int16]] | None = None,
    ) -> None:
        """Train ``network`` in place; BenchmarkError where the loss is not finite.

        ``images`` take the place of the training images; ``seeds`` (H, W), class indices or -1,
        are cut like the images and given to the losses.
        """
        source = Source(images or self.data.images, self.data.labels, self.data.saliency, seeds)
        checkpoint = self.scratch / f"{name}.pt"
        optimiser = build_optimiser(network, self.recipe)
        start = resume(checkpoint, network, optimiser)
        network.train()
        if self.recipe.compile:
            compile_backbones(network)
        reader = LossReader()
        saved = time.monotonic()
        label = self.label if name == "attention" else f"{self.label}: {name}"
        with self.progress.task(label, self.recipe.iterations, start) as task:
            for step, batch in self.batches(start, source):
                self._step(network, losses, optimiser, step, batch, reader)
                task.advance(1, reader.note)
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    reader.read_rest()
                    save(checkpoint, network, optimiser, step + 1)
                    saved = time.monotonic()
            reader.read_rest()
        save(checkpoint, network, optimiser, self.recipe.iterations)

    def whole_images(self, batch: int = 32) -> Iterator[tuple[range, Batch]]:
        """Yield (places, batch) over all training images, warped to the test size, in order."""
        for start in range(0, len(self.data.images), batch):
            stop = min(start + batch, len(self.data.images))
            yield (
                range(start, stop),
                whole_images(self.data.part(start, stop), self.recipe.test_size),
            )

    def _step(
        self,
        network: nn.Module,
        losses: Losses,
        optimiser: torch.optim.Optimizer,
        step: int,
        batch: Batch,
        reader: LossReader,
    ) -> None:
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * learning_rate(self.recipe, step)
        with mixed_precision(self.recipe.precision):
            loss = torch.stack(list(losses(network, batch).values())).sum()
        reader.take(step, loss)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), self.recipe.clip)
        optimiser.step()

    def batches(self, start: int, source: Source | None = None) -> Iterator[tuple[int, Batch]]:
        """Yield (step, batch) from ``start`` on; a batch depends on the seed and its step alone.

        Where a GPU has room for the images they stay there and are cut there; else threads cut
        them on the host, ahead of the steps.
        """
        source = source or Source(self.data.images, self.data.labels, self.data.saliency, None)
        size = self.recipe.batch_size
        numbers = range(start * size, self.recipe.iterations * size)
        # Those of ``source`` may be made as they are looked at, and are as large.
        images = self.data.images
        if fits_on_device([*images, *(source.saliency or ()), *(source.seeds or ())]):
            resident = ResidentSource(source, [image.shape[:2] for image in images])
            looks = (self._look(number) for number in numbers)
            for step in range(start, self.recipe.iterations):
                yield step, resident.batch(list(islice(looks, size)), step)
            return
        drawn = made_ahead(
            lambda number: draw(self._look(number), source),
            numbers,
            threads=drawing_threads(),
            ahead=2 * size,
        )
        for step in range(start, self.recipe.iterations):
            yield step, stacked(list(islice(drawn, size)), step)

    def _look(self, number: int) -> Look:
        epoch, position = divmod(number, len(self.data.images))
        index = int(self._order(epoch)[position])
        rng = np.random.default_rng(derive("view", self.seed, number))
        recipe, shape = self.recipe, self.data.images[index].shape
        view = draw_view(
            shape, rng, kind=recipe.view, side=recipe.side, crop=recipe.crop, flip=recipe.flip
        )
        return Look(index, view, draw_colours(rng, recipe.colour))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        kept = self._order_of  # read once: another thread may be in another epoch
        if kept is None or kept[0] != epoch:
            rng = np.random.default_rng(derive("order", self.seed, epoch))
            kept = self._order_of = (epoch, rng.permutation(len(self.data.images)))
        return kept[1]


def compile_backbones(network: nn.Module) -> None:
    """Have ``torch.compile`` make the backbones' forward and backward, from their next call on."""
    for name, module in network.named_modules():
        if name.rpartition(".")[2] == "backbone":
            module.compile()
            backbone: Any = module
            backbone.levels = torch.compile(backbone.levels)


def save(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Keep everything that the steps from ``step`` on depend on."""
    state = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "random": torch.get_rng_state(),
        "device_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def resume(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Load what ``save`` kept, if anything; return the step to go on from."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device(), weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["random"].cpu())
    if torch.cuda.is_available():
        # Of a training that goes on where there are fewer devices, the first ones' states.
        kept = state["device_random"][: torch.cuda.device_count()]
        torch.cuda.set_rng_state_all([one.cpu() for one in kept])
    return int(state["step"])


def build_optimiser(network: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Return SGD with momentum, or AdamW where a profile's slim networks need it."""
    groups = parameter_groups(network, recipe)
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, recipe.learning_rate, fused=True)
    return torch.optim.SGD(
        groups, recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov
    )


def learning_rate(recipe: TrainingRecipe, step: int) -> float:
    """Return the rate of ``step`` (0-based): linear warm-up, then as the schedule says."""
    rate = recipe.learning_rate * min(1.0, (step + 1) / (recipe.warm_up + 1))
    if recipe.schedule == "poly":
        return float(rate * (1 - step / recipe.iterations) ** POLY_POWER)
    drops = sum(step >= round(fraction * recipe.iterations) for fraction in recipe.drops)
    return float(rate * 0.1**drops)


def parameter_groups(network: nn.Module, recipe: TrainingRecipe) -> list[dict[str, Any]]:
    """Return groups {params, rate, weight_decay}: backbones or the rest, weights or biases."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        bias = name.endswith("bias")
        rate = 1.0 if "backbone" in name.split(".") else recipe.head_rate
        rate *= recipe.bias_rate if bias else 1.0
        groups.setdefault((rate, 0.0 if bias else recipe.weight_decay), []).append(parameter)
    return [
        {"params": parameters, "rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


@torch.no_grad()
def class_scores(
    method: Method, network: Any, data: LabelledImages, size: int, batch: int
) -> NDArray[np.float32]:
    """Return logits (N, C) of the classifier on whole images warped to ``size``."""
    network.eval()
    rows = []
    for start in range(0, len(data.images), batch):
        views = whole_images(data.part(start, start + batch), size)
        scores = method.class_scores(network, views.images, views.saliency)
        rows.append(scores.cpu().numpy())
    return np.concatenate(rows)


@torch.no_grad()
def attention_maps(
    method: Method,
    network: nn.Module,
    data: LabelledImages,
    size: int,
    *,
    keep_shape: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return maps (B, C, h, w) in [0, 1], fused as the method's ``inference`` says; absent: 0.

    And the method's background maps (B, h, w), the mean over the same views, or None. Gradients
    are off, and a method that needs them turns them on for itself. Images are warped to squares of
    ``size`` pixels; with ``keep_shape`` they are looked at as they are, all of one shape.
    """
    network.eval()
    recipe = method.inference()
    maps: list[Tensor] = []
    backgrounds: list[Tensor] = []
    height, width = data.images[0].shape[:2] if keep_shape else (size, size)
    for scale in sorted(recipe.scales, reverse=True):
        view = images_of_shape(data, (round(height * scale), round(width * scale)))
        batch = with_mirror_images(view) if recipe.flip else view
        found = method.attention(network, batch)
        _check_shape(method, found, batch.labels.shape)
        maps += _mirrored_back(found, recipe.flip)
        background = method.background(network, batch)
        if background is not None:
            backgrounds += _mirrored_back(background[:, None], recipe.flip)
    fused = fuse(maps, recipe)
    check_maps(method, fused, data.labels.shape)
    present = fused * torch.from_numpy(data.labels).to(fused.device)[:, :, None, None]
    if not backgrounds:
        return present.cpu().numpy(), None
    total = fuse(backgrounds, InferenceRecipe(fusion="sum"))
    return present.cpu().numpy(), (total[:, 0] / len(backgrounds)).cpu().numpy()


def fuse(maps: Sequence[Tensor], recipe: InferenceRecipe) -> Tensor:
    """Fuse maps (B, C, h_i, w_i) to (B, C, h, w) of the first one's cells, as the recipe says.

    Normalised, a map that is 0 everywhere stays so; with ``min_max`` any constant map becomes 0.
    """
    size = maps[0].shape[2:]
    resized = [
        view
        if view.shape[2:] == size
        else functional.interpolate(view, size, mode="bilinear", align_corners=False)
        for view in maps
    ]
    stack = torch.stack(resized)
    fused = stack.amax(dim=0) if recipe.fusion == "maximum" else stack.sum(dim=0)
    if recipe.normalise == "none":
        return fused
    if recipe.normalise == "min_max":
        fused = fused - fused.amin(dim=(2, 3), keepdim=True)
    highest = fused.amax(dim=(2, 3), keepdim=True)
    return fused / torch.where(highest > 0, highest, 1.0)


def check_maps(method: Method, maps: Tensor, labels_shape: tuple[int, ...]) -> None:
    """Raise BenchmarkError unless maps are (B, C, h, w) in [0, 1] for labels (B, C).

    Written so that nan fails as well.
    """
    _check_shape(method, maps, labels_shape)
    if not bool(((maps >= 0) & (maps <= 1)).all()):
        raise BenchmarkError(
            f"the attention of {type(method).__name__} leaves [0, 1]: "
            f"{float(maps.min()):.3g} to {float(maps.max()):.3g}"
        )


def _check_shape(method: Method, maps: Tensor, labels_shape: tuple[int, ...]) -> None:
    if maps.ndim != 4 or tuple(maps.shape[:2]) != tuple(labels_shape):
        raise BenchmarkError(
            f"the attention of {type(method).__name__} is {tuple(maps.shape)}, "
            f"not (B, C, h, w) for labels {tuple(labels_shape)}"
        )


def _mirrored_back(maps: Tensor, flip: bool) -> list[Tensor]:
    """Return maps (B, K, h, w) by view; of mirror images, the second half, mirrored again."""
    if not flip:
        return [maps]
    plain, mirrored = maps.chunk(2)
    return [plain, mirrored.flip(3)]
