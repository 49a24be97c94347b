"""How much arithmetic a stage's networks do: floating-point operations, two a multiplication.

Counted by PyTorch's own counter, which knows convolutions and matrix products, on tensors that
have a shape and no values, so that the largest network takes a moment and no memory. A method that
reads values off the device, which the suite's own do not, is counted on real numbers, on images of
``SMALL`` pixels a side, and scaled by the area.

Not counted: reading of images, CRFs, random walks, label recipes and scores, which are the CPU's
work, and what a training does beside its steps (the score of its classifier; seeds and erased
images between two trainings).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmark.attention import Losses, Trainer
from benchmark.backbones import build_backbone
from benchmark.data.voc import CLASS_NAMES
from benchmark.method import Batch, Head, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress
from benchmark.refinement import build_refinement
from benchmark.registry import build_method, parse_options
from benchmark.seeding import derive
from benchmark.store import Stage

SMALL = 32
"""Pixels a side, a multiple of every network's stride."""
VOC_IMAGE = (375, 500)
"""Height and width of most of VOC's images."""
IMAGES = 2
"""In a counted batch: one image of one class and one of two, VOC's mean being 1.5."""
STEPS = 6
"""Steps counted of a training, drawn at random: in some methods networks take turns."""

Config = Mapping[str, Any]


def stage_flops(stage: Stage, images: Mapping[str, int]) -> float | None:
    """Return the operations of a stage's networks; None for one that is not known here.

    ``images``: how many images each split has, by the data set's own names.
    """
    if stage.name not in _COUNTED:
        return None
    return _COUNTED[stage.name](stage, images)


def training_step_flops(config: Config) -> float:
    """Return the operations of a mean step of an attention stage's training, by its config."""
    return _attention(_canonical(config)) / _recipe(config).iterations


def _of_attention(stage: Stage, images: Mapping[str, int]) -> float:
    return _attention(_canonical(stage.config))


def _of_maps(stage: Stage, images: Mapping[str, int]) -> float:
    read = {**stage.inputs["attention"].config, "options": stage.config["options"]}
    side = _whole(stage.config["size"])
    return images[str(stage.config["split"])] * _maps(_canonical(read), side)


def _of_refinement(stage: Stage, images: Mapping[str, int]) -> float:
    return _refinement(_canonical(stage.config), _described(stage))


def _of_refined_maps(stage: Stage, images: Mapping[str, int]) -> float:
    trained = stage.inputs["refinement"]
    one = _refined(_canonical(trained.config), _described(trained), _image_size(stage))
    return images[str(stage.config["split"])] * one


def _of_segmentation(stage: Stage, images: Mapping[str, int]) -> float:
    return _segmentation(stage.locations["config"], _classes(stage.config))


def _of_prediction(stage: Stage, images: Mapping[str, int]) -> float:
    split = stage.config.get("split") or stage.config["data"]["train_split"]  # type: ignore[index,call-overload]
    return images[str(split)] * _segmented(
        stage.locations["config"],
        _classes(stage.config),
        _image_size(stage),
        tuple(stage.config["scales"]),  # type: ignore[arg-type]
        bool(stage.config["flip"]),
    )


_COUNTED: Mapping[str, Callable[[Stage, Mapping[str, int]], float]] = {
    "attention": _of_attention,
    "maps": _of_maps,
    "refinement": _of_refinement,
    "refined_maps": _of_refined_maps,
    "segmentation": _of_segmentation,
    "prediction": _of_prediction,
    "adapted_labels": _of_prediction,
}


@cache
def _attention(described: str) -> float:
    config = json.loads(described)
    method = build_method(config["method"], config["options"])
    recipe = _recipe(config)

    def count(side: int) -> float:
        network = method.network(_backbone(config), _classes(config) - 1, _head(config))
        trainer = _CountingTrainer(recipe, _classes(config) - 1, side, method.needs_saliency)
        method.fit(network, trainer)
        return trainer.flops

    return _by_shapes_or_small(count, recipe.crop)


@cache
def _maps(described: str, size: int) -> float:
    """Return the operations of one image's maps."""
    config = json.loads(described)
    method = build_method(config["method"], config["options"])
    reading = method.inference()

    def count(side: int) -> float:
        network = method.network(_backbone(config), _classes(config) - 1, _head(config)).eval()
        batch = _batch(side, _classes(config) - 1, method.needs_saliency)

        def read() -> None:
            method.attention(network, batch)
            method.background(network, batch)

        with torch.no_grad():
            return counted(read) / IMAGES

    sides = [round(size * scale) for scale in reading.scales]
    return (1 + reading.flip) * sum(_by_shapes_or_small(count, side) for side in sides)


@cache
def _refinement(described: str, backbone: str) -> float:
    config = json.loads(described)
    refiner = build_refinement(config["refinement"], config["options"])
    recipe = _recipe(config)

    def count(side: int) -> float:
        network = refiner.network(_backbone(json.loads(backbone)), _head(json.loads(backbone)))
        trainer = _CountingTrainer(recipe, _classes(config) - 1, side, saliency=False)
        trainer.run(network, refiner.losses, seeds=())
        return trainer.flops

    return _by_shapes_or_small(count, recipe.crop)


@cache
def _refined(described: str, backbone: str, size: tuple[int, int]) -> float:
    """Return the operations of one image's features, without the walk over them."""
    config = json.loads(described)
    refiner = build_refinement(config["refinement"], config["options"])

    def count(side: int) -> float:
        network = refiner.network(_backbone(json.loads(backbone)), _head(json.loads(backbone)))
        batch = _batch(side, _classes(config) - 1, saliency=False, seeds=True)
        with torch.no_grad():
            return counted(lambda: refiner.losses(network.eval(), batch)) / IMAGES

    return _by_shapes_or_small(count, SMALL) * math.prod(size) / SMALL**2


@cache
def _segmentation(path: str, classes: int) -> float:
    cfg, network = _segmentor(path, classes)
    loader = cfg.train_dataloader
    augmentation = loader.dataset.augmentation
    height, width = augmentation.get("warp") or augmentation.crop_size
    with torch.device("meta"):
        images = torch.rand(IMAGES, 3, height, width)
        # MMSegmentation answers with the class scores before the loss, without auxiliary heads.
        one = counted(lambda: network(images, mode="tensor").sum().backward()) / IMAGES
    return one * int(loader.batch_size) * int(cfg.train_cfg.max_iters)


@cache
def _segmented(
    path: str, classes: int, size: tuple[int, int], scales: Sequence[float], flip: bool
) -> float:
    """Return the operations of one image's prediction."""
    from benchmark.segmentation.networks import quiet_mmengine

    _, network = _segmentor(path, classes)
    network.eval()
    total = 0.0
    for scale in scales:
        with torch.device("meta"), torch.no_grad(), quiet_mmengine():
            images = torch.rand(1, 3, *(round(side * scale) for side in size))
            total += counted(partial(network.encode_decode, images, [{"img_shape": size}]))
    return (1 + flip) * total


def _segmentor(path: str, classes: int) -> tuple[Any, Any]:
    from benchmark.segmentation.networks import build_model, load_config, model_config

    cfg = load_config(Path(path))
    with torch.device("meta"):
        return cfg, build_model(model_config(cfg, classes))


def counted(work: Callable[[], Any]) -> float:
    """Return the floating-point operations of ``work``'s convolutions and matrix products."""
    with _Counter() as counter:
        work()
    return counter.flops


class _Counter(TorchDispatchMode):
    """Adds PyTorch's formulas up; its own counter cannot look into a gradient within a loss."""

    flops = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        operation = func.overloadpacket
        if operation == torch.ops.aten.convolution_backward:
            self.flops += _convolution_backward(*args)
        elif formula := flop_registry.get(operation):
            self.flops += formula(*args, **(kwargs or {}), out_val=found)
        return found


def _convolution_backward(*arguments: Any) -> int:
    """The gradients by images and by weights take as much as the convolution itself, each.

    PyTorch's own formula multiplies that of grouped convolutions by the number of groups.
    """
    grad_out, images, weight, *_, mask = arguments
    transposed = arguments[7]
    cells = (images if transposed else grad_out).shape[2:]
    return 2 * len(images) * math.prod(cells) * weight.numel() * sum(mask[:2])


class _CountingTrainer(Trainer):
    """Takes a few steps of every training on empty images, and adds up what all would cost."""

    def __init__(self, recipe: TrainingRecipe, classes: int, side: int, saliency: bool) -> None:
        none = LabelledImages([], np.zeros((0, classes), bool))
        super().__init__(
            none, recipe, seed=0, scratch=Path(), progress=SilentProgress(), label="counted"
        )
        self.flops = 0.0
        self._batch = partial(_batch, side, classes, saliency)

    def run(
        self,
        network: nn.Module,
        losses: Losses,
        *,
        name: str = "attention",
        images: Any = None,
        seeds: Any = None,
    ) -> None:
        """Count a training of the recipe's length; ``seeds`` matter by being there."""
        network.train()
        rng = np.random.default_rng(derive("counted steps", name))
        total = 0.0
        for step in rng.integers(0, self.recipe.iterations, STEPS):
            batch = self._batch(seeds is not None, int(step))
            total += counted(partial(_learn, network, losses, batch))
        each = total / STEPS / IMAGES
        self.flops += each * self.recipe.batch_size * self.recipe.iterations

    def whole_images(self, batch: int = 32) -> Iterator[tuple[range, Batch]]:
        """Yield nothing: there are no images."""
        return iter(())


def _learn(network: nn.Module, losses: Losses, batch: Batch) -> None:
    torch.stack(list(losses(network, batch).values())).sum().backward()
    network.zero_grad()


def _by_shapes_or_small(count: Callable[[int], float], side: int) -> float:
    """Return ``count(side)`` on shapes alone, or on real numbers where that cannot be."""
    try:
        with torch.device("meta"):
            return count(side)
    except (NotImplementedError, RuntimeError):  # a value was asked for
        return count(SMALL) * (side / SMALL) ** 2


def _batch(side: int, classes: int, saliency: bool, seeds: bool = False, step: int = 0) -> Batch:
    labels = torch.zeros(IMAGES, classes, device="cpu")
    for image in range(IMAGES):
        labels[image, : image + 1] = 1
    images = torch.rand(IMAGES, 3, side, side)
    return Batch(
        images,
        labels.to(images.device),
        torch.rand(IMAGES, side, side) if saliency else None,
        torch.zeros(IMAGES, side, side, dtype=torch.long) if seeds else None,
        step,
        labels,
    )


def _backbone(config: Config) -> nn.Module:
    described = config["backbone"]
    return build_backbone(described["architecture"], **described["options"])


def _head(config: Config) -> Head:
    return Head(**config["backbone"]["head"])


def _recipe(config: Config) -> TrainingRecipe:
    recipe: TrainingRecipe = parse_options("recipe", TrainingRecipe, config["recipe"])
    return recipe


def _classes(config: Config) -> int:
    """Return the number of scored ids, background included."""
    return len(config["data"]["classes"] if "data" in config else CLASS_NAMES) + 1


def _described(refinement: Stage) -> str:
    return _canonical(refinement.inputs["attention"].config)


def _image_size(stage: Stage) -> tuple[int, int]:
    if "scenes" not in stage.inputs:
        return VOC_IMAGE
    side = _whole(stage.inputs["scenes"].config["options"]["size"])  # type: ignore[index,call-overload]
    return side, side


def _whole(value: Any) -> int:
    return int(value)


def _canonical(config: Config) -> str:
    """Return a config without what changes no network, as text that equal ones share."""
    kept = {key: value for key, value in config.items() if key != "seed"}
    return json.dumps(kept, sort_keys=True)
