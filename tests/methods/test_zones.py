"""Masks and C-ReLU against hand-worked examples and a NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods.nn.zones import (
    c_relu,
    image_label_loss,
    max_normalise,
    min_max,
    only_present,
    present_attention,
    ternary_mask,
)


def test_min_max_and_max_normalise_agree_with_numpy_in_float64() -> None:
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.manual_seed(0))
    flat = maps.numpy().reshape(6, 20)
    for one, normalised in zip(flat, min_max(maps).numpy().reshape(6, 20), strict=True):
        np.testing.assert_allclose(normalised, (one - one.min()) / np.ptp(one), rtol=1e-6)
    for one, normalised in zip(flat, max_normalise(maps).numpy().reshape(6, 20), strict=True):
        np.testing.assert_allclose(normalised, np.maximum(one, 0) / one.max(), rtol=1e-6)


@pytest.mark.parametrize("value", [-3.0, 0.0, 2.0])
def test_constant_maps_are_finite(value: float) -> None:
    constant = torch.full((1, 1, 3, 3), value)
    assert torch.equal(min_max(constant), torch.zeros(1, 1, 3, 3))
    expected = 1.0 if value > 0 else 0.0
    assert max_normalise(constant) == pytest.approx(torch.full((1, 1, 3, 3), expected))


def test_present_attention_ignores_absent_classes_image_by_image() -> None:
    maps = torch.tensor(
        [
            [[[0.2, 0.9]], [[0.8, 0.1]], [[1.0, 1.0]]],
            [[[0.2, 0.9]], [[0.8, 0.1]], [[1.0, 1.0]]],
            [[[0.2, 0.9]], [[0.8, 0.1]], [[1.0, 1.0]]],
        ]
    )
    labels = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0]]).float()
    expected = torch.tensor([[[[0.8, 0.9]]], [[[0.8, 0.1]]], [[[0.0, 0.0]]]])
    assert torch.equal(present_attention(maps, labels), expected)


def test_ternary_mask_at_and_around_its_thresholds() -> None:
    attention = torch.tensor([[[[0.0, 0.04, 0.05, 0.3, 0.69, 0.7, 1.0]]]])
    flipped = torch.tensor([[[[-1.0, -1.0, 1.0, 1.0, 1.0, 0.0, 0.0]]]])
    assert torch.equal(ternary_mask(attention, 0.7, 0.05), flipped)
    zeroed = torch.tensor([[[[0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0]]]])
    assert torch.equal(ternary_mask(attention, 0.7, 0.05, background_value=0.0), zeroed)


def test_c_relu_forward_and_gradient_for_erased_flipped_and_kept_cells() -> None:
    features = torch.tensor([[[[2.0, 3.0, 5.0, -7.0]], [[-1.0, 1.0, 4.0, 6.0]]]])
    features = features.double().requires_grad_()
    mask = torch.tensor([[[[0.0, -1.0, 1.0, -1.0]]]]).double().requires_grad_()
    output = c_relu(features, mask)
    expected = [[[[0.0, -3.0, 5.0, 0.0]], [[0.0, -1.0, 4.0, -6.0]]]]
    assert output.tolist() == expected
    output.sum().backward()
    assert features.grad is not None
    assert features.grad.tolist() == [[[[0.0, -1.0, 1.0, 0.0]], [[0.0, -1.0, 1.0, -1.0]]]]
    assert mask.grad is None
    assert torch.autograd.gradcheck(lambda x: c_relu(x, mask), features)


def test_image_label_loss_is_the_mean_binary_cross_entropy() -> None:
    maps = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.manual_seed(1))
    labels = torch.tensor([[1, 0, 1], [0, 0, 0]]).double()
    probability = 1 / (1 + np.exp(-maps.numpy().mean(axis=(2, 3))))
    expected = -np.where(labels.numpy() == 1, np.log(probability), np.log(1 - probability)).mean()
    assert float(image_label_loss(maps, labels)) == pytest.approx(expected, rel=1e-12)


def test_only_present_zeroes_whole_maps() -> None:
    kept = only_present(torch.ones(1, 2, 2, 2), torch.tensor([[0, 1]]))
    assert kept.tolist() == [[[[0, 0], [0, 0]], [[1, 1], [1, 1]]]]
