"""Trains attention networks and reads their class scores and maps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.backbones import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.augment import View, draw_colours, draw_view, resized, translated
from benchmark.data.resident import ResidentPlanes, fits_on_device
from benchmark.device import device, mixed_precision, on_device, sent
from benchmark.errors import BenchmarkError
from benchmark.feeding import LossReader, drawing_threads, made_ahead
from benchmark.method import Batch, InferenceRecipe, Method, TrainingRecipe
from benchmark.progress import Progress
from benchmark.seeding import derive

CHECKPOINT_SECONDS = 30.0
POLY_POWER = 0.9
MEAN_COLOUR = tuple(round(255 * value) for value in IMAGENET_MEAN)

Losses = Callable[[nn.Module, Batch], dict[str, Tensor]]


@dataclass(frozen=True)
class LabelledImages:
    """Decoded images (uint8, any sizes), their labels (N, C) bool, and saliency maps (uint8)."""

    images: Sequence[NDArray[np.uint8]]
    labels: NDArray[np.bool_]
    saliency: Sequence[NDArray[np.uint8]] | None = None

    def part(self, start: int, stop: int) -> LabelledImages:
        """Return images ``start`` to ``stop``."""
        saliency = None if self.saliency is None else self.saliency[start:stop]
        return LabelledImages(self.images[start:stop], self.labels[start:stop], saliency)

    def chosen(self, places: Sequence[int]) -> LabelledImages:
        """Return the images at ``places``."""
        saliency = None if self.saliency is None else [self.saliency[place] for place in places]
        images = [self.images[place] for place in places]
        return LabelledImages(images, self.labels[list(places)], saliency)


def to_tensor(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack (H, W, 3) images of one size to a normalised (B, 3, H, W) tensor on the device."""
    return normalised(on_device(np.stack(images)))


def normalised(images: Tensor) -> Tensor:
    """Return RGB images (B, H, W, 3) of 0..255 as (B, 3, H, W), by ImageNet's mean and sd."""
    mean, std = _mean_and_std(images.device)
    return ((images.float() - mean) / std).permute(0, 3, 1, 2).contiguous()


@cache
def _mean_and_std(place: torch.device) -> tuple[Tensor, Tensor]:
    """Return ImageNet's mean and sd of 0..255; kept, since sending them would have a GPU wait."""
    return (
        torch.tensor(IMAGENET_MEAN, device=place) * 255,
        torch.tensor(IMAGENET_STD, device=place) * 255,
    )


def whole_images(data: LabelledImages, size: int) -> Batch:
    """Return the images and their saliency warped to ``size`` pixels a side, on the device."""
    return images_of_shape(data, (size, size))


def images_of_shape(data: LabelledImages, shape: tuple[int, int]) -> Batch:
    """Return the images and their saliency resized to ``shape`` (H, W), on the device."""
    saliency = None
    if data.saliency is not None:
        saliency = _fractions([resized(plane, shape) for plane in data.saliency])
    images = to_tensor([resized(image, shape) for image in data.images])
    labels = torch.from_numpy(data.labels).float()
    return Batch(images, sent(labels, device()), saliency, labels_on_host=labels)


def _fractions(planes: Sequence[NDArray[np.uint8]]) -> Tensor:
    return on_device(np.stack(planes)).float() / 255


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
        source = _Source(images or self.data.images, self.data.labels, self.data.saliency, seeds)
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

    def batches(self, start: int, source: _Source | None = None) -> Iterator[tuple[int, Batch]]:
        """Yield (step, batch) from ``start`` on; a batch depends on the seed and its step alone.

        Where a GPU has room for the images they stay there and are cut there; else threads cut
        them on the host, ahead of the steps.
        """
        source = source or _Source(self.data.images, self.data.labels, self.data.saliency, None)
        size = self.recipe.batch_size
        numbers = range(start * size, self.recipe.iterations * size)
        if fits_on_device(source.planes):
            resident = _ResidentSource(source)
            looks = (self._look(number, source) for number in numbers)
            for step in range(start, self.recipe.iterations):
                yield step, resident.batch(list(islice(looks, size)), step)
            return
        drawn = made_ahead(
            lambda number: _draw(self._look(number, source), source),
            numbers,
            threads=drawing_threads(),
            ahead=2 * size,
        )
        for step in range(start, self.recipe.iterations):
            yield step, _stacked(list(islice(drawn, size)), step)

    def _look(self, number: int, source: _Source) -> _Look:
        epoch, position = divmod(number, len(source.images))
        index = int(self._order(epoch)[position])
        rng = np.random.default_rng(derive("view", self.seed, number))
        recipe, shape = self.recipe, source.images[index].shape
        view = draw_view(
            shape, rng, kind=recipe.view, side=recipe.side, crop=recipe.crop, flip=recipe.flip
        )
        return _Look(index, view, draw_colours(rng, recipe.colour))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        kept = self._order_of  # read once: another thread may be in another epoch
        if kept is None or kept[0] != epoch:
            rng = np.random.default_rng(derive("order", self.seed, epoch))
            kept = self._order_of = (epoch, rng.permutation(len(self.data.images)))
        return kept[1]


@dataclass(frozen=True)
class _Source:
    images: Sequence[NDArray[np.uint8]]
    labels: NDArray[np.bool_]
    saliency: Sequence[NDArray[np.uint8]] | None
    seeds: Sequence[NDArray[np.int16]] | None

    @property
    def planes(self) -> list[NDArray[Any]]:
        """All that is cut."""
        return [*self.images, *(self.saliency or ()), *(self.seeds or ())]


@dataclass(frozen=True)
class _Look:
    """How an image is seen once, and what its colours become."""

    index: int
    view: View
    colours: NDArray[np.uint8] | None


@dataclass(frozen=True)
class _Drawn:
    image: NDArray[np.uint8]
    label: NDArray[np.bool_]
    saliency: NDArray[np.uint8] | None
    seeds: NDArray[np.int16] | None


def _plane(
    planes: Sequence[NDArray[Any]] | None,
    index: int,
    view: View,
    *,
    padding: int,
    nearest: bool = False,
) -> NDArray[Any] | None:
    return None if planes is None else view.of(planes[index], nearest=nearest, padding=padding)


def _draw(look: _Look, source: _Source) -> _Drawn:
    """Cut what ``look`` shows, on the host."""
    return _Drawn(
        look.view.of(
            source.images[look.index],
            padding=MEAN_COLOUR,
            change=lambda seen: translated(seen, look.colours),
        ),
        source.labels[look.index],
        _plane(source.saliency, look.index, look.view, padding=0),
        _plane(source.seeds, look.index, look.view, padding=-1, nearest=True),
    )


class _ResidentSource:
    """A source whose images stay on the device."""

    def __init__(self, source: _Source) -> None:
        self._images = ResidentPlanes(source.images)
        self._saliency = None if source.saliency is None else ResidentPlanes(source.saliency)
        self._seeds = None if source.seeds is None else ResidentPlanes(source.seeds)
        self._labels = source.labels

    def batch(self, looks: Sequence[_Look], step: int) -> Batch:
        """Cut what ``looks`` show, on the device."""
        places, views = [look.index for look in looks], [look.view for look in looks]
        colours = [look.colours for look in looks if look.colours is not None]
        images = self._images.views(places, views, padding=MEAN_COLOUR, colours=colours)
        saliency = seeds = None
        if self._saliency is not None:
            saliency = self._saliency.views(places, views).float() / 255
        if self._seeds is not None:
            seeds = self._seeds.views(places, views, padding=-1, nearest=True).long()
        labels = torch.from_numpy(self._labels[places]).float()
        return Batch(normalised(images), sent(labels, device()), saliency, seeds, step, labels)


def _stacked(drawn: Sequence[_Drawn], step: int) -> Batch:
    images = to_tensor([one.image for one in drawn])
    labels = torch.from_numpy(np.stack([one.label for one in drawn])).float()
    saliency = [one.saliency for one in drawn if one.saliency is not None]
    seeds = [one.seeds for one in drawn if one.seeds is not None]
    return Batch(
        images,
        sent(labels, device()),
        _fractions(saliency) if saliency else None,
        on_device(np.stack(seeds)).long() if seeds else None,
        step,
        labels,
    )


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
        batch = _with_mirror_images(view) if recipe.flip else view
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


def _with_mirror_images(batch: Batch) -> Batch:
    """Return the batch, and behind it its images and their saliency mirrored."""
    saliency, labels = batch.saliency, batch.labels_on_host
    return Batch(
        torch.cat([batch.images, batch.images.flip(3)]),
        torch.cat([batch.labels, batch.labels]),
        None if saliency is None else torch.cat([saliency, saliency.flip(2)]),
        labels_on_host=None if labels is None else torch.cat([labels, labels]),
    )


def _mirrored_back(maps: Tensor, flip: bool) -> list[Tensor]:
    """Return maps (B, K, h, w) by view; of mirror images, the second half, mirrored again."""
    if not flip:
        return [maps]
    plain, mirrored = maps.chunk(2)
    return [plain, mirrored.flip(3)]
