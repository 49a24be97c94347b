"""Label recipes: pure functions from attention maps, and what else they need, to pixel labels.

A recipe takes maps float (P, H, W) in [0, 1] of the P classes an image is known to hold, their
ids (P,), by keyword what it ``needs``, and its constants by name; it returns uint8 (H, W) with ids
in {0} and the given ones and {255}. Of equal scores the lower id wins: background first.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from benchmark.crf import CRF_CONSTANTS
from benchmark.errors import BenchmarkError
from benchmark.proxy.arrays import VOID, Floats, Labels, resize_maps
from benchmark.proxy.cues import localisation_cues
from benchmark.proxy.harmonic import (
    ReleaseRules,
    algorithm1,
    harmonic_mean,
    harmonic_threshold,
    released,
)
from benchmark.proxy.regions import refined_regions, smallest_region
from benchmark.proxy.scores import argmax_background, argmax_background_crf
from benchmark.proxy.seeds import seeds
from benchmark.proxy.threshold import background_threshold, background_thresholds

__all__ = [
    "RECIPES",
    "VOID",
    "Floats",
    "Labels",
    "Recipe",
    "ReleaseRules",
    "algorithm1",
    "argmax_background",
    "argmax_background_crf",
    "background_threshold",
    "background_thresholds",
    "find_recipe",
    "harmonic_mean",
    "harmonic_threshold",
    "localisation_cues",
    "refined_regions",
    "released",
    "resize_maps",
    "seeds",
    "smallest_region",
]

Need = Literal["saliency", "background", "image", "names"]


@dataclass(frozen=True)
class Recipe:
    """A label recipe.

    Attributes:
        function: Takes maps, class ids, what it needs and its constants.
        needs: ``saliency`` (H, W) in [0, 1]; ``background``, the method's own background map
            (H, W) in [0, 1]; ``image`` (H, W, 3) uint8; ``names`` of the data set's classes, id 1
            first.
        constants: Their names.
    """

    function: Callable[..., Labels]
    needs: tuple[Need, ...] = ()
    constants: tuple[str, ...] = ()


RECIPES: dict[str, Recipe] = {
    "algorithm1": Recipe(algorithm1, ("saliency",), ("weight",)),
    "released": Recipe(
        released, ("saliency",), tuple(field.name for field in fields(ReleaseRules))
    ),
    "background_threshold": Recipe(background_threshold, (), ("threshold",)),
    "seeds": Recipe(
        seeds,
        ("saliency", "names"),
        ("foreground", "background", "rank_background", "boat_and_train"),
    ),
    "smallest_region": Recipe(
        smallest_region, ("background",), ("foreground_above", "background_below")
    ),
    "refined_regions": Recipe(
        refined_regions,
        ("background", "image"),
        ("foreground_above", "background_below", "tau", *CRF_CONSTANTS),
    ),
    "harmonic_threshold": Recipe(harmonic_threshold, ("saliency",), ("weight", "threshold")),
    "cues": Recipe(localisation_cues, ("background",), ("foreground", "background_share")),
    "argmax_background": Recipe(argmax_background, ("background",)),
    "argmax_background_crf": Recipe(argmax_background_crf, ("background", "image"), CRF_CONSTANTS),
}


def find_recipe(name: str, constants: Sequence[str] = ()) -> Recipe:
    """Return a recipe by name, once it is known to take constants of these names."""
    if name not in RECIPES:
        raise BenchmarkError(f"unknown label recipe {name!r}{_near(name, tuple(RECIPES))}")
    for constant in constants:
        if constant not in RECIPES[name].constants:
            near = _near(constant, RECIPES[name].constants)
            raise BenchmarkError(f"label recipe {name} has no constant {constant!r}{near}")
    return RECIPES[name]


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": choose from {', '.join(known)}"
