"""Seeded region growing against hand-drawn maps and a flood fill."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.segmentation.region_growing import grow

VOID = 255


def draw(*rows: str) -> np.ndarray:
    """Seeds from pictures: digits are classes, a dot is void."""
    return np.array([[VOID if c == "." else int(c) for c in row] for row in rows])


def sure(*rows: str, confidence: float = 0.995, classes: int = 4) -> np.ndarray:
    """Probabilities (L, h, w) with the drawn class at ``confidence``; a dot is undecided."""
    ids = draw(*rows)
    probabilities = np.full((classes, *ids.shape), (1 - confidence) / (classes - 1))
    for class_id in range(classes):
        probabilities[class_id][ids == class_id] = confidence
        probabilities[class_id][ids == VOID] = 1 / classes
    return probabilities


ALL = np.ones(3, dtype=bool)


def test_a_seed_fills_its_region_and_no_other() -> None:
    seeds = draw("1....", ".....", "....2")
    found = grow(seeds, sure("11.11", "1..1.", "1.222"), ALL)
    assert np.array_equal(found, draw("11...", "1....", "1.222"))


def test_corners_connect() -> None:
    found = grow(draw("1..", "...", "..."), sure("1..", ".1.", "..1"), ALL)
    assert np.array_equal(found, draw("1..", ".1.", "..1"))


def test_seeds_bridge_where_the_network_is_unsure() -> None:
    found = grow(draw(".11.", "...."), sure("1..1", "...."), ALL)
    assert np.array_equal(found, draw("1111", "...."))


def test_another_seed_keeps_its_class() -> None:
    found = grow(draw("1.2."), sure("1111"), ALL)
    assert np.array_equal(found, draw("1121"))


def test_a_seed_of_a_class_that_the_image_lacks_stays_and_does_not_grow() -> None:
    present = np.array([True, False, True])
    found = grow(draw("2..1"), sure("22.1"), present)
    assert np.array_equal(found, draw("2..1"))


def test_candidates_are_the_background_and_present_classes_alone() -> None:
    """Class 3 is the most probable but absent: class 1, at 0.1, is not accepted."""
    probabilities = np.array([0.0, 0.1, 0.0, 0.9])[:, None, None] * np.ones((1, 2))
    seeds = draw("1.")
    assert np.array_equal(grow(seeds, probabilities, np.array([True, False, False])), seeds)
    low = grow(seeds, probabilities, np.array([True, False, False]), foreground=0.05)
    assert np.array_equal(low, draw("11"))


@pytest.mark.parametrize(
    ("class_id", "confidence", "grows"),
    [(1, 0.85, False), (1, 0.86, True), (0, 0.98, False), (0, 0.99, False), (0, 0.991, True)],
)
def test_thresholds_are_exceeded_not_met(class_id: int, confidence: float, grows: bool) -> None:
    found = grow(
        draw(f"{class_id}."),
        sure(f"{class_id}{class_id}", confidence=confidence),
        ALL,
    )
    assert found[0, 1] == (class_id if grows else VOID)


def test_no_seeds_and_all_seeds() -> None:
    nothing = draw("...", "...")
    assert np.array_equal(grow(nothing, sure("111", "000"), ALL), nothing)
    everything = draw("012", "333")
    assert np.array_equal(grow(everything, sure("111", "111"), ALL), everything)


def test_an_image_without_classes_grows_its_background() -> None:
    found = grow(draw("0.."), sure("001"), np.zeros(3, dtype=bool))
    assert np.array_equal(found, draw("00."))


def test_the_seeds_given_are_not_altered() -> None:
    seeds = draw("1.")
    grow(seeds, sure("11"), ALL)
    assert np.array_equal(seeds, draw("1."))


def flood(seeds: np.ndarray, probabilities: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Walk from each seed, cell by cell, over accepted cells and seeds of its class."""
    height, width = seeds.shape
    known = [0, *[1 + c for c in range(len(present)) if present[c]]]
    grown = seeds.copy()
    for class_id in known:

        def passable(row: int, column: int, class_id: int = class_id) -> bool:
            if seeds[row, column] == class_id:
                return True
            values = {c: probabilities[c, row, column] for c in known}
            best = max(known, key=lambda c: values[c])
            return best == class_id and values[best] > (0.6 if class_id else 0.7)

        waiting = [tuple(cell) for cell in np.argwhere(seeds == class_id)]
        seen = set(waiting)
        while waiting:
            row, column = waiting.pop()
            if seeds[row, column] == VOID:
                grown[row, column] = class_id
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    cell = (row + down, column + right)
                    inside = 0 <= cell[0] < height and 0 <= cell[1] < width
                    if inside and cell not in seen and passable(*cell):
                        seen.add(cell)
                        waiting.append(cell)
    return grown


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_a_flood_fill_on_noise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = 4 * rng.standard_normal((4, 9, 13))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=0)
    seeds = np.where(rng.random((9, 13)) < 0.15, rng.integers(0, 4, (9, 13)), VOID)
    present = np.array([True, seed % 2 == 0, True])
    found = grow(seeds, probabilities, present, 0.6, 0.7)
    assert np.array_equal(found, flood(seeds, probabilities, present))
    assert (found != seeds).any()
