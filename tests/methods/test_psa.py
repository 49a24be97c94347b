"""PSA's classifier: both forms, loss and maps against references, what the profile changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.attention import attention_maps, build_optimiser, learning_rate
from benchmark.backbones import build_backbone
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Head, LabelledImages, Method
from benchmark.registry import build_method

CLASSES = 4
SLIM = Head(0.125)


def build(head: Head = SLIM, **options: Any) -> tuple[Method, nn.Module]:
    torch.manual_seed(0)
    method = build_method("psa", options)
    backbone = build_backbone("vgg16", width=0.125, output_stride=8)
    return method, method.network(backbone, CLASSES, head)


def batch(size: int = 2) -> Batch:
    images = torch.randn(size, 3, 32, 48, generator=torch.manual_seed(1))
    labels = torch.zeros(size, CLASSES)
    labels[0, [0, 2]] = 1
    labels[1:, 1] = 1
    return Batch(images, labels)


def kinds(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network.head]


def test_the_vgg_form_has_fc6_fc7_and_a_classifier_without_bias() -> None:
    _, network = build(Head())
    assert kinds(network) == [
        "Conv2d",
        "ReLU",
        "Dropout2d",
        "Conv2d",
        "ReLU",
        "Dropout2d",
        "Conv2d",
    ]
    shapes = [tuple(layer.weight.shape) for layer in network.head if isinstance(layer, nn.Conv2d)]
    assert shapes == [(1024, 64, 3, 3), (1024, 1024, 1, 1), (CLASSES, 1024, 1, 1)]
    assert [layer.p for layer in network.head if isinstance(layer, nn.Dropout2d)] == [0.5, 0.5]
    assert network.head[-1].bias is None
    assert network.bias is None


def test_the_plain_form_classifies_the_backbones_features() -> None:
    _, network = build(form="plain", dropout=0.25)
    assert kinds(network) == ["Dropout2d", "Conv2d"]
    assert network.head[0].p == 0.25
    assert network.head[1].weight.shape == (CLASSES, 64, 1, 1)
    assert [name for name, _ in network.named_parameters() if "backbone" not in name] == [
        "head.1.weight"
    ]


def test_the_released_form_is_that_of_the_backbone() -> None:
    """psa_affinitynet.md: on ResNet-38 drop-out and fc8 alone, and positive scores as they are."""
    method = build_method("psa", {})
    torch.manual_seed(3)
    backbone = build_backbone("resnet38", width=0.0625, norm_eval=True, frozen_blocks=2)
    network = method.network(backbone, CLASSES, SLIM).eval()
    assert kinds(network) == ["Dropout2d", "Conv2d"]
    data = batch()
    with torch.no_grad():
        maps = method.attention(network, data)
        expected = network(data.images).clamp(min=0) * data.labels[:, :, None, None]
    assert maps.shape == (2, CLASSES, 4, 6)
    assert expected.any()
    torch.testing.assert_close(maps, expected)
    _, on_vgg16 = build()
    assert len(kinds(on_vgg16)) == len(kinds(build(form="vgg16")[1])) == 7


@pytest.mark.parametrize("form", ["vgg16", "plain"])
def test_maps_are_what_the_form_says(form: str) -> None:
    """With a classifier and features written in, the maps can be worked out cell by cell."""
    method, network = build(form=form)
    network.eval()
    data = batch()
    with torch.no_grad():
        features = network.backbone(data.images)
        for layer in network.head[:-1]:
            features = layer(features)
        weights = network.head[-1].weight[:, :, 0, 0].double().numpy()
        maps = method.attention(network, data).numpy()
    values = features.double().numpy()
    positive = 0
    for image in range(2):
        for index in range(CLASSES):
            for y in range(4):
                for x in range(6):
                    score = float(np.dot(weights[index], values[image, :, y, x]))
                    expected = max(score, 0.0) if data.labels[image, index] else 0.0
                    positive += expected > 0
                    expected = expected**0.5 if form == "vgg16" else expected
                    assert maps[image, index, y, x] == pytest.approx(expected, abs=1e-4)
    assert positive > 3


@pytest.mark.parametrize("bias", [0.0, -2.5])
def test_loss_and_scores_by_numpy(bias: float) -> None:
    method, network = build(Head(0.125, classifier_bias=bias))
    network.eval()
    data = batch()
    with torch.no_grad():
        scores = method.class_scores(network, data.images, None).double().numpy()
        maps = network(data.images).double().numpy()
        loss = float(method.losses(network, data)["classification"])
    np.testing.assert_allclose(scores, maps.mean(axis=(2, 3)) + bias, atol=1e-5)
    total = 0.0
    for image in range(2):
        for index in range(CLASSES):
            probability = 1 / (1 + np.exp(-scores[image, index]))
            truth = float(data.labels[image, index])
            total -= truth * np.log(probability) + (1 - truth) * np.log(1 - probability)
    assert loss == pytest.approx(total / (2 * CLASSES), rel=1e-5)


def test_a_bias_is_added_to_the_scores_and_not_to_the_maps() -> None:
    method, with_bias = build(Head(0.125, classifier_bias=-2.5))
    _, without = build()
    with_bias.eval(), without.eval()
    assert with_bias.bias.tolist() == [-2.5] * CLASSES
    with torch.no_grad():
        assert torch.equal(method.attention(with_bias, batch()), method.attention(without, batch()))
    loss = method.losses(with_bias, batch())["classification"]
    loss.backward()
    assert bool(with_bias.bias.grad.abs().sum() > 0)


def test_whole_channels_are_dropped() -> None:
    _, network = build()
    network.train()
    features = torch.ones(1, 128, 4, 4)
    dropped = network.head[2](features)
    per_channel = dropped.flatten(2)[0]
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert bool((per_channel == per_channel[:, :1]).all())


def test_recipe_is_the_releases() -> None:
    recipe = build_method("psa", {}).training()
    assert (recipe.iterations, recipe.batch_size) == (9915, 16)  # 15 × ⌊10,582 / 16⌋
    assert learning_rate(recipe, 0) == pytest.approx(0.1)
    assert learning_rate(recipe, 9915 // 2) == pytest.approx(0.1 * 0.5**0.9, rel=1e-3)
    assert (recipe.view, recipe.side, recipe.crop) == ("longer_side", (256, 512), 448)
    _, network = build(Head(0.125, classifier_bias=-1.0))
    optimiser = build_optimiser(network, recipe)
    groups = {(g["rate"], g["weight_decay"]): len(g["params"]) for g in optimiser.param_groups}
    assert groups == {(1.0, 5e-4): 13, (2.0, 0.0): 13, (10.0, 5e-4): 3, (20.0, 0.0): 3}
    assert {group["momentum"] for group in optimiser.param_groups} == {5e-4}
    assert build_method("psa", {"momentum": 0.9}).training().momentum == 0.9


def test_maps_are_summed_over_four_scales_and_their_mirrors() -> None:
    method, network = build()
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    data = LabelledImages([image], np.array([[True, False, True, False]]))
    seen: list[tuple[int, ...]] = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    maps, background = attention_maps(method, network, data, 32)
    assert [(shape[0], shape[2]) for shape in seen] == [(2, 64), (2, 48), (2, 32), (2, 16)]
    assert background is None
    assert maps.shape == (1, CLASSES, 8, 8)
    assert [float(one.max()) in (0.0, 1.0) for one in maps[0]] == [True] * CLASSES
    assert not maps[0, [1, 3]].any()


def test_an_unknown_form_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="option 'form'"):
        build_method("psa", {"form": "resnet"})
