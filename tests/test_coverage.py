"""Scores of the labelled pixels, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmark.coverage import labelled_share, right_share

# Rows the truth, columns the label, the last column void: 20 pixels, 8 labelled, 6 of them right.
COUNTS = np.array([[4, 1, 10], [1, 2, 2]])


def test_shares_are_of_all_pixels_and_of_the_labelled_ones() -> None:
    assert labelled_share(COUNTS) == 8 / 20
    assert right_share(COUNTS) == 6 / 8


def test_pixels_of_several_images_are_summed_before_they_are_divided() -> None:
    second = np.array([[0, 0, 5], [0, 2, 0]])
    both = np.stack([COUNTS, second])
    assert labelled_share(both) == 10 / 27
    assert right_share(both) == 8 / 10


def test_without_a_labelled_pixel_nothing_is_right_or_wrong() -> None:
    void = np.array([[0, 0, 5], [0, 0, 3]])
    assert labelled_share(void) == 0
    assert math.isnan(right_share(void))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not \(2, 2\)"):
        labelled_share(np.zeros((2, 2), int))
