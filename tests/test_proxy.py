from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.data.voc import CLASS_NAMES
from benchmark.errors import BenchmarkError
from benchmark.proxy import (
    RECIPES,
    algorithm1,
    background_threshold,
    background_thresholds,
    find_recipe,
    harmonic_mean,
    released,
    resize_maps,
)

VOID = 255


def plane(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def one_pixel(*scores: float) -> np.ndarray:
    """Return maps (P, 1, 1) of one pixel."""
    return np.array(scores, dtype=np.float32).reshape(-1, 1, 1)


# --- the harmonic mean --------------------------------------------------------------------------


def test_harmonic_mean_by_hand() -> None:
    assert harmonic_mean(np.array(0.5), np.array(0.5)) == pytest.approx(0.5)
    assert harmonic_mean(np.array(1.0), np.array(0.5)) == pytest.approx(2 / 3)
    # (w + 1) / (w / A + 1 / D) with w = 3, A = 0.6, D = 0.2: 4 / (5 + 5).
    assert harmonic_mean(np.array(0.6), np.array(0.2), weight=3.0) == pytest.approx(0.4)


def test_harmonic_mean_is_zero_where_either_is() -> None:
    attention, saliency = np.array([0.0, 0.7, 0.0]), np.array([0.7, 0.0, 0.0])
    with np.errstate(all="raise"):
        assert harmonic_mean(attention, saliency).tolist() == [0, 0, 0]


def test_harmonic_mean_wants_a_positive_weight() -> None:
    with pytest.raises(ValueError, match="above 0"):
        harmonic_mean(np.array(0.5), np.array(0.5), weight=0.0)


UNIT = st.floats(0, 1, width=32)


@given(UNIT, UNIT, st.floats(0.125, 8))
def test_harmonic_mean_lies_between_its_two(a: float, d: float, weight: float) -> None:
    value = float(harmonic_mean(np.array(a), np.array(d), weight))
    if min(a, d) == 0:
        assert value == 0
    else:
        assert min(a, d) * (1 - 1e-12) <= value <= max(a, d) * (1 + 1e-12)
        assert value == pytest.approx((weight + 1) / (weight / a + 1 / d), rel=1e-9)


# --- slow references: one pixel at a time, in plain Python ---------------------------------------


def slow_algorithm1(maps: np.ndarray, ids: list[int], saliency: np.ndarray, w: float) -> list:
    rows = []
    for y in range(saliency.shape[0]):
        row = []
        for x in range(saliency.shape[1]):
            d = float(saliency[y, x])
            scores = {0: 1 - d}
            for channel, class_id in enumerate(ids):
                a = float(maps[channel, y, x])
                scores[class_id] = 0.0 if a == 0 or d == 0 else (w + 1) * a * d / (w * d + a)
            best = max(scores.values())
            row.append(min(i for i, score in scores.items() if score == best))
        rows.append(row)
    return rows


def slow_released(maps: np.ndarray, ids: list[int], saliency: np.ndarray) -> list:
    """As released, with the constants written out."""
    height, width = saliency.shape
    spread = []
    for channel in maps.astype(float).tolist():
        flat = [value for row in channel for value in row]
        low, high = min(flat), max(flat)
        spread.append(
            [[(v - low) / (high - low) if high > low else 0.0 for v in r] for r in channel]
        )
    rows, foreground = [], 0
    for y in range(height):
        row = []
        for x in range(width):
            d = float(saliency[y, x])
            attention = {i: spread[c][y][x] for c, i in enumerate(ids)}
            scores = {i: s if s >= 0.3 else 0.0 for i, s in {0: 1 - d, **attention}.items()}
            best = max(scores.values())
            label = min(i for i, score in scores.items() if score == best)
            if sum(score > 0.9 for score in scores.values()) > 1:
                label = VOID
            if label == 0 and (d >= 32 / 255 or any(a > 0.8 for a in attention.values())):
                label = VOID
            foreground += label not in (0, VOID)
            row.append(label)
        rows.append(row)
    if foreground < 0.01 * height * width:
        return [[VOID] * width for _ in range(height)]
    return rows


def slow_background_threshold(maps: np.ndarray, ids: list[int], size: tuple, t: float) -> list:
    rows = [[0] * size[1] for _ in range(size[0])]
    for y in range(size[0]):
        for x in range(size[1]):
            best = t
            for channel, class_id in sorted(enumerate(ids), key=lambda pair: pair[1]):
                top = float(maps[channel].max())
                score = float(maps[channel, y, x]) / top if top > 0 else 0.0
                if score > best:
                    best, rows[y][x] = score, class_id
    return rows


# Few distinct values make ties, zeros, ones and constant maps common; any float is drawn as well.
GRID = st.one_of(st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0]), UNIT)


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, list[int], np.ndarray]:
    size = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=5))
    ids = draw(st.lists(st.integers(1, 20), max_size=3, unique=True))
    maps = draw(hnp.arrays(np.float32, (len(ids), *size), elements=GRID))
    return maps, ids, draw(hnp.arrays(np.float32, size, elements=GRID))


@given(images(), st.sampled_from([0.5, 1.0, 2.0]))
def test_algorithm1_equals_the_slow_reference(image: tuple, weight: float) -> None:
    maps, ids, saliency = image
    labels = algorithm1(maps, np.array(ids, dtype=int), saliency, weight)
    assert labels.tolist() == slow_algorithm1(maps, ids, saliency, weight)


@given(images())
def test_released_equals_the_slow_reference(image: tuple) -> None:
    maps, ids, saliency = image
    labels = released(maps, np.array(ids, dtype=int), saliency)
    assert labels.tolist() == slow_released(maps, ids, saliency)


@given(images(), st.sampled_from([0.0, 0.2, 0.3, 1.0]))
def test_background_threshold_equals_the_slow_reference(image: tuple, threshold: float) -> None:
    maps, ids, saliency = image
    labels = background_threshold(maps, np.array(ids, dtype=int), threshold=threshold)
    assert labels.tolist() == slow_background_threshold(maps, ids, saliency.shape, threshold)


@given(images(), st.lists(st.sampled_from([0.0, 0.2, 0.3, 1.0]), max_size=3))
def test_many_thresholds_equal_one_at_a_time(image: tuple, thresholds: list[float]) -> None:
    maps, ids, _ = image
    many = list(background_thresholds(maps, np.array(ids, dtype=int), thresholds))
    assert len(many) == len(thresholds)
    for threshold, labels in zip(thresholds, many, strict=True):
        one = slow_background_threshold(maps, ids, maps.shape[1:], threshold)
        assert labels.tolist() == one
        assert labels.dtype == np.uint8


def apply(
    name: str,
    maps: np.ndarray,
    ids: list[int],
    saliency: np.ndarray | None,
    **constants: float,
) -> np.ndarray:
    """Call a recipe with what it needs; the saliency's opposite stands for the background."""
    image = np.full((*maps.shape[1:], 3), 128, np.uint8)
    background = None if saliency is None else 1 - saliency
    given = {"saliency": saliency, "background": background, "image": image, "names": CLASS_NAMES}
    needed = {need: given[need] for need in RECIPES[name].needs}
    return RECIPES[name].function(maps, np.array(ids, dtype=int), **needed, **constants)


@settings(max_examples=50)
@given(images(), st.sampled_from(sorted(RECIPES)), st.randoms(use_true_random=False))
def test_every_recipe_keeps_to_the_given_ids_and_ignores_their_order(
    image: tuple, name: str, random: object
) -> None:
    maps, ids, saliency = image
    labels = apply(name, maps, ids, saliency)
    assert (labels.dtype, labels.shape) == (np.uint8, saliency.shape)
    assert set(np.unique(labels).tolist()) <= {0, VOID} | set(ids)
    order = list(range(len(ids)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = apply(name, maps[order], [ids[i] for i in order], saliency)
    np.testing.assert_array_equal(labels, shuffled)


# --- worked by hand -----------------------------------------------------------------------------


def test_algorithm1_by_hand() -> None:
    """Two classes, 3 and 7, on four pixels; the scores are in the comments."""
    maps = np.stack([plane([0.9, 0.4, 0.2, 0.0]), plane([0.1, 0.6, 0.2, 1.0])])
    saliency = plane([0.8, 0.8, 0.3, 0.0])
    # background .2   .2   .7   1
    # class 3     .85  .53  .24  0
    # class 7     .18  .69  .24  0
    assert algorithm1(maps, np.array([3, 7]), saliency).tolist() == [[3, 7, 0, 0]]


def test_algorithm1s_weight_leans_on_the_saliency_or_the_attention() -> None:
    maps, saliency = one_pixel(0.3), plane([0.7])
    # Background 0.3; w small -> near D 0.7, w large -> near A 0.3 but above it.
    assert harmonic_mean(maps[0], saliency, 0.01)[0, 0] == pytest.approx(0.69, abs=0.01)
    assert harmonic_mean(maps[0], saliency, 100)[0, 0] == pytest.approx(0.30, abs=0.01)
    # With D = 0.6 and A = 0.3 the background has 0.4: w = 1 gives 0.4 exactly, less w is more.
    below = algorithm1(one_pixel(0.3), np.array([5]), plane([0.6]), weight=4.0)
    above = algorithm1(one_pixel(0.3), np.array([5]), plane([0.6]), weight=0.25)
    assert (below.item(), above.item()) == (0, 5)


def test_equal_scores_go_to_the_lower_id() -> None:
    half = one_pixel(0.5, 0.5)
    assert algorithm1(half, np.array([9, 4]), plane([0.5])).item() == 0
    assert algorithm1(one_pixel(0.9, 0.9), np.array([9, 4]), plane([0.9])).item() == 4
    assert background_threshold(half, np.array([9, 4]), threshold=1.0).item() == 0
    assert background_threshold(half, np.array([9, 4]), threshold=0.5).item() == 4


def padded(rows: list[list[float]], low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Append a pixel at ``low`` and one at ``high``, so that min-max changes nothing between."""
    return np.array([[*row, low, high] for row in rows], dtype=np.float32)


def test_released_by_hand() -> None:
    maps = np.stack([padded([[0.95, 0.95, 0.85, 0.29, 0.29]]), padded([[0.95, 0.2, 0.1, 0, 0]])])
    saliency = plane([0.9, 0.9, 0.05, 31 / 255, 32 / 255, 0.0, 1.0])
    labels = released(maps, np.array([2, 6]), saliency)[0].tolist()
    assert labels == [
        VOID,  # two classes above 0.9
        2,
        VOID,  # background 0.95, but an attention above 0.8
        0,  # saliency just below 32 of 255, attention dropped
        VOID,  # saliency of 32 of 255
        0,
        VOID,  # both classes at 1
    ]


def test_released_at_the_edges_of_its_constants() -> None:
    maps = padded([[0.25, 0.75, 0.5]])[None].astype(np.float64)
    # A background of exactly 0.875 beside an attention of 0.75.
    saliency = np.array([[0.8, 0.125, 32 / 255, 0.0, 1.0]])
    exact = {"minimum_score": 0.25, "doubtful_attention": 0.75, "conflict": 0.875}
    labels = released(maps, np.array([4]), saliency, **exact)[0].tolist()
    assert labels == [
        4,  # an attention equal to the minimum stays
        0,  # an attention equal to the doubtful one, and a conflict's equal, do no harm
        VOID,  # a saliency equal to the doubtful one does
        0,
        4,
    ]


def test_released_counts_the_background_among_the_conflicts() -> None:
    """Saliency 0.05: the background has 0.95, and so has the class."""
    labels = released(padded([[0.95, 0.5]])[None], np.array([2]), plane([0.05, 0.9, 0.0, 1.0]))
    assert labels[0].tolist() == [VOID, 2, 0, 2]


def test_released_voids_the_image_with_hardly_any_foreground() -> None:
    maps = np.zeros((1, 10, 20), dtype=np.float32)
    saliency = np.zeros((10, 20), dtype=np.float32)
    maps[0, 0, 0], saliency[0, 0] = 1, 1
    assert (released(maps, np.array([4]), saliency) == VOID).all()  # 1 of 200
    maps[0, 0, 1], saliency[0, 1] = 1, 1
    labels = released(maps, np.array([4]), saliency)  # 2 of 200
    assert (labels == 4).sum() == 2
    assert (labels == 0).sum() == 198


def test_released_constants_can_be_set() -> None:
    maps, saliency = padded([[0.4]])[None], plane([0.9, 0.0, 1.0])
    assert released(maps, np.array([4]), saliency)[0, 0] == 4
    assert released(maps, np.array([4]), saliency, minimum_score=0.5)[0, 0] == VOID
    again = released(maps, np.array([4]), saliency, minimum_score=0.5, doubtful_saliency=1.0)
    assert again[0, 0] == 0


def test_released_of_8_bit_saliency_kept_in_float32_is_exact_at_the_edge() -> None:
    grey = np.array([[31, 32, 0, 255]], dtype=np.uint8)
    labels = released(
        padded([[0.0, 0.0]])[None], np.array([4]), grey.astype(np.float32) / np.float32(255)
    )
    assert labels[0].tolist() == [0, VOID, 0, 4]


def test_background_threshold_normalises_by_the_maximum_alone() -> None:
    maps = np.stack([plane([0.2, 0.1, 0.05]), plane([0.0, 0.5, 0.0])])
    # Over the maximum: 1, .5, .25 and 0, 1, 0.
    assert background_threshold(maps, np.array([3, 7]), threshold=0.3).tolist() == [[3, 7, 0]]
    assert background_threshold(maps, np.array([3, 7]), threshold=0.2).tolist() == [[3, 7, 3]]


# --- edges --------------------------------------------------------------------------------------

SIZE = (6, 9)
ZERO, ONE = np.zeros(SIZE, dtype=np.float32), np.ones(SIZE, dtype=np.float32)
NONE = np.zeros((0, *SIZE), dtype=np.float32)


@pytest.mark.parametrize(
    ("recipe", "maps", "saliency", "expected"),
    [
        ("algorithm1", NONE, ZERO, 0),
        ("algorithm1", NONE, ONE, 0),
        ("algorithm1", ZERO[None], ONE, 0),
        ("algorithm1", ZERO[None], ZERO, 0),
        ("algorithm1", ONE[None], ONE, 5),
        ("algorithm1", ONE[None], ZERO, 0),
        ("released", NONE, ZERO, VOID),  # no foreground: nothing in the image is trusted
        ("released", ZERO[None], ONE, VOID),
        ("released", ONE[None], ONE, VOID),  # min-max of a constant map is 0
        ("background_threshold", NONE, None, 0),
        ("background_threshold", ZERO[None], None, 0),
        ("background_threshold", ONE[None], None, 5),
        ("background_threshold", 0.01 * ONE[None], None, 5),
    ],
)
def test_empty_zero_and_constant_maps(
    recipe: str, maps: np.ndarray, saliency: np.ndarray | None, expected: int
) -> None:
    with np.errstate(all="raise"):
        labels = apply(recipe, maps, [5] * len(maps), saliency)
    assert labels.shape == SIZE
    assert (labels == expected).all()


@pytest.mark.parametrize("recipe", ["algorithm1", "released"])
def test_a_recipe_that_needs_saliency_says_so(recipe: str) -> None:
    with pytest.raises(BenchmarkError, match=f"{recipe} needs saliency maps"):
        apply(recipe, ONE[None], [5], None)


def test_maps_that_are_no_maps_are_refused() -> None:
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="leaves"):
            algorithm1(one_pixel(bad), np.array([1]), plane([0.5]))
        with pytest.raises(ValueError, match="leaves"):
            algorithm1(one_pixel(0.5), np.array([1]), plane([bad]))
    with pytest.raises(ValueError, match="negative"):
        background_threshold(one_pixel(0.5), np.array([1]), threshold=-0.1)
    with pytest.raises(ValueError, match="differ"):
        algorithm1(one_pixel(0.5), np.array([1, 2]), plane([0.5]))
    with pytest.raises(ValueError, match="differ"):
        algorithm1(one_pixel(0.5), np.array([1]), plane([0.5, 0.5]))
    for ids in ([0], [255]):
        with pytest.raises(ValueError, match="class ids"):
            algorithm1(one_pixel(0.5), np.array(ids), plane([0.5]))
    with pytest.raises(ValueError, match="class ids"):
        algorithm1(one_pixel(0.5, 0.5), np.array([3, 3]), plane([0.5]))


def test_recipes_are_found_by_name_and_their_constants_checked() -> None:
    assert find_recipe("released", ["conflict"]) == RECIPES["released"]
    with pytest.raises(BenchmarkError, match="'realeased': did you mean 'released'"):
        find_recipe("realeased")
    with pytest.raises(BenchmarkError, match="no constant 'wieght': did you mean 'weight'"):
        find_recipe("algorithm1", ["wieght"])


@pytest.mark.parametrize("name", RECIPES)
def test_the_listed_constants_are_those_a_recipe_takes(name: str) -> None:
    for constant in RECIPES[name].constants:
        apply(name, ONE[None], [5], ONE, **{constant: 0.5})
    with pytest.raises(TypeError):
        apply(name, ONE[None], [5], ONE, nonsense=0.5)


# --- resizing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(37, 50), (14, 14), (100, 14), (9, 31), (5, 4), (1, 1)])
def test_resize_equals_torchs_bilinear_with_half_pixel_centres(size: tuple[int, int]) -> None:
    import torch

    maps = np.random.default_rng(3).random((3, 14, 14), dtype=np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], size=size, mode="bilinear", align_corners=False
    )[0].numpy()
    resized = resize_maps(maps, size)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, atol=2e-6)


def test_resize_takes_half_precision_and_no_maps() -> None:
    maps = np.random.default_rng(3).random((2, 4, 5)).astype(np.float16)
    np.testing.assert_array_equal(
        resize_maps(maps, (9, 7)), resize_maps(maps.astype(np.float32), (9, 7))
    )
    assert resize_maps(np.zeros((0, 4, 5), dtype=np.float32), (9, 7)).shape == (0, 9, 7)


def test_resize_stays_in_the_range_of_each_map() -> None:
    """OpenCV alone leaves the range of one-column maps by a rounding in 1 of 6."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        maps = rng.random((2, rng.integers(1, 30), 1), dtype=np.float32)
        maps[1] = maps[1, 0, 0]
        height, width = rng.integers(1, 90, 2).tolist()
        for before, after in zip(maps, resize_maps(maps, (height, width)), strict=True):
            assert before.min() <= after.min()
            assert after.max() <= before.max()
