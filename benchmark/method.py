"""What a method is: the one file that the author of a plugin reads.

A method turns images with image-level labels into class attention maps. It is one class, found by
its entry point in the group ``wsss_benchmark.methods``::

    [project.entry-points."wsss_benchmark.methods"]
    mine = "my_package.mine:Mine"

Shapes: B images, C classes (background is not one of them), (h, w) the network's own resolution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from benchmark.progress import Progress


Precision = Literal["auto", "float32"]
"""``auto``: bfloat16 where the device computes it faster."""

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
    """Images and what is known of them.

    images (B, 3, H, W), normalised; labels (B, C), 0 or 1; saliency (B, H, W) in [0, 1] where the
    method asks for it; seeds (B, H, W), class indices 0..C-1 and -1 where there is none, if the
    method's ``fit`` trains with them; step: how many training steps were before this one;
    labels_on_host: the same labels on the host, so that asking which classes an image holds makes
    no GPU wait.
    """

    images: Tensor
    labels: Tensor
    saliency: Tensor | None = None
    seeds: Tensor | None = None
    step: int = 0
    labels_on_host: Tensor | None = None


@dataclass(frozen=True)
class TrainingRecipe:
    """How an attention network is trained; a profile may replace any of it, for all methods alike.

    With the schedule ``steps`` the rate is divided by 10 at the fractions ``drops`` of the
    iterations; with ``poly`` it is multiplied by (1 - step / iterations) ** 0.9. ``warm_up`` are
    the steps over which it first grows to its value (none in the papers). Biases learn at
    ``bias_rate`` times the rate and without weight decay, as in Caffe. ``head_rate`` multiplies
    the rate of every parameter that is not the backbone's. ``clip`` bounds the gradient's norm
    (None: not at all, as in all the papers).

    What is seen of an image is a square of ``crop`` pixels. ``view`` says how it is made:
    ``shorter_side``: that side resized to a length drawn from ``side``, the square cut at random;
    ``longer_side``: likewise, with the mean colour where the image ends; ``area``: a rectangle of
    a random share (8 to 100 %) of the area, resized (torchvision's RandomResizedCrop); ``warp``:
    the whole image. For inference the image is warped to a square of ``test_size`` pixels.

    ``precision`` ``auto``: the layers compute in bfloat16 where the device is faster so, with
    float32 weights; classes are scored and maps read in float32 always. What ``losses`` gets out
    of the network is bfloat16 then: take it to float32 before sums, ratios and comparisons, by
    ``benchmark.device.full_precision``. ``compile`` has ``torch.compile`` make the network's
    modules named ``backbone`` where they are called as modules, not where a method calls their
    ``levels``; that takes a minute before it saves any.
    """

    optimiser: Literal["sgd", "adamw"] = "sgd"
    iterations: int = 25_000
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: Literal["steps", "poly"] = "steps"
    warm_up: int = 0
    drops: tuple[float, ...] = (0.6,)
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 2e-4
    head_rate: float = 1.0
    bias_rate: float = 2.0
    view: Literal["shorter_side", "longer_side", "area", "warp"] = "shorter_side"
    side: tuple[int, int] = (256, 480)
    crop: int = 224
    test_size: int = 224
    flip: bool = True
    colour: float = 0.1
    clip: float | None = None
    precision: Precision = "auto"
    compile: bool = False


@dataclass(frozen=True)
class InferenceRecipe:
    """How the maps of an image's scaled and mirrored copies become one.

    All are resized to the largest one's cells; their ``maximum`` or ``sum`` is taken cell by cell.
    ``normalise`` then divides each class's map by its maximum (``max``), or spreads it from its
    minimum to its maximum over [0, 1] (``min_max``: the method's own maps may be negative). With
    ``none`` the method's own maps must lie in [0, 1] and the fusion be the maximum.
    ``keep_shape``: the paper reads its maps off the image as it is, not warped to a square; so does
    a profile that follows the methods' papers.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = True
    fusion: Literal["maximum", "sum"] = "maximum"
    normalise: Literal["none", "max", "min_max"] = "none"
    keep_shape: bool = False


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


class Trainer(Protocol):
    """What ``fit`` trains with: a loop that can be killed and goes on where it was.

    ``data``: the training images. ``recipe``: the one in force, a profile's where it replaces the
    method's; its ``iterations`` are what a loss that grows over the training has to know.
    ``progress`` and ``label``: how work between trainings is shown.
    """

    data: LabelledImages
    recipe: TrainingRecipe
    progress: Progress
    label: str

    def run(
        self,
        network: nn.Module,
        losses: Callable[[nn.Module, Batch], dict[str, Tensor]],
        *,
        name: str = "attention",
        images: Sequence[NDArray[np.uint8]] | None = None,
        seeds: Sequence[NDArray[np.int16]] | None = None,
    ) -> None:
        """Train ``network`` in place for the recipe's iterations.

        Several trainings have a ``name`` each. ``images`` take the place of the training images;
        ``seeds`` (H, W), class indices or -1, are cut like the images and given to the losses.
        """

    def whole_images(self, batch: int = 32) -> Iterator[tuple[range, Batch]]:
        """Yield (places, batch) over all training images, warped to the test size, in order."""
        raise NotImplementedError


class Method(ABC):
    """One paper's way from image-level labels to class attention maps.

    ``network`` in the signatures below is what the method's own ``network`` returned.
    """

    paper: ClassVar[Paper]
    supervision: ClassVar[Literal["I", "I+S"]] = "I"
    """``I``: image labels alone; ``I+S``: saliency learned from other data as well."""
    needs_saliency: ClassVar[bool] = False
    """Whether the network itself sees saliency maps, in training and at inference."""
    reading_options: ClassVar[tuple[str, ...]] = ()
    """Options that matter only when maps are read: rows that differ in these alone train once."""
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
        """Return named scalars; their sum is minimised. See ``TrainingRecipe`` on precision."""

    @abstractmethod
    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        """Return the classifier's logits (B, C), no label given; saliency (B, H, W) if needed."""

    @abstractmethod
    def attention(self, network: Any, batch: Batch) -> Tensor:
        """Return attention (B, C, h, w) in [0, 1], given the image labels; absent classes are 0.

        Where ``inference`` normalises: without an upper bound, and with ``min_max`` without any.
        """

    def background(self, network: Any, batch: Batch) -> Tensor | None:
        """Return how much each cell looks like background, (B, h, w) in [0, 1], or None."""
        return None

    def inference(self) -> InferenceRecipe:
        """Return the scales and mirror images that the paper reads its maps from."""
        return InferenceRecipe()

    def training(self) -> TrainingRecipe:
        """Return the paper's optimiser, schedule and augmentation."""
        return TrainingRecipe()

    def fit(self, network: Any, trainer: Trainer) -> None:
        """Train ``network``; override for anything but one loss over one network."""
        trainer.run(network, self.losses)
