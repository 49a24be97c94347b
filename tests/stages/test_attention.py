"""Which images the maps stage looks at together, and what is measured of a network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmark.backbones import build_backbone
from benchmark.data.voc import VocDataset
from benchmark.method import Head
from benchmark.registry import build_method
from benchmark.stages.attention import OWN_SHAPE_BATCH, _looked_at_together, measured


def test_squares_are_looked_at_all_at_once() -> None:
    images = [np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)]
    assert [list(places) for places in _looked_at_together(images, False, OWN_SHAPE_BATCH)] == [
        [0, 1]
    ]


def test_images_that_keep_their_shape_are_looked_at_with_their_like_and_each_once() -> None:
    shapes = [(4, 5), (5, 4), (4, 5), (4, 4), *[(5, 4)] * OWN_SHAPE_BATCH]
    images = [np.zeros((*shape, 3), np.uint8) for shape in shapes]
    groups = [list(places) for places in _looked_at_together(images, True, OWN_SHAPE_BATCH)]
    assert sorted(place for places in groups for place in places) == list(range(len(shapes)))
    assert all(len(places) <= OWN_SHAPE_BATCH for places in groups)
    assert all(len({shapes[place] for place in places}) == 1 for places in groups)
    assert groups[:2] == [[0, 2], [1, 4, 5, 6]]


def test_a_classifier_that_sees_saliency_is_not_scored_without_maps_of_val(tmp_path: Path) -> None:
    method = build_method("sgan", {})
    backbone = build_backbone("vgg16", width=1 / 16, output_stride=8)
    network = method.network(backbone, 2, Head(width=1 / 16))
    work: Any = SimpleNamespace(inputs={"saliency_train": tmp_path})
    absent = VocDataset(tmp_path / "absent")  # no image is looked at
    found = measured(work, method, network, absent, 32)
    assert found == {"parameters": sum(one.numel() for one in network.parameters())}
