"""A training's constants at a profile's scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.graph.rows import plain
from benchmark.method import TrainingRecipe
from benchmark.profiles import Profile
from benchmark.registry import parse_options

AT_LEAST_ONE = ("iterations", "batch_size", "crop", "test_size")
NOT_NEGATIVE = ("warm_up", "momentum", "weight_decay", "head_rate", "bias_rate", "colour")


def recipe_at_scale(
    profile: Profile, part: str, own: TrainingRecipe, changes: Mapping[str, Any]
) -> TrainingRecipe:
    """Return a method's or refinement's constants with a profile's changes.

    BenchmarkError, naming ``part`` of the profile, for an unknown key or a value that no training
    can use.
    """
    owner = f"profile {profile.id}: {part}"
    recipe: TrainingRecipe = parse_options(owner, TrainingRecipe, {**plain(own), **changes})
    if wrong := _wrong(recipe):
        raise BenchmarkError(f"{owner}: {wrong}")
    return recipe


def _wrong(recipe: TrainingRecipe) -> str:
    """Return which value cannot be and what it must be; empty if all can."""
    for name in AT_LEAST_ONE:
        if getattr(recipe, name) < 1:
            return f"{name} must be at least 1 (got {getattr(recipe, name)})"
    for name in NOT_NEGATIVE:
        if not 0 <= getattr(recipe, name) < math.inf:
            return f"{name} must not be negative (got {getattr(recipe, name):g})"
    if not 0 < recipe.learning_rate < math.inf:
        return f"learning_rate must be above 0 (got {recipe.learning_rate:g})"
    if not all(0 <= drop <= 1 for drop in recipe.drops):
        return f"drops are shares of the iterations, from 0 to 1 (got {[*recipe.drops]})"
    if recipe.clip is not None and recipe.clip <= 0:
        return f"clip must be above 0 (got {recipe.clip:g})"
    # of the views "warp" and "area" the sides are not read
    if recipe.view.endswith("side") and not 1 <= recipe.side[0] <= recipe.side[1]:
        return f"side must be two lengths, the shorter first (got {[*recipe.side]})"
    return ""
