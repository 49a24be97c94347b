"""Label recipes: pure functions from attention maps, and what else they need, to pixel labels.

A recipe takes maps float (P, H, W) in [0, 1] of the P classes an image is known to hold, their
ids (P,), by keyword what it ``needs``, and its constants by name; it returns uint8 (H, W) with ids
in {0} and the given ones and {255}. Of equal scores the lower id wins: background first.

Another package adds a recipe by its entry point in the group ``wsss_benchmark.labels``, which names
a ``Recipe``::

    [project.entry-points."wsss_benchmark.labels"]
    mine = "my_package.mine:RECIPE"

The recipes here keep their names, whatever a plugin calls its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

from benchmark.crf import CRF_CONSTANTS
from benchmark.errors import BenchmarkError
from benchmark.provenance import own_code
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
from benchmark.registry import BrokenPlugin, load_instance, plugin_points

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
    "recipe_code",
    "recipe_names",
    "recipe_source",
    "refined_regions",
    "released",
    "resize_maps",
    "seeds",
    "smallest_region",
]

GROUP = "wsss_benchmark.labels"
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
    """Return a recipe by name, once it is known to take constants of these names.

    Raises BenchmarkError for an unknown recipe or constant, and for a plugin that is broken.
    """
    recipe = RECIPES[name] if name in RECIPES else _recipe_of_plugin(name)
    for constant in constants:
        if constant not in recipe.constants:
            near = _near(constant, recipe.constants)
            raise BenchmarkError(f"label recipe {name} has no constant {constant!r}{near}")
    return recipe


def recipe_names() -> tuple[str, ...]:
    """Return the names of all recipes, a plugin's after those here; no plugin is imported."""
    return (*RECIPES, *(name for name in sorted(plugin_points(GROUP)) if name not in RECIPES))


def recipe_source(name: str) -> str:
    """Return where a recipe comes from: this package, or what a plugin's entry point says."""
    return __name__ if name in RECIPES else plugin_points(GROUP)[name].value


def recipe_code(name: str) -> tuple[str, ...]:
    """Return the modules of a plugin's recipe, with what they import of their package.

    None of a recipe here: the code of ``benchmark.proxy`` holds it.
    """
    if name in RECIPES:
        return ()
    function = find_recipe(name).function
    of_function = getattr(function, "__module__", None)
    module = plugin_points(GROUP)[name].module
    return own_code(module, *([of_function] if isinstance(of_function, str) else []))


def _recipe_of_plugin(name: str) -> Recipe:
    if name not in plugin_points(GROUP):
        raise BenchmarkError(f"unknown label recipe {name!r}{_near(name, recipe_names())}")
    recipe = load_instance(GROUP, "label recipe", name, Recipe)
    for need in recipe.needs:
        if need not in get_args(Need):
            near = _near(need, get_args(Need))
            raise BrokenPlugin(f"label recipe {name} needs {need!r}, which nothing gives{near}")
    return recipe


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": choose from {', '.join(known)}"
