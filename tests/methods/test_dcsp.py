"""DCSP: the 1×1 classifier, what its loss trains, and the maps from three scales."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.attention import attention_maps, build_optimiser, learning_rate, parameter_groups
from benchmark.backbones import build_backbone
from benchmark.batches import to_tensor
from benchmark.method import Batch, Head, LabelledImages
from methods.dcsp import DCSP, DcspNetwork

CLASSES = 3


class NormBackbone(nn.Module):
    """One strided convolution with batch norm and dropout: what a frozen one must keep still."""

    channels = 4
    output_stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=4, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def build(backbone: nn.Module | None = None, **options: Any) -> tuple[DCSP, Any]:
    torch.manual_seed(0)
    method = DCSP(DCSP.Options(**options))
    backbone = backbone or build_backbone("vgg16", width=0.125, output_stride=8)
    return method, method.network(backbone, CLASSES, Head(init_gain=20.0))


def batch(height: int = 32, width: int = 40) -> Batch:
    images = torch.randn(2, 3, height, width, generator=torch.manual_seed(1))
    return Batch(images, torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))


def scores_by_hand(network: DcspNetwork, images: Tensor) -> np.ndarray:
    """The linear layer of every cell, in float64 loops over the backbone's features."""
    with torch.no_grad():
        features = network.backbone(images).double().numpy()
    layer = network.head[-1]
    weight = layer.weight.detach().double().numpy()[:, :, 0, 0]
    bias = layer.bias.detach().double().numpy()
    count, _, height, width = features.shape
    maps = np.empty((count, CLASSES, height, width))
    for image, y, x in np.ndindex(count, height, width):
        for index in range(CLASSES):
            maps[image, index, y, x] = bias[index] + sum(weight[index] * features[image, :, y, x])
    return maps


def test_the_head_is_one_linear_layer_of_every_cell() -> None:
    _, network = build()
    network.eval()
    assert [type(layer) for layer in network.head] == [nn.Conv2d]
    with torch.no_grad():
        network.head[-1].bias.copy_(torch.tensor([0.3, -0.2, 0.1]))
        found = network(batch().images)
    assert found.shape == (2, CLASSES, 4, 5)
    np.testing.assert_allclose(found, scores_by_hand(network, batch().images), atol=1e-5)


def test_the_new_layer_starts_from_the_released_gaussian() -> None:
    method = DCSP()
    torch.manual_seed(0)
    network: Any = method.network(build_backbone("vgg16"), 20, Head())
    assert network.head[-1].weight.std().item() == pytest.approx(0.01, rel=0.03)
    assert not network.head[-1].bias.any()
    assert sum(parameter.numel() for parameter in network.head.parameters()) == 20 * 512 + 20


def test_the_loss_is_sigmoid_cross_entropy_of_the_mean_score() -> None:
    method, network = build()
    network.eval()
    data = batch()
    found = method.losses(network, data)
    maps = scores_by_hand(network, data.images)
    terms = []
    for image, index in np.ndindex(2, CLASSES):
        score = sum(maps[image, index].ravel()) / maps[image, index].size
        probability = 1 / (1 + math.exp(-score))
        present = bool(data.labels[image, index])
        terms.append(-math.log(probability if present else 1 - probability))
    assert list(found) == ["classification"]
    assert found["classification"].item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    np.testing.assert_allclose(
        method.class_scores(network, data.images, None).detach(), maps.mean((2, 3)), atol=1e-5
    )


def step(method: DCSP, network: nn.Module) -> set[str]:
    """Train one step with the recipe's own optimiser; return the parts that changed."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    optimiser = build_optimiser(network, method.training())
    loss = method.losses(network, batch())["classification"]
    loss.backward()
    optimiser.step()
    after = network.state_dict()
    return {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}


def test_only_the_new_layer_is_trained() -> None:
    method, network = build(NormBackbone())
    assert step(method, network) == {"head"}
    assert all(parameter.grad is None for parameter in network.backbone.parameters())
    groups = parameter_groups(network, method.training())
    assert {(g["rate"], g["weight_decay"]): len(g["params"]) for g in groups} == {
        (10.0, 5e-4): 1,
        (20.0, 0.0): 1,
    }


def test_a_frozen_backbone_never_drops_out_and_keeps_its_statistics() -> None:
    _, network = build(NormBackbone())
    network.train()
    assert network.head.training
    assert not any(module.training for module in network.backbone.modules())
    assert torch.equal(network(batch().images), network(batch().images))
    network.eval()
    network.train()
    assert not network.backbone.training


def test_the_backbone_can_be_trained_too() -> None:
    method, network = build(NormBackbone(), train_backbone=True)
    assert step(method, network) == {"head", "backbone"}
    network.train()
    assert network.backbone.training
    groups = parameter_groups(network, method.training())
    assert {g["rate"] for g in groups} == {1.0, 2.0, 10.0, 20.0}


def test_attention_is_the_score_itself_of_present_classes_and_0_of_absent_ones() -> None:
    method, network = build()
    network.eval()
    with torch.no_grad():
        network.head[-1].bias.fill_(-1.0)
        maps = method.attention(network, batch())
    expected = scores_by_hand(network, batch().images)
    for image, index in np.ndindex(2, CLASSES):
        if batch().labels[image, index]:
            np.testing.assert_allclose(maps[image, index], expected[image, index], atol=1e-5)
            assert (expected[image, index] < 0).any()
        else:
            assert not maps[image, index].any()


def resized(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear with half-pixel centres and repeated edges, one cell at a time."""
    rows, columns = plane.shape
    found = np.empty(size)
    for y, x in np.ndindex(*size):
        v = min(max((y + 0.5) * rows / size[0] - 0.5, 0), rows - 1)
        u = min(max((x + 0.5) * columns / size[1] - 0.5, 0), columns - 1)
        top, left = int(v), int(u)
        low, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
        above = plane[top, left] * (left + 1 - u) + plane[top, right] * (u - left)
        below = plane[low, left] * (left + 1 - u) + plane[low, right] * (u - left)
        found[y, x] = above * (top + 1 - v) + below * (v - top)
    return found


def test_maps_are_the_min_max_of_the_maximum_over_three_scales() -> None:
    method, network = build()
    network.eval()
    with torch.no_grad():
        network.head[-1].bias.fill_(-2.0)  # every score is negative
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (40, 56, 3), dtype=np.uint8) for _ in range(2)]
    labels = np.array([[True, False, True], [False, True, False]])
    found, background = attention_maps(method, network, LabelledImages(pictures, labels), 64)
    assert background is None
    assert found.shape == (2, CLASSES, 8, 8)
    assert not found[~labels].any()
    differs = 0.0
    for image, index in np.argwhere(labels):
        views = []
        for size in (64, 48, 32):
            small = cv2.resize(pictures[image], (size, size), interpolation=cv2.INTER_LINEAR)
            scores = scores_by_hand(network, to_tensor([small]))[0, index]
            views.append(resized(scores, (8, 8)))
        assert max(view.max() for view in views) < 0
        highest = np.maximum(np.maximum(views[0], views[1]), views[2])
        expected = (highest - highest.min()) / (highest.max() - highest.min())
        np.testing.assert_allclose(found[image, index], expected, atol=2e-4)
        alone = [(view - view.min()) / (view.max() - view.min()) for view in views]
        differs = max(differs, np.abs(np.max(alone, axis=0) - expected).max())
    assert differs > 0.05  # normalising each scale by itself would give something else


def test_a_constant_map_is_no_attention_and_a_single_image_is_enough() -> None:
    method, network = build()
    network.eval()
    with torch.no_grad():
        network.head[-1].weight.zero_()
        network.head[-1].bias.fill_(3.0)
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    data = LabelledImages([image], np.array([[True, True, False]]))
    found, _ = attention_maps(method, network, data, 32)
    assert found.shape == (1, CLASSES, 4, 4)
    assert not found.any()


def test_the_released_constants() -> None:
    """train_fcan.py and get_localization.py, written here by hand."""
    recipe, reading = DCSP().training(), DCSP().inference()
    assert (recipe.optimiser, recipe.momentum, recipe.nesterov) == ("sgd", 0.9, False)
    assert (recipe.batch_size, recipe.iterations, recipe.crop) == (10, 30_000, 321)
    assert (recipe.weight_decay, recipe.head_rate, recipe.bias_rate) == (5e-4, 10.0, 2.0)
    assert (recipe.side, recipe.view, recipe.flip) == ((250, 750), "longer_side", True)
    assert (recipe.colour, recipe.warm_up, recipe.clip) == (0.0, 0, None)
    rates = [learning_rate(recipe, at) for at in (0, 15_000, 29_999)]
    assert rates == pytest.approx([1e-3, 1e-3 * 0.5**0.9, 1e-3 * (1 / 30_000) ** 0.9])
    assert (reading.scales, reading.flip) == ((1.0, 0.75, 0.5), False)
    assert (reading.fusion, reading.normalise) == ("maximum", "min_max")
    assert DCSP.supervision == "I+S"
    assert not DCSP.needs_saliency  # its labels do, its network does not


def test_deeplabs_vgg_has_a_cell_for_every_eighth_pixel() -> None:
    backbone = build_backbone("vgg16", width=0.0625, **DCSP.backbone_options)
    _, network = build(backbone)
    assert network.eval()(torch.zeros(1, 3, 321, 321)).shape == (1, CLASSES, 41, 41)
