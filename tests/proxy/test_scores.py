"""Labels from maps with a background of their own."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.crf import CRF_CONSTANTS, CrfOptions, dense_crf, wide_crf
from benchmark.proxy import find_recipe
from benchmark.proxy.scores import argmax_background, argmax_background_crf

IDS = np.array([7, 3])


def pictured(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return image, rng.random((2, 9, 12), dtype=np.float32), rng.random((9, 12), dtype=np.float32)


def test_argmax_equals_a_loop() -> None:
    _, maps, background = pictured()
    labels = argmax_background(maps, IDS, background)
    for y in range(9):
        for x in range(12):
            scores = {0: background[y, x], 7: maps[0, y, x], 3: maps[1, y, x]}
            assert labels[y, x] == max(scores, key=lambda label: scores[label])
    assert set(labels.ravel().tolist()) == {0, 3, 7}


def test_maps_are_taken_as_they_are_and_of_equals_the_lower_id_wins() -> None:
    maps = np.array([[[0.2, 0.1, 0.5, 0.3]], [[0.1, 0.1, 0.5, 0.0]]])
    background = np.array([[0.1, 0.1, 0.4, 0.3]])
    # A map's highest is 0.5, and it is not divided by it: 0.3 only equals the background's.
    assert argmax_background(maps, IDS, background).tolist() == [[7, 0, 3, 0]]


def test_crf_of_the_scores_with_the_releases_constants() -> None:
    image, maps, background = pictured()
    assert wide_crf() == CrfOptions(10, 3, 3, 10, 80, 13)
    unary = np.stack([background, maps[1], maps[0]])  # in the order of the ids
    best = dense_crf(image, unary, CrfOptions(10, 3, 3, 10, 80, 13)).argmax(axis=0)
    expected = np.array([0, 3, 7])[best]
    assert np.array_equal(argmax_background_crf(maps, IDS, background, image), expected)
    assert not np.array_equal(expected, argmax_background(maps, IDS, background))


def test_a_crf_without_pairwise_terms_is_the_argmax() -> None:
    image, maps, background = pictured()
    labels = argmax_background_crf(
        maps, IDS, background, image, gaussian_weight=0, bilateral_weight=0
    )
    assert np.array_equal(labels, argmax_background(maps, IDS, background))


def test_every_constant_reaches_the_crf() -> None:
    image, maps, background = pictured()
    maps, background = 0.45 + 0.1 * maps, 0.45 + 0.1 * background
    changed = {
        "iterations": 0.0,
        "gaussian_weight": 0.0,
        "gaussian_sd": 0.1,
        "bilateral_weight": 0.0,
        "bilateral_sd_xy": 0.1,
        "bilateral_sd_rgb": 200.0,
    }
    assert tuple(changed) == CRF_CONSTANTS == find_recipe("argmax_background_crf").constants
    small = {"gaussian_weight": 0.3, "bilateral_weight": 2.0}
    usual = argmax_background_crf(maps, IDS, background, image, **small)
    for name, value in changed.items():
        other = argmax_background_crf(maps, IDS, background, image, **{**small, name: value})
        assert not np.array_equal(other, usual), name


@pytest.mark.parametrize("name", ["argmax_background", "argmax_background_crf"])
def test_without_class_all_is_background(name: str) -> None:
    image, maps, background = pictured()
    recipe = find_recipe(name)
    more = {"image": image} if "image" in recipe.needs else {}
    none = recipe.function(maps[:0], np.array([], int), background=background, **more)
    assert none.shape == (9, 12)
    assert not none.any()
    with pytest.raises(ValueError, match="leaves"):
        recipe.function(maps, IDS, background=background + 1, **more)
