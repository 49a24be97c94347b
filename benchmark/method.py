"""What a method is: the one file that the author of a plugin reads.

A method turns images with image-level labels into class attention maps. It is one class, found by
its entry point in the group ``wsss_benchmark.methods``::

    [project.entry-points."wsss_benchmark.methods"]
    mine = "my_package.mine:Mine"

Shapes: B images, C classes (background is not one of them), (h, w) the network's own resolution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

if TYPE_CHECKING:
    from torch import Tensor, nn

    from benchmark.attention import Trainer


Fraction = Annotated[float, Field(ge=0, le=1)]
"""An option between 0 and 1."""


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    title: str
    venue: str
    reference: str


@dataclass(frozen=True)
class Batch:
    """One training step's data: images (B, 3, H, W), normalised; labels (B, C), 0 or 1."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class TrainingRecipe:
    """How an attention network is trained; a profile may replace any of it, for all methods alike.

    ``drops`` are the fractions of the schedule at which the rate is divided by 10, ``warm_up`` the
    steps over which it first grows to its value (none in the papers). Biases learn
    at ``bias_rate`` times the rate and without weight decay, as in Caffe. ``head_rate`` multiplies
    the rate of every parameter that is not the backbone's. An image's shorter side is resized to
    a length drawn from ``shorter_side`` and a square of ``crop`` pixels is cut from it at random;
    for inference the image is warped to a square of ``test_size`` pixels. ``clip`` bounds the
    gradient's norm (None: not at all, as in all the papers).
    """

    optimiser: Literal["sgd", "adamw"] = "sgd"
    iterations: int = 25_000
    batch_size: int = 16
    learning_rate: float = 1e-3
    warm_up: int = 0
    drops: tuple[float, ...] = (0.6,)
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 2e-4
    head_rate: float = 1.0
    bias_rate: float = 2.0
    shorter_side: tuple[int, int] = (256, 480)
    crop: int = 224
    test_size: int = 224
    flip: bool = True
    colour: float = 0.1
    clip: float | None = None


@dataclass(frozen=True)
class Head:
    """What a profile changes in the layers that a method adds; the defaults are the papers'.

    ``width`` multiplies their channels. ``classifier_bias`` is where the classifiers' biases start:
    the log-odds of a class's rate saves a short schedule from learning it first. ``init_gain``
    multiplies the standard deviation of Gaussian initial weights.
    """

    width: float = 1.0
    init_gain: float = 1.0
    classifier_bias: float = 0.0


class Method(ABC):
    """One paper's way from image-level labels to class attention maps.

    ``network`` in the signatures below is what the method's own ``network`` returned.
    """

    paper: ClassVar[Paper]
    supervision: ClassVar[Literal["I", "I+S"]] = "I"
    """``I``: image labels alone; ``I+S``: saliency learned from other data as well."""
    backbone_options: ClassVar[Mapping[str, Any]] = {}
    """What the paper changes in VGG-16; used where the profile leaves the backbone to the paper."""

    @dataclass(frozen=True)
    class Options:
        """The method's own constants; every one has the paper's value as its default."""

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options

    @abstractmethod
    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        """Return the attention network on ``backbone`` (which has ``channels``, ``output_stride``).

        The backbone must stay an attribute called ``backbone``.
        """

    @abstractmethod
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Return named scalars; their sum is minimised."""

    @abstractmethod
    def class_scores(self, network: Any, images: Tensor) -> Tensor:
        """Return the classifier's logits (B, C) for ``images`` alone, no label given."""

    @abstractmethod
    def attention(self, network: Any, images: Tensor, labels: Tensor) -> Tensor:
        """Return attention (B, C, h, w) in [0, 1] given the image labels; absent classes are 0."""

    def training(self) -> TrainingRecipe:
        """Return the paper's optimiser, schedule and augmentation."""
        return TrainingRecipe()

    def fit(self, network: Any, trainer: Trainer) -> None:
        """Train ``network``; override for anything but one loss over one network."""
        trainer.run(network, self.losses)
