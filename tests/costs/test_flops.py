"""Counts of arithmetic, against sums by hand, and against one another where they must agree."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from benchmark.backbones import VGG16
from benchmark.costs import flops
from benchmark.costs.flops import counted, stage_flops
from benchmark.graph import StageGraph
from benchmark.method import Head, TrainingRecipe
from benchmark.profiles import load_profile
from benchmark.store import Stage
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

RECIPE = TrainingRecipe(iterations=100, batch_size=4, crop=64, test_size=64)


def attention_stage(method: str = "cam", **changes: Any) -> Stage:
    recipe = dataclasses.replace(RECIPE, **changes)
    return Stage(
        "attention",
        {
            "method": method,
            "options": {},
            "recipe": dataclasses.asdict(recipe),
            "backbone": {
                "architecture": "vgg16",
                "options": {"width": 0.25},
                "head": dataclasses.asdict(Head(width=0.125)),
            },
        },
    )


def test_a_convolution_by_hand() -> None:
    """Two operations a product: 8 filters of 3 · 9 weights on 10 by 10 cells of 2 images."""
    layer, images = nn.Conv2d(3, 8, 3, padding=1), torch.rand(2, 3, 10, 10)
    once = 2 * 8 * 27 * 100 * 2
    assert counted(lambda: layer(images)) == once
    assert counted(lambda: layer(images).sum().backward()) == 2 * once  # weights learn
    images.requires_grad_()
    assert counted(lambda: layer(images).sum().backward()) == 3 * once  # images, too


def test_a_convolution_in_groups_by_hand() -> None:
    """Each of 8 filters sees one channel: 9 weights."""
    layer, images = nn.Conv2d(8, 8, 3, padding=1, groups=8), torch.rand(1, 8, 10, 10)
    once = 2 * 8 * 9 * 100
    images.requires_grad_()
    assert counted(lambda: layer(images)) == once
    assert counted(lambda: layer(images).sum().backward()) == 3 * once


def test_a_transposed_convolution_by_hand() -> None:
    """4 · 6 · 2 · 2 weights for every cell of the smaller side."""
    layer = nn.ConvTranspose2d(4, 6, 2, stride=2)
    images = torch.rand(1, 4, 5, 5, requires_grad=True)
    once = 2 * 4 * 6 * 4 * 25
    assert counted(lambda: layer(images)) == once
    assert counted(lambda: layer(images).sum().backward()) == 3 * once


def test_a_gradient_within_a_loss_is_counted() -> None:
    """Forward, gradient by the images, then of both by the weights; no more than that."""
    layer, images = nn.Linear(5, 7), torch.rand(3, 5, requires_grad=True)
    once = 2 * 3 * 5 * 7

    def work() -> None:
        (gradient,) = torch.autograd.grad(layer(images).sum(), images)
        assert gradient.shape == images.shape

    assert counted(work) == 2 * once


def test_vgg16_takes_the_15_billion_products_that_its_paper_is_known_for() -> None:
    """He et al. (2016, table 1 and fig. 3) give the VGG networks' products; convolutions here."""
    cells = {64: 224, 128: 112, 256: 56, 512: 28}
    products = (3 * 64 + 64 * 64) * 9 * cells[64] ** 2
    products += (64 * 128 + 128 * 128) * 9 * cells[128] ** 2
    products += (128 * 256 + 2 * 256 * 256) * 9 * cells[256] ** 2
    products += (256 * 512 + 2 * 512 * 512) * 9 * cells[512] ** 2
    products += 3 * 512 * 512 * 9 * 14**2
    assert round(products / 1e9, 1) == 15.3
    with torch.device("meta"):
        network, images = VGG16(), torch.rand(1, 3, 224, 224)
    assert counted(lambda: network(images)) == 2 * products


def test_a_training_costs_its_steps_times_its_images() -> None:
    one = stage_flops(attention_stage(), {})
    assert one is not None
    assert stage_flops(attention_stage(iterations=300), {}) == pytest.approx(3 * one)
    assert stage_flops(attention_stage(batch_size=8), {}) == pytest.approx(2 * one)
    assert stage_flops(attention_stage(crop=128), {}) == pytest.approx(4 * one)
    step = flops.training_step_flops(attention_stage(iterations=300).config)
    assert step == pytest.approx(one / 100)


def test_three_trainings_cost_three_times_as_much_as_one() -> None:
    """Adversarial erasing trains CAM's network three times."""
    one, three = (stage_flops(attention_stage(name), {}) for name in ("cam", "ae"))
    assert one is not None
    assert three == pytest.approx(3 * one)


def test_what_depends_on_values_is_counted_on_small_images() -> None:
    with torch.device("meta"):
        network = VGG16(width=0.25)
        whole = counted(lambda: network(torch.rand(1, 3, 128, 128)))

    def looks_at_values(side: int) -> float:
        images = torch.rand(1, 3, side, side)
        assert float(images.sum()) > 0  # a tensor without values cannot say
        small = VGG16(width=0.25)
        return counted(lambda: small(images))

    assert flops._by_shapes_or_small(looks_at_values, 128) == pytest.approx(whole)


def test_a_method_that_looks_at_the_labels_is_counted_all_the_same() -> None:
    """EADER trains two networks on copies of the images: more than one network on the images."""
    cam, eader = (stage_flops(attention_stage(name), {}) for name in ("cam", "eader"))
    assert cam is not None
    assert eader is not None
    assert 1.3 * cam < eader < 4 * cam


def test_maps_cost_their_images_views_and_scales() -> None:
    trained = attention_stage()
    maps = Stage("maps", {"split": "val", "size": 64, "options": {}}, {"attention": trained})
    found = stage_flops(maps, {"val": 10, "train_aug": 20})
    assert found is not None
    training = stage_flops(trained, {})
    assert training is not None
    forward = found / 10 / 2  # the image and its mirror image
    # a training step: forward, both gradients, but for the first layer's by the images
    first = 2 * 3 * 16 * 9 * 64**2
    assert training == pytest.approx(100 * 4 * (3 * forward - first))


def test_the_scenes_segmentation_is_counted_by_its_config() -> None:
    graph = StageGraph(load_profile("scenes"), UserFiles())
    table = load_table("seenet_table1")
    row = next(row for row in table.rows if row.ours)
    column = next(column for column in table.columns if column.evaluation)
    prediction = graph.prediction(row, column, 0)
    one = stage_flops(prediction, {"val": 1})
    assert one is not None
    assert one > 0
    assert stage_flops(prediction, {"val": 150}) == 150 * one
    mirrored = dataclasses.replace(prediction, config={**prediction.config, "flip": True})
    assert stage_flops(mirrored, {"val": 1}) == 2 * one
    training = stage_flops(graph.segmentation(row, 0), {})
    assert training is not None
    # 450 steps of 10 images of 97 pixels, three times a prediction of one image of 96 pixels
    assert training == pytest.approx(450 * 10 * 3 * one * (97 / 96) ** 2, rel=0.15)


def test_a_stage_without_a_known_network_is_not_counted() -> None:
    assert stage_flops(Stage("score", {}), {}) is None
    assert stage_flops(Stage("saliency_network", {}), {}) is None
