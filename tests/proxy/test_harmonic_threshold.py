"""The harmonic mean with a background threshold, as released with arXiv:1707.05821."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.errors import BenchmarkError
from benchmark.proxy import RECIPES, find_recipe, harmonic_threshold

UNIT = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1, width=32))


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, list[int], np.ndarray]:
    size = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=4))
    ids = draw(st.lists(st.integers(1, 20), max_size=3, unique=True))
    maps = draw(hnp.arrays(np.float32, (len(ids), *size), elements=UNIT))
    return maps, ids, draw(hnp.arrays(np.float32, size, elements=UNIT))


@given(images(), st.sampled_from([0.0, 0.3, 0.4, 1.0]))
def test_labels_equal_the_released_formula_pixel_by_pixel(image: tuple, threshold: float) -> None:
    """2 / (1 / (a + 1e-12) + 1 / (s + 1e-12)) in plain Python, near ties left to either side."""
    maps, ids, saliency = image
    labels = harmonic_threshold(maps, np.array(ids, dtype=int), saliency, threshold=threshold)
    for y, x in np.ndindex(*saliency.shape):
        s = float(saliency[y, x])
        scores = {
            class_id: 2 / (1 / (float(maps[place, y, x]) + 1e-12) + 1 / (s + 1e-12))
            for place, class_id in enumerate(ids)
        }
        best = max(scores.values(), default=0.0)
        winners = {class_id for class_id, score in scores.items() if math.isclose(score, best)}
        if best < threshold - 1e-9:
            allowed = {0}
        elif best > threshold + 1e-9:
            allowed = winners
        else:
            allowed = winners | {0}
        assert labels[y, x] in allowed


def label(a: float, s: float, **constants: float) -> int:
    maps = np.array([[[a]]])
    return int(harmonic_threshold(maps, np.array([7]), np.array([[s]]), **constants).item())


def test_by_hand() -> None:
    """Classes 3 and 7; harmonic means .45 / .51, .38 / .69, .32 / .22, 0 / 0, 0 / 0."""
    maps = np.array([[[0.3, 0.25, 0.2, 0.9, 0.0]], [[0.36, 0.6, 0.13, 1.0, 0.0]]])
    saliency = np.array([[0.9, 0.8, 0.8, 0.0, 1.0]])
    assert harmonic_threshold(maps, np.array([3, 7]), saliency).tolist() == [[7, 7, 0, 0, 0]]
    assert harmonic_threshold(maps, np.array([7, 3]), saliency).tolist() == [[3, 3, 0, 0, 0]]


def test_only_a_mean_below_the_threshold_is_background() -> None:
    # Of two equal values the harmonic mean is the value; 0.5, 0.25 and their means are exact.
    assert label(0.5, 0.5, threshold=0.5) == 7
    assert label(0.5, 0.5, threshold=np.nextafter(0.5, 1)) == 0
    assert label(0.39, 0.39) == 0
    assert label(0.41, 0.41) == 7
    # Attention alone, however high, is not enough: 2 · 0.24 / 1.24 = 0.387, 2 · 0.26 / 1.26 = 0.413
    assert (label(1.0, 0.24), label(1.0, 0.26)) == (0, 7)


def test_the_weight_is_that_of_the_harmonic_mean() -> None:
    """(w + 1) / (w / A + 1 / D), A = 0.2, D = 0.8: 0.32 at weight 1, 1.25 / 2.5 = 0.5 at 0.25."""
    assert label(0.2, 0.8) == 0
    assert label(0.2, 0.8, weight=0.25, threshold=0.49) == 7
    assert label(0.2, 0.8, weight=0.25, threshold=0.51) == 0


def test_equal_means_go_to_the_lower_id_and_no_pixel_is_void() -> None:
    ones = np.ones((2, 2, 3))
    labels = harmonic_threshold(ones, np.array([9, 4]), np.ones((2, 3)))
    assert (labels == 4).all()
    assert labels.dtype == np.uint8


def test_nothing_salient_nothing_attended_or_no_class_is_background() -> None:
    with np.errstate(all="raise"):
        for threshold in (0.0, 0.4):
            for value, saliency in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
                assert label(value, saliency, threshold=threshold) == 0
            none = np.zeros((0, 2, 3))
            labels = harmonic_threshold(none, np.zeros(0, int), np.ones((2, 3)), 1.0, threshold)
            assert labels.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_mistakes_are_told() -> None:
    with pytest.raises(BenchmarkError, match="harmonic_threshold needs saliency maps"):
        harmonic_threshold(np.ones((1, 1, 1)), np.array([1]), None)
    for bad in (-0.1, math.nan):
        with pytest.raises(ValueError, match="negative"):
            label(0.5, 0.5, threshold=bad)


def test_it_is_registered_with_its_needs_and_constants() -> None:
    recipe = find_recipe("harmonic_threshold", ("weight", "threshold"))
    assert recipe is RECIPES["harmonic_threshold"]
    assert recipe.function is harmonic_threshold
    assert recipe.needs == ("saliency",)
