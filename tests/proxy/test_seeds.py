"""Sparse seeds: thresholds, conflicts by area, and the two classes that yield to background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.data.voc import CLASS_NAMES
from benchmark.errors import BenchmarkError
from benchmark.proxy import RECIPES, find_recipe
from benchmark.proxy.seeds import seeds

VOID = 255


def plane(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float64)


def labels_of(maps: np.ndarray, ids: list[int], saliency: np.ndarray, **constants: Any) -> list:
    row: list[int] = seeds(maps, np.array(ids), saliency, **constants)[0].tolist()
    return row


def slow_seeds(
    maps: np.ndarray, ids: list[int], saliency: np.ndarray, ranked: bool, yielding: set[int]
) -> list:
    """As described, pixel by pixel: among the regions that hold a pixel the smallest, then id."""
    height, width = saliency.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]
    regions = {0: {p for p in pixels if saliency[p] < 0.06}}
    for channel, class_id in enumerate(ids):
        top = max(float(maps[channel][p]) for p in pixels)
        regions[class_id] = {p for p in pixels if float(maps[channel][p]) > 0.2 * top}
    rows = []
    for y in range(height):
        row = []
        for x in range(width):
            holding = {i for i, region in regions.items() if (y, x) in region}
            if not ranked and len(holding) > 1:
                holding.discard(0)
            winner = min(holding, key=lambda i: (len(regions[i]), i), default=VOID)
            if winner in yielding and (y, x) in regions[0]:
                winner = 0
            row.append(winner)
        rows.append(row)
    return rows


VALUES = st.sampled_from([0.0, 0.03, 0.06, 0.1, 0.2, 0.25, 0.5, 1.0])


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, list[int], np.ndarray]:
    size = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=5))
    ids = draw(st.lists(st.sampled_from([1, 4, 7, 19, 20]), max_size=4, unique=True))
    maps = draw(hnp.arrays(np.float64, (len(ids), *size), elements=VALUES))
    return maps, ids, draw(hnp.arrays(np.float64, size, elements=VALUES))


@given(images(), st.booleans(), st.booleans())
def test_seeds_equal_the_slow_reference(image: tuple, ranked: bool, yielding: bool) -> None:
    maps, ids, saliency = image
    constants = {"rank_background": float(ranked)}
    with np.errstate(all="raise"):
        labels = seeds(
            maps,
            np.array(ids, dtype=int),
            saliency,
            CLASS_NAMES,
            **constants,
            boat_and_train=float(yielding),
        )
    assert labels.dtype == np.uint8
    expected = slow_seeds(maps, ids, saliency, ranked, {4, 19} if yielding else set())
    assert labels.tolist() == expected


def test_thresholds_by_hand_are_strict_and_the_rest_is_void() -> None:
    maps = plane(0.5, 0.125, 0.1, 0.0, 0.0)[None]  # above 0.2 of 0.5 means above 0.1
    saliency = plane(0.9, 0.9, 0.9, 0.06, 0.059)
    assert labels_of(maps, [3], saliency) == [3, 3, VOID, VOID, 0]
    assert labels_of(maps, [3], saliency, foreground=0.25) == [3, VOID, VOID, VOID, 0]
    assert labels_of(maps, [3], saliency, background=0.1) == [3, 3, VOID, 0, 0]


def test_the_smaller_region_wins_whatever_its_scores() -> None:
    maps = np.stack([plane(1, 1, 1, 0), plane(0, 0, 0.3, 0.3)])
    assert labels_of(maps, [3, 7], np.ones((1, 4))) == [3, 3, 7, 7]
    assert labels_of(maps, [7, 3], np.ones((1, 4))) == [7, 7, 3, 3]


def test_background_takes_part_unless_switched_off() -> None:
    maps = plane(1, 1, 1, 0)[None]
    small, large = plane(0, 1, 1, 0), plane(0, 1, 0, 0)
    assert labels_of(maps, [3], small) == [0, 3, 3, 0]  # 2 pixels against 3
    assert labels_of(maps, [3], small, rank_background=0) == [3, 3, 3, 0]
    # 3 pixels each: of equal areas the lower id, the background, wins.
    assert labels_of(maps, [3], large) == [0, 3, 0, 0]
    assert labels_of(maps, [3], np.zeros((1, 4))) == [3, 3, 3, 0]


def test_of_equal_areas_the_lower_id_wins() -> None:
    maps = np.stack([plane(1, 1, 0), plane(0, 1, 1)])
    assert labels_of(maps, [9, 5], np.ones((1, 3))) == [9, 5, 5]
    assert labels_of(maps, [5, 9], np.ones((1, 3))) == [5, 5, 9]


def test_boats_and_trains_yield_to_any_background_where_asked() -> None:
    maps = np.stack([plane(1, 1, 0, 0, 0), plane(0, 1, 0, 0, 0)])
    saliency = plane(0, 0, 0, 0, 0)

    def labels(ids: list[int], names: Sequence[str] = CLASS_NAMES, asked: float = 1) -> list[int]:
        return labels_of(maps, ids, saliency, names=names, boat_and_train=asked)

    assert labels([3, 7]) == [3, 7, 0, 0, 0]
    # The boat's own region yields; the third class keeps what it had won from the boat.
    assert labels([4, 7]) == [0, 7, 0, 0, 0]
    assert labels([7, 19]) == [7, 0, 0, 0, 0]
    assert labels([4, 7], asked=0) == [4, 7, 0, 0, 0]
    # Other data sets have other ids: the classes go by their names.
    animals = ("cat", "cow", "dog", "horse", "person", "sheep", "train")
    assert labels([4, 7], animals) == [4, 0, 0, 0, 0]
    assert labels([1, 2], ("train", "cat")) == [0, 2, 0, 0, 0]


def test_empty_and_constant_maps() -> None:
    one, zero = np.ones((1, 3, 2)), np.zeros((1, 3, 2))
    no_maps = np.zeros((0, 3, 2))
    cases = [
        (no_maps, zero[0], 0),
        (no_maps, one[0], VOID),
        (zero, one[0], VOID),  # nothing is above 0.2 times 0
        (zero, zero[0], 0),
        (one, one[0], 5),
        (one, zero[0], 0),  # equal areas
    ]
    for maps, saliency, expected in cases:
        labels = seeds(maps, np.array([5] * len(maps), dtype=int), saliency)
        assert labels.shape == (3, 2)
        assert (labels == expected).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="seeds needs saliency maps"):
        seeds(np.ones((1, 2, 2)), np.array([5]), None)
    for constant in ("foreground", "background"):
        with pytest.raises(ValueError, match="negative"):
            seeds(np.ones((1, 2, 2)), np.array([5]), np.ones((2, 2)), **{constant: -0.1})


def test_the_recipe_is_listed_with_its_needs() -> None:
    assert find_recipe("seeds", ["foreground", "boat_and_train"]) is RECIPES["seeds"]
    assert RECIPES["seeds"].needs == ("saliency", "names")
