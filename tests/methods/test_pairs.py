"""The pairs of images and their classes, by hand."""

from __future__ import annotations

import torch

from methods.nn.pairs import (
    mean_over_classes,
    mean_over_images,
    mean_over_pairs,
    pair_classes,
    pair_images,
    placed,
)

LABELS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
VALUES = torch.tensor([2.0, 4.0, 8.0, 16.0])
NONE = torch.zeros(2, 3)


def test_pairs_go_image_by_image_and_class_by_class() -> None:
    assert pair_images(LABELS).tolist() == [0, 0, 2, 3]
    assert pair_classes(LABELS).tolist() == [0, 2, 1, 2]
    assert pair_images(NONE).tolist() == pair_classes(NONE).tolist() == []


def test_maps_stand_at_their_places_and_absent_classes_have_none() -> None:
    dense = placed(VALUES[:, None, None].expand(4, 1, 2), LABELS)
    assert dense.shape == (4, 3, 1, 2)
    assert dense[..., 0, 1].tolist() == [[2, 0, 4], [0, 0, 0], [0, 8, 0], [0, 0, 16]]


def test_means_differ_in_what_they_count() -> None:
    assert mean_over_pairs(VALUES) == (2 + 4 + 8 + 16) / 4
    assert mean_over_classes(VALUES, LABELS) == (2 + 4 + 8 + 16) / 12
    assert mean_over_images(VALUES, LABELS) == ((2 + 4) / 2 + 0 + 8 + 16) / 4


def test_the_means_of_nothing_are_0() -> None:
    nothing = torch.zeros(0)
    assert mean_over_pairs(nothing) == 0
    assert mean_over_classes(nothing, NONE) == 0
    assert mean_over_images(nothing, NONE) == 0
