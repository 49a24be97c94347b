"""Labels from regions, against loops and numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.crf import CrfOptions
from benchmark.errors import BenchmarkError
from benchmark.proxy import RECIPES, refined_regions, smallest_region
from benchmark.proxy.regions import label_probabilities

VOID = 255
NOTHING = np.zeros((2, 2))


def by_loops(
    maps: np.ndarray, ids: list[int], background: np.ndarray, above: float, below: float
) -> list[list[int]]:
    """The paper's words, one pixel at a time."""
    height, width = background.shape
    regions: dict[int, set[tuple[int, int]]] = {}
    for channel, class_id in zip(maps.astype(float), ids, strict=True):
        low, high = channel.min(), channel.max()
        regions[class_id] = {
            (y, x)
            for y in range(height)
            for x in range(width)
            if high > low and (channel[y, x] - low) / (high - low) > above
        }
    rows = []
    for y in range(height):
        row = []
        for x in range(width):
            claims = [(len(regions[i]), i) for i in ids if (y, x) in regions[i]]
            if claims:
                row.append(min(claims)[1])
            else:
                row.append(0 if 1 - float(background[y, x]) < below else VOID)
        rows.append(row)
    return rows


GRID = st.one_of(st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1, width=32))


@st.composite
def pictures(draw: st.DrawFn) -> tuple[np.ndarray, list[int], np.ndarray]:
    size = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=4))
    ids = draw(st.lists(st.integers(1, 20), max_size=3, unique=True))
    maps = draw(hnp.arrays(np.float32, (len(ids), *size), elements=GRID))
    return maps, ids, draw(hnp.arrays(np.float32, size, elements=GRID))


@settings(max_examples=60)
@given(pictures(), st.sampled_from([0.2, 0.25, 0.5]), st.sampled_from([0.0, 0.25, 0.3, 1.0]))
def test_smallest_region_equals_the_loops(picture: tuple, above: float, below: float) -> None:
    maps, ids, background = picture
    labels = smallest_region(
        maps,
        np.array(ids, int),
        background=background,
        foreground_above=above,
        background_below=below,
    )
    assert labels.dtype == np.uint8
    assert labels.tolist() == by_loops(maps, ids, background, above, below)


def test_smallest_region_by_hand() -> None:
    # Class 4: three pixels above 0.2; class 9: two, of which one is also 4's.
    maps = np.array([[[1.0, 0.5, 0.3, 0.0, 0.1]], [[0.0, 0.0, 0.6, 1.0, 0.2]]])
    background = np.array([[1.0, 0.0, 0.0, 1.0, 1.0]])
    labels = smallest_region(maps, np.array([4, 9]), background=background)
    assert labels.tolist() == [[4, 4, 9, 9, 0]]  # foreground beats background
    nowhere = smallest_region(maps, np.array([4, 9]), background=0 * background)
    assert nowhere.tolist() == [[4, 4, 9, 9, VOID]]


def test_maps_are_spread_before_they_are_cut() -> None:
    """0.4, 0.5, 0.9: normalised 0, 0.2 and 1, and a float's breadth to either side of 0.2."""
    maps = np.array([[[0.4, 0.499, 0.501, 0.9]]])
    labels = smallest_region(maps, np.array([7]), background=np.zeros((1, 4)))
    assert labels.tolist() == [[VOID, VOID, 7, 7]]


def test_both_thresholds_are_strict_and_default_to_the_papers() -> None:
    maps = np.array([[[0.0, 0.25, 1.0]]])
    labels = smallest_region(
        maps, np.array([7]), background=np.full((1, 3), 0.75), foreground_above=0.25,
        background_below=0.25,
    )  # fmt: skip
    assert labels.tolist() == [[VOID, VOID, 7]]
    background = np.array([[0.699, 0.701, 1.0, 0.0]])
    none = np.zeros((0, 1, 4))
    labels = smallest_region(none, np.array([], int), background=background)
    assert labels.tolist() == [[VOID, 0, 0, VOID]]


def test_regions_of_one_size_go_to_the_lower_id() -> None:
    maps = np.array([[[1.0, 1.0, 0.0]], [[0.0, 1.0, 1.0]]])
    for ids in ([8, 3], [3, 8]):
        middle = smallest_region(maps, np.array(ids), background=np.zeros((1, 3)))[0, 1]
        assert middle == 3


def test_size_counts_what_a_region_loses_as_well() -> None:
    """5 has four pixels and loses two to 6, but 7's three make 7 the smaller of those two."""
    maps = np.array(
        [[[1.0, 1, 1, 1, 0, 0]], [[1.0, 1, 0, 0, 0, 0]], [[0.0, 0, 0, 1, 1, 1]]]
    )  # fmt: skip
    labels = smallest_region(maps, np.array([5, 6, 7]), background=np.zeros((1, 6)))
    assert labels.tolist() == [[6, 6, 5, 7, 7, 7]]


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_constant_maps_have_no_region(value: float) -> None:
    with np.errstate(all="raise"):
        labels = smallest_region(np.full((1, 2, 2), value), np.array([3]), background=NOTHING)
    assert (labels == VOID).all()


def test_a_background_that_is_none_is_refused() -> None:
    maps, ids = np.zeros((1, 2, 2)), np.array([3])
    with pytest.raises(ValueError, match="differ"):
        smallest_region(maps, ids, background=np.zeros((2, 3)))
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="background leaves"):
            smallest_region(maps, ids, background=np.full((2, 2), bad))


# --- Eqs. 12 and 13 -----------------------------------------------------------------------------


def test_probabilities_of_three_labels_by_hand() -> None:
    """C_I = {0, 5, 9}: void has thirds; else τ, and (1 − τ) / 2 twice."""
    found = label_probabilities(np.array([[VOID, 5], [0, 9]], np.uint8), np.array([0, 5, 9]), 0.8)
    third = 1 / 3
    expected = [
        [[third, 0.1], [0.8, 0.1]],
        [[third, 0.8], [0.1, 0.1]],
        [[third, 0.1], [0.1, 0.8]],
    ]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-6)


def test_probabilities_of_two_labels_by_hand() -> None:
    """|C_I| = 2, an image of one class: 1 − τ goes to the one other label."""
    found = label_probabilities(np.array([[VOID, 5, 0]], np.uint8), np.array([0, 5]), 0.9)
    np.testing.assert_allclose(found, [[[0.5, 0.1, 0.9]], [[0.5, 0.9, 0.1]]], rtol=1e-6)


def test_a_lone_label_divides_nothing_by_zero() -> None:
    with np.errstate(all="raise"):
        found = label_probabilities(np.array([[VOID, 0]], np.uint8), np.array([0]), 0.9)
    np.testing.assert_allclose(found, [[[1.0, 0.9]]], rtol=1e-6)


# --- refined ------------------------------------------------------------------------------------

SIZE = (6, 12)
RED, BLUE = (200, 30, 30), (30, 30, 200)


def halves() -> np.ndarray:
    image = np.empty((*SIZE, 3), np.uint8)
    image[:, :6], image[:, 6:] = RED, BLUE
    return image


def seeds() -> tuple[np.ndarray, np.ndarray]:
    """A map that is high in one column of the left half, background in one of the right."""
    maps, background = np.zeros((1, *SIZE)), np.zeros(SIZE)
    maps[0, :, 1], background[:, 10] = 1, 1
    return maps, background


def test_the_crf_carries_labels_to_pixels_of_their_colour() -> None:
    maps, background = seeds()
    labels = refined_regions(maps, np.array([5]), background=background, image=halves())
    assert (labels[:, :6] == 5).all()
    assert (labels[:, 6:] == 0).all()


def test_without_pairs_each_pixel_keeps_its_own_label_and_void_goes_to_the_lowest() -> None:
    maps, background = seeds()
    none = {"gaussian_weight": 0.0, "bilateral_weight": 0.0}
    for still in (none, {"iterations": 0}):
        labels = refined_regions(
            maps, np.array([5]), background=background, image=halves(), **still
        )
        assert (labels[:, 1] == 5).all()
        assert not np.delete(labels, 1, axis=1).any()


def test_the_crf_gets_the_papers_unaries_and_psas_constants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Class 9 has no region, yet is one of C_I; marginals are then whatever the CRF says."""
    seen: list[tuple] = []

    def crf(image: np.ndarray, probabilities: np.ndarray, options: CrfOptions) -> np.ndarray:
        seen.append((image, probabilities, options))
        marginals = np.zeros_like(probabilities)
        marginals[2] = 1
        return marginals

    monkeypatch.setattr("benchmark.proxy.regions.dense_crf", crf)
    maps = np.array([np.zeros((1, 3)), [[1.0, 0.0, 0.0]]])
    image = np.zeros((1, 3, 3), np.uint8)
    background = np.array([[0.0, 1.0, 0.5]])
    labels = refined_regions(maps, np.array([9, 5]), background=background, image=image)
    assert (labels == 9).all()  # the third of C_I = {0, 5, 9}, whatever the order of the classes
    assert labels.dtype == np.uint8
    _, probabilities, options = seen[0]
    third = 1 / 3
    expected = [[[0.05, 0.9, third]], [[0.9, 0.05, third]], [[0.05, 0.05, third]]]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    assert options == CrfOptions(10, 3.0, 3.0, 10.0, 80.0, 13.0)
    refined_regions(maps, np.array([9, 5]), background=background, image=image, tau=0.6)
    np.testing.assert_allclose(seen[1][1][:, 0, 0], [0.2, 0.6, 0.2], rtol=1e-6)


def test_every_constant_reaches_the_crf_or_the_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple] = []

    def crf(image: np.ndarray, probabilities: np.ndarray, options: CrfOptions) -> np.ndarray:
        seen.append((probabilities.tobytes(), options))
        return probabilities

    monkeypatch.setattr("benchmark.proxy.regions.dense_crf", crf)
    ramp = np.linspace(0, 1, 12)[None].repeat(6, axis=0)
    for name in RECIPES["refined_regions"].constants:
        for constants in ({}, {name: 0.75}):
            refined_regions(
                ramp[None], np.array([5]), background=0.5 + 0 * ramp, image=halves(), **constants
            )
        assert seen[-1] != seen[-2], name


def test_an_image_without_any_region_stays_void() -> None:
    labels = refined_regions(
        np.zeros((1, *SIZE)), np.array([5]), background=np.zeros(SIZE), image=halves()
    )
    assert (labels == VOID).all()


def test_an_image_without_any_class_is_background() -> None:
    background = np.zeros(SIZE)
    background[0, 0] = 1
    none = np.zeros((0, *SIZE))
    labels = refined_regions(none, np.array([], int), background=background, image=halves())
    assert not labels.any()


@pytest.mark.parametrize("tau", [0.4, 1.1, float("nan")])
def test_tau_out_of_range_is_refused(tau: float) -> None:
    maps, background = seeds()
    with pytest.raises(BenchmarkError, match=r"tau .* is not in 0.5 to 1"):
        refined_regions(maps, np.array([5]), background=background, image=halves(), tau=tau)


def test_they_say_what_they_need() -> None:
    assert RECIPES["smallest_region"].needs == ("background",)
    assert RECIPES["refined_regions"].needs == ("background", "image")
