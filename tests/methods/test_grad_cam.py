"""Grad-CAM, CAM, the soft mask and the erased copies against references written another way."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from methods.nn.grad_cam import (
    Classifier,
    cam,
    erased_copies,
    erased_probability,
    grad_cam,
    resized,
    soft_mask,
    spread,
)
from methods.nn.pairs import pairs_in, placed

LABELS = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
HOST = torch.device("cpu")
PRESENT = pairs_in(LABELS, HOST)
PAIRS = [(0, 0), (0, 2), (2, 1), (3, 0), (3, 1), (3, 2)]


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1)).double()


def curved() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1)).double()


def features(images: int = 4) -> Tensor:
    generator = torch.manual_seed(1)
    return torch.randn(images, 2, 3, 4, dtype=torch.float64, generator=generator).requires_grad_()


def differentiated(head: nn.Module, values: NDArray[np.float64], label: int) -> list[float]:
    """Return the spatial mean of d logit / d feature (D,) of one image, by central differences."""
    step, means = 1e-5, []
    for channel in range(values.shape[0]):
        slopes = []
        for cell in np.ndindex(*values.shape[1:]):
            logit = []
            for sign in (1, -1):
                moved = values.copy()
                moved[(channel, *cell)] += sign * step
                with torch.no_grad():
                    logit.append(float(head(torch.from_numpy(moved)[None])[0, label].mean()))
            slopes.append((logit[0] - logit[1]) / (2 * step))
        means.append(float(np.mean(slopes)))
    return means


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("build", [linear, curved])
def test_grad_cam_against_finite_differences(
    build: Callable[[], nn.Sequential], second_order: bool
) -> None:
    head, inputs = build(), features()
    maps = grad_cam(inputs, head(inputs), PRESENT, second_order=second_order)
    assert maps.shape == (6, 3, 4)
    for found, (image, label) in zip(maps, PAIRS, strict=True):
        values = inputs[image].detach().numpy()
        weights = differentiated(head, values, label)
        total = sum(weight * plane for weight, plane in zip(weights, values, strict=True))
        np.testing.assert_allclose(found.detach().numpy(), np.maximum(total, 0), atol=1e-9)
    assert bool((maps > 0).any()) and bool((maps == 0).any())


def test_with_a_linear_head_grad_cam_is_the_positive_part_of_cam_over_the_number_of_cells() -> None:
    head, inputs = linear(), features()
    weights = head[0].weight[:, :, 0, 0]
    plain = cam(inputs, weights, PRESENT).detach().numpy()
    for found, (image, label) in zip(plain, PAIRS, strict=True):
        expected = np.zeros((3, 4))
        for channel in range(2):
            expected += weights[label, channel].item() * inputs[image, channel].detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (plain < 0).any()
    gradient = grad_cam(inputs, head(inputs), PRESENT).detach().numpy()
    np.testing.assert_allclose(gradient, np.maximum(plain, 0) / 12, atol=1e-12)


def test_constant_weights_leave_the_features_as_the_only_way_for_gradients() -> None:
    head, inputs = curved(), features()
    maps = grad_cam(inputs, head(inputs), PRESENT)
    (gradient,) = torch.autograd.grad(maps.sum(), inputs, retain_graph=True)
    expected = np.zeros((4, 2, 3, 4))
    for index, (image, label) in enumerate(PAIRS):
        weights = differentiated(head, inputs[image].detach().numpy(), label)
        positive = maps[index].detach().numpy() > 0
        for channel in range(2):
            expected[image, channel] += weights[channel] * positive
    np.testing.assert_allclose(gradient.numpy(), expected, atol=1e-9)
    found = torch.autograd.grad(maps.sum(), list(head.parameters()), allow_unused=True)
    assert all(parameter is None for parameter in found)


def test_second_order_gradients_against_finite_differences() -> None:
    head, inputs = curved(), features()
    weight = head[0].weight

    def maps(values: Tensor, kernel: Tensor) -> Tensor:
        hidden = torch.tanh(torch.nn.functional.conv2d(values, kernel, head[0].bias, padding=1))
        return grad_cam(values, head[2](hidden), PRESENT, second_order=True)

    assert torch.autograd.gradcheck(maps, (inputs, weight))
    (whole,) = torch.autograd.grad(maps(inputs, weight).sum(), inputs)
    (part,) = torch.autograd.grad(grad_cam(inputs, head(inputs), PRESENT).sum(), inputs)
    assert not torch.allclose(whole, part, atol=1e-3)


def test_cam_reaches_the_classifiers_weights() -> None:
    head, inputs = linear(), features()
    weights = head[0].weight[:, :, 0, 0].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda f, w: cam(f, w, PRESENT), (inputs, weights))


@pytest.mark.parametrize("frozen", [False, True])
def test_features_and_scores_serve_callers_without_gradients(frozen: bool) -> None:
    torch.manual_seed(0)
    network = Classifier(nn.Conv2d(3, 2, 2, stride=2), linear().float())
    network.backbone.requires_grad_(not frozen)
    images = torch.randn(4, 3, 4, 6)
    expected = grad_cam(*network.features_and_scores(images), PRESENT).detach()
    assert expected.any()
    with torch.no_grad():
        found = grad_cam(*network.features_and_scores(images), PRESENT)
        assert torch.equal(network.features_and_scores(images)[1], network(images))
    torch.testing.assert_close(found, expected)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_no_label_at_all_gives_no_map_and_a_live_graph() -> None:
    head, inputs = curved(), features(1)
    nothing = pairs_in(torch.zeros(1, 3), HOST)
    for maps in (
        grad_cam(inputs, head(inputs), nothing),
        cam(inputs, linear()[0].weight[:, :, 0, 0], nothing),
    ):
        assert maps.shape == (0, 3, 4)
        (gradient,) = torch.autograd.grad(spread(resized(maps, (6, 8))).sum(), inputs)
        assert gradient.shape == inputs.shape and not gradient.any()


def test_maps_keep_full_precision_under_autocast() -> None:
    network = Classifier(nn.Conv2d(3, 2, 2, stride=2), linear().float())
    with torch.autocast("cpu", torch.bfloat16):
        values, scores = network.features_and_scores(torch.randn(1, 3, 4, 6))
        maps = grad_cam(values, scores, pairs_in(torch.ones(1, 3), HOST))
        one = pairs_in(torch.tensor([[1.0, 0.0, 0.0]]), HOST)
        probability = erased_probability(scores, one)
    assert values.dtype == scores.dtype == torch.bfloat16
    assert maps.dtype == probability.dtype == torch.float32


def test_resizing_is_the_labels_resizing() -> None:
    maps = features()[:, 0].detach()
    found = resized(maps, (9, 20)).numpy()
    for plane, source in zip(found, maps.numpy(), strict=True):
        expected = cv2.resize(source, (20, 9), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(plane, expected, atol=1e-12)


@pytest.mark.parametrize("constant_extremes", [False, True])
def test_spread_by_hand(constant_extremes: bool) -> None:
    maps = torch.tensor(
        [[[1.0, 3.0, 5.0]], [[-2.0, 0.0, 2.0]], [[7.0, 7.0, 7.0]], [[0.0, 0.0, 0.0]]]
    )
    expected = [[[0, 0.5, 1]], [[0, 0.5, 1]], [[0, 0, 0]], [[0, 0, 0]]]
    assert spread(maps, constant_extremes=constant_extremes).tolist() == expected
    assert spread(maps * 1e-30, constant_extremes=constant_extremes)[0].tolist() == [[0, 0.5, 1]]


def test_gradients_of_spread() -> None:
    maps = features()[:, 0].detach().requires_grad_()
    assert torch.autograd.gradcheck(spread, maps)
    (gradient,) = torch.autograd.grad(spread(maps, constant_extremes=True).sum(), maps)
    for found, plane in zip(gradient, maps.detach().numpy(), strict=True):
        np.testing.assert_allclose(found.numpy(), 1 / (plane.max() - plane.min()), rtol=1e-12)


@pytest.mark.parametrize("constant_extremes", [False, True])
def test_a_constant_map_has_finite_gradients(constant_extremes: bool) -> None:
    maps = torch.zeros(2, 3, 3, requires_grad=True)
    attention = spread(torch.relu(maps), constant_extremes=constant_extremes)
    soft_mask(attention, 100.0, 0.5).sum().backward()
    assert maps.grad is not None
    assert bool(torch.isfinite(maps.grad).all())


def test_the_mask_is_nearly_hard() -> None:
    """At omega 100 the mask is 0.7 % at 0.45 and 99.3 % at 0.55; at omega 8, 2 % at 0."""
    attention = torch.tensor([0.0, 0.45, 0.5, 0.55, 1.0], dtype=torch.float64, requires_grad=True)
    steep = soft_mask(attention, 100.0, 0.5).tolist()
    assert steep == pytest.approx([0.0, 0.00669285, 0.5, 0.99330715, 1.0], abs=1e-8)
    assert soft_mask(attention, 8.0, 0.5)[0].item() == pytest.approx(0.01798621, abs=1e-8)
    assert torch.autograd.gradcheck(lambda a: soft_mask(a, 100.0, 0.5), attention)


def test_erased_copies_one_by_one() -> None:
    generator = torch.manual_seed(2)
    images = torch.randn(4, 3, 5, 7, dtype=torch.float64, generator=generator)
    mask = torch.rand(6, 5, 7, dtype=torch.float64, generator=generator)
    found = erased_copies(images, mask, PRESENT).numpy()
    assert found.shape == (6, 3, 5, 7)
    for place, (image, _) in enumerate(PAIRS):
        for row, column in np.ndindex(5, 7):
            kept = 1 - mask[place, row, column].item()
            expected = images[image, :, row, column].numpy() * kept
            np.testing.assert_allclose(found[place, :, row, column], expected, atol=1e-15)


def test_the_probability_is_that_of_the_erased_class() -> None:
    scores = torch.randn(6, 3, 2, 2, dtype=torch.float64, generator=torch.manual_seed(3))
    expected = [
        1 / (1 + np.exp(-scores[place, label].numpy().mean()))
        for place, (_, label) in enumerate(PAIRS)
    ]
    assert erased_probability(scores, PRESENT).tolist() == pytest.approx(expected, rel=1e-12)


def test_maps_go_back_to_their_places() -> None:
    maps = torch.arange(1.0, 7.0)[:, None, None].expand(6, 1, 2)
    dense = placed(maps, PRESENT)[..., 0, 0].tolist()
    assert dense == [[1, 0, 2], [0, 0, 0], [0, 3, 0], [4, 5, 6]]
