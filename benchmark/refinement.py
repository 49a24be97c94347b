"""What a refinement is: it learns from attention maps, and then makes them better.

It is one class, found by its entry point in the group ``wsss_benchmark.refinements``::

    [project.entry-points."wsss_benchmark.refinements"]
    mine = "my_package.mine:Mine"

The maps may be any method's: a table's row names both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.method import Batch, Head, Paper, TrainingRecipe
from benchmark.registry import load_plugin, parse_options

if TYPE_CHECKING:
    from torch import Tensor, nn

GROUP = "wsss_benchmark.refinements"


class Refinement(ABC):
    """One paper's way from attention maps to better ones with a background.

    ``network`` in the signatures below is what ``network`` returned. P: classes of an image.
    """

    paper: ClassVar[Paper]
    reading_options: ClassVar[tuple[str, ...]] = ()
    """Options that matter only when maps are refined: rows that differ in these train once."""

    @dataclass(frozen=True)
    class Options:
        """The refinement's own constants; every one has the paper's value as its default."""

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options

    @abstractmethod
    def network(self, backbone: Any, head: Head) -> nn.Module:
        """Return the network to train, on the backbone that the attention network trained.

        The backbone must stay an attribute called ``backbone``. It has ``channels``,
        ``output_stride``, and ``levels(images)``: features of ``level_channels``, the last of
        which are its own.
        """

    def training(self) -> TrainingRecipe:
        """Return the paper's optimiser, schedule and augmentation."""
        return TrainingRecipe()

    @abstractmethod
    def targets(
        self, image: NDArray[np.uint8], maps: NDArray[np.floating], classes: NDArray[np.int64]
    ) -> NDArray[np.int16]:
        """Return what a training image teaches each of its pixels, (H, W), at least 0.

        Image (H, W, 3); maps (P, h, w) in [0, 1] of the classes (P,). The losses find it in the
        batch's ``seeds``, cut like the images, -1 outside of them.
        """

    @abstractmethod
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Return named scalars; their sum is minimised. The batch's labels are the images'."""

    @abstractmethod
    def refine(self, network: Any, image: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return refined maps (P, h, w) and a background (h, w), both in [0, 1].

        Image (1, 3, H, W), normalised, its sides multiples of the backbone's stride; maps
        (P, H, W) in [0, 1].
        """


def load_refinement_class(name: str) -> type[Refinement]:
    """Import the refinement's class; BenchmarkError if it is unknown or its plugin is broken."""
    loaded: type[Refinement] = load_plugin(GROUP, "refinement", name, Refinement)
    return loaded


def build_refinement(name: str, options: Mapping[str, Any]) -> Refinement:
    """Return the refinement with its options checked; BenchmarkError names a bad one."""
    found = load_refinement_class(name)
    return found(parse_options(f"refinement '{name}'", found.Options, options))
