"""The recipe of sparse cues against hand-worked maps and loops."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.proxy import RECIPES, find_recipe
from benchmark.proxy import localisation_cues as cues

VOID = 255


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


NO_BACKGROUND = row(0, 0, 0, 0, 0)


def test_foreground_is_above_the_share_of_each_maximum() -> None:
    maps = np.stack([row(0.5, 0.11, 0.09, 0, 0), row(0, 0, 0.1, 0.3, 0.9)])
    found = cues(maps, np.array([3, 7]), NO_BACKGROUND)
    assert found.tolist() == [[3, 3, VOID, 7, 7]]
    assert found.dtype == np.uint8


def test_a_cell_at_the_threshold_is_not_foreground() -> None:
    maps = row(1.0, 0.5, 0.25, 0, 0)[None]
    found = cues(maps, np.array([1]), NO_BACKGROUND, foreground=0.5)
    assert found.tolist() == [[1, VOID, VOID, VOID, VOID]]


def test_the_smaller_region_wins_whatever_the_order() -> None:
    large, small = row(1, 1, 1, 1, 0), row(0, 0, 0, 0.5, 0.5)
    expected = [[4, 4, 4, 2, 2]]
    assert cues(np.stack([large, small]), np.array([4, 2]), NO_BACKGROUND).tolist() == expected
    assert cues(np.stack([small, large]), np.array([2, 4]), NO_BACKGROUND).tolist() == expected
    swapped = cues(np.stack([large, small]), np.array([2, 4]), NO_BACKGROUND)
    assert swapped.tolist() == [[2, 2, 2, 4, 4]]


def test_of_equal_regions_the_lower_id_wins() -> None:
    maps = np.stack([row(1, 1, 0, 0, 0), row(0, 1, 1, 0, 0)])
    assert cues(maps, np.array([5, 3]), NO_BACKGROUND).tolist() == [[5, 3, 3, VOID, VOID]]
    assert cues(maps, np.array([3, 5]), NO_BACKGROUND).tolist() == [[3, 3, 5, VOID, VOID]]


def test_background_is_the_highest_share_and_yields_to_classes() -> None:
    background = row(0.9, 0.1, 0.8, 0.3, 0.2)
    maps = row(1, 0, 0, 0, 0)[None]
    classes = np.array([1])
    found = cues(maps, classes, background, background_share=0.4)
    assert found.tolist() == [[1, VOID, 0, VOID, VOID]]
    found = cues(maps, classes, background, background_share=0.6)
    assert found.tolist() == [[1, VOID, 0, 0, VOID]]
    assert cues(maps, classes, background, background_share=1.0).tolist() == [[1, 0, 0, 0, 0]]
    none = cues(maps, classes, background, background_share=0.0)
    assert none.tolist() == [[1, VOID, VOID, VOID, VOID]]


def test_ties_at_the_cut_are_all_background_but_a_constant_map_has_none() -> None:
    maps = row(0, 0, 0, 0, 1)[None]
    tied = cues(maps, np.array([1]), row(0.7, 0.7, 0.2, 0.7, 0.1), background_share=0.2)
    assert tied.tolist() == [[0, 0, VOID, 0, 1]]
    constant = cues(maps, np.array([1]), row(0.7, 0.7, 0.7, 0.7, 0.7), background_share=0.9)
    assert constant.tolist() == [[VOID, VOID, VOID, VOID, 1]]


def test_empty_maps_and_images_without_classes() -> None:
    background = row(0.1, 0.2, 0.3, 0.4, 0.5)
    nothing = cues(np.zeros((1, 1, 5)), np.array([6]), background, background_share=0.2)
    assert nothing.tolist() == [[VOID, VOID, VOID, VOID, 0]]
    no_class = cues(np.zeros((0, 1, 5)), np.zeros(0, int), background, background_share=0.2)
    assert no_class.tolist() == [[VOID, VOID, VOID, VOID, 0]]


def looped(
    maps: np.ndarray, classes: list[int], background: np.ndarray, share: float
) -> np.ndarray:
    height, width = background.shape
    kept = sorted(background.ravel().tolist(), reverse=True)[: int(share * height * width)]
    regions = {
        class_id: {
            (r, c) for r in range(height) for c in range(width) if plane[r, c] > 0.2 * plane.max()
        }
        for class_id, plane in zip(classes, maps, strict=True)
    }
    labels = np.full((height, width), VOID)
    for r in range(height):
        for c in range(width):
            if background[r, c] >= kept[-1]:
                labels[r, c] = 0
            here = [class_id for class_id in classes if (r, c) in regions[class_id]]
            if here:
                labels[r, c] = min(here, key=lambda class_id: (len(regions[class_id]), class_id))
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_defaults_by_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.random((3, 16, 22)) ** 4
    background = rng.random((16, 22))
    found = cues(maps, np.array([9, 1, 4]), background)
    assert np.array_equal(found, looped(maps, [9, 1, 4], background, 0.1))
    assert set(np.unique(found)) == {0, 1, 4, 9, VOID}


def test_bad_constants_and_maps_are_refused() -> None:
    maps = row(1, 0, 0, 0, 0)[None]
    for wrong in ({"foreground": -0.1}, {"background_share": 1.1}, {"background_share": -0.1}):
        with pytest.raises(ValueError, match="must"):
            cues(maps, np.array([1]), NO_BACKGROUND, **wrong)
    with pytest.raises(ValueError, match="differ"):
        cues(maps, np.array([1]), row(0, 0))
    with pytest.raises(ValueError, match="leaves"):
        cues(2 * maps, np.array([1]), NO_BACKGROUND)


def test_it_is_registered_with_what_it_needs() -> None:
    recipe = find_recipe("cues", ["foreground", "background_share"])
    assert recipe is RECIPES["cues"]
    assert recipe.needs == ("background",)
    with pytest.raises(BenchmarkError, match="did you mean 'background_share'"):
        find_recipe("cues", ["background_shares"])
