"""The method under check: its networks, tiny images, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attention import Trainer
from benchmark.backbones import build_backbone
from benchmark.device import device
from benchmark.method import Batch, Head, LabelledImages, Method
from benchmark.progress import SilentProgress

SIZE = 48
STEPS = 3
HEAD = Head(width=0.125, init_gain=2.0)

StateDict = dict[str, Tensor]


class Subject:
    """A method under check, with a number of classes and tiny images, all from fixed seeds."""

    def __init__(self, make: Callable[[], Method], classes: int, scratch: Path) -> None:
        self.make = make
        self.classes = classes
        self.scratch = scratch

    def build(self, seed: int = 0) -> tuple[Method, Any]:
        """Return the method and its network, initialised under ``seed``."""
        torch.manual_seed(seed)
        method = self.make()
        backbone = build_backbone("vgg16", width=0.125, output_stride=8)
        return method, method.network(backbone, self.classes, HEAD)

    def batch(self, height: int = SIZE, width: int = SIZE) -> Batch:
        """Return three images: of two labels, of one, and of two others (with one class: of it)."""
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(3, 3, height, width, generator=generator)
        labels = torch.zeros(3, self.classes)
        for image, present in enumerate(((0, 2), (1, 1), (1, 19))):
            labels[image, [place % self.classes for place in present]] = 1
        saliency = torch.rand(3, height, width, generator=generator)
        return Batch(images, labels, saliency if self.make().needs_saliency else None)

    def images(self) -> LabelledImages:
        """Return six decoded images of several sizes for the trainer."""
        rng = np.random.default_rng(2)
        shapes = [(40 + 4 * number, 60 - 4 * number) for number in range(6)]
        images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
        saliency = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
        labels = np.zeros((6, self.classes), bool)
        for image in range(6):
            labels[image, [image % self.classes, 5 * image % self.classes]] = True
        return LabelledImages(images, labels, saliency if self.make().needs_saliency else None)

    def fit(self, scratch: Path) -> tuple[Method, Any]:
        """Return the method and its network after ``fit`` of a few steps."""
        method, network = self.build()
        network.to(device())
        recipe = replace(
            method.training(),
            iterations=STEPS,
            batch_size=2,
            crop=SIZE,
            test_size=SIZE,
            view="warp",
        )
        scratch.mkdir(exist_ok=True)
        torch.manual_seed(3)
        trainer = Trainer(
            self.images(), recipe, seed=0, scratch=scratch, progress=SilentProgress(), label="check"
        )
        method.fit(network, trainer)
        return method, network

    @cached_property
    def fitted(self) -> tuple[Method, Any, StateDict]:
        """The method, its network and the weights that one ``fit`` in ``scratch`` gave."""
        method, network = self.fit(self.scratch / f"fit of {self.classes}")
        return method, network, weights(network)


class NotTried(Exception):
    """Raised by a check that cannot be made on this machine."""


def infer(method: Method, network: Any, batch: Batch) -> dict[str, Tensor]:
    """Return class scores, attention and background (if any), as at inference."""
    network.eval()
    with torch.no_grad():
        return outputs(method, network, batch)


def outputs(method: Method, network: Any, batch: Batch) -> dict[str, Tensor]:
    """Return what ``infer`` does, in whatever mode the network and torch are."""
    found: dict[str, Tensor | None] = {
        "class scores": method.class_scores(network, batch.images, batch.saliency),
        "attention": method.attention(network, batch),
        "background": method.background(network, batch),
    }
    return {name: values for name, values in found.items() if values is not None}


def attention_of(subject: Subject, batch: Batch) -> Tensor:
    """Return the attention of a new network, whatever it is."""
    method, network = subject.build()
    network.eval()
    with torch.no_grad():
        return method.attention(network, batch)


def background_of(subject: Subject) -> Tensor | None:
    """Return the background map of a new network, whatever it is."""
    method, network = subject.build()
    network.eval()
    with torch.no_grad():
        return method.background(network, subject.batch())


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """Return what the trainer minimises."""
    return torch.stack(list(losses.values())).sum()


def weights(network: nn.Module) -> StateDict:
    """Return copies of all weights and buffers, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def part(batch: Batch, image: int) -> Batch:
    """Return one image of a batch as a batch."""
    saliency = None if batch.saliency is None else batch.saliency[image : image + 1]
    return Batch(batch.images[image : image + 1], batch.labels[image : image + 1], saliency)


def with_unlabelled(subject: Subject) -> list[Batch]:
    """Return two batches whose last image holds no class: beside others, and alone."""
    batch = subject.batch()
    batch.labels[-1] = 0
    return [batch, part(batch, 2)]
