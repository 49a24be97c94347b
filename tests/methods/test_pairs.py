"""The pairs of images and their classes, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attention import Trainer, attention_maps
from benchmark.method import Batch, InferenceRecipe, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress
from methods.cam import CAM
from methods.nn.pairs import (
    mean_over_classes,
    mean_over_images,
    mean_over_pairs,
    pairs_in,
    pairs_of,
    placed,
)

HOST = torch.device("cpu")
LABELS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
PAIRS = pairs_in(LABELS, HOST)
VALUES = torch.tensor([2.0, 4.0, 8.0, 16.0])
NONE = pairs_in(torch.zeros(2, 3), HOST)


def test_pairs_go_image_by_image_and_class_by_class() -> None:
    assert PAIRS.images.tolist() == [0, 0, 2, 3]
    assert PAIRS.classes.tolist() == [0, 2, 1, 2]
    assert PAIRS.shape == (4, 3)


def test_pairs_know_their_rank_and_how_many_classes_their_image_holds() -> None:
    assert PAIRS.ranks.tolist() == [0, 1, 0, 0]
    assert PAIRS.held.tolist() == [2, 2, 1, 1]
    assert PAIRS.kth[PAIRS.ranks, PAIRS.images].tolist() == PAIRS.classes.tolist()
    assert PAIRS.kth.shape == (2, 4)


def test_images_without_classes_have_no_pair_and_a_kth_class_all_the_same() -> None:
    for each in (NONE.images, NONE.classes, NONE.ranks, NONE.held):
        assert each.tolist() == []
    assert NONE.kth.shape == (1, 2)


def test_labels_on_the_host_are_asked_where_a_batch_has_them() -> None:
    images, unread = torch.zeros(4, 3, 8, 8, device="meta"), LABELS.to("meta")
    sent = pairs_of(Batch(images, unread, labels_on_host=LABELS))
    assert sent.images.device == sent.kth.device == unread.device
    assert sent.images.shape == (4,) and sent.kth.shape == (2, 4)
    read_back = pairs_of(Batch(images, LABELS))
    assert torch.equal(read_back.classes, PAIRS.classes)


def test_batches_come_with_their_labels_on_the_host(tmp_path: Path) -> None:
    seen: list[Batch] = []
    data = LabelledImages([np.zeros((16, 20, 3), np.uint8)] * 4, LABELS.numpy() > 0)
    recipe = TrainingRecipe(iterations=2, batch_size=2, crop=16, view="warp", test_size=16)
    trainer = Trainer(
        data, recipe, seed=0, scratch=tmp_path, progress=SilentProgress(), label="seen"
    )

    def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        seen.append(batch)
        return {"one": network(batch.images).mean()}

    class Seeing(CAM):
        def attention(self, network: Any, batch: Batch) -> Tensor:
            seen.append(batch)
            return torch.zeros(*batch.labels.shape, 2, 2)

        def inference(self) -> InferenceRecipe:
            return InferenceRecipe(flip=True)

    trainer.run(nn.Conv2d(3, 1, 1), losses)
    attention_maps(Seeing(), nn.Conv2d(3, 1, 1), data, 16)
    assert len(seen) == 2 + 1  # steps, and the images with their mirror images
    for batch in seen:
        assert batch.labels_on_host is not None
        assert batch.labels_on_host.device == HOST
        assert torch.equal(batch.labels_on_host, batch.labels.cpu())
    assert torch.equal(seen[-1].labels, torch.cat([LABELS, LABELS]))


def test_maps_stand_at_their_places_and_absent_classes_have_none() -> None:
    dense = placed(VALUES[:, None, None].expand(4, 1, 2), PAIRS)
    assert dense.shape == (4, 3, 1, 2)
    assert dense[..., 0, 1].tolist() == [[2, 0, 4], [0, 0, 0], [0, 8, 0], [0, 0, 16]]


def test_means_differ_in_what_they_count() -> None:
    assert mean_over_pairs(VALUES) == (2 + 4 + 8 + 16) / 4
    assert mean_over_classes(VALUES, PAIRS) == (2 + 4 + 8 + 16) / 12
    assert mean_over_images(VALUES, PAIRS) == ((2 + 4) / 2 + 0 + 8 + 16) / 4


def test_the_means_of_nothing_are_0() -> None:
    nothing = torch.zeros(0)
    assert mean_over_pairs(nothing) == 0
    assert mean_over_classes(nothing, NONE) == 0
    assert mean_over_images(nothing, NONE) == 0
