"""The losses against plain loops in float64 and hand-worked numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.segmentation.losses import (
    balanced_seed_loss,
    constrain_loss,
    expand_loss,
    floored_softmax,
    rank_pooled,
    seed_loss,
)

VOID = 255


def random_scores(classes: int = 4, size: tuple[int, int] = (3, 5), batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, classes, *size, generator=generator, dtype=torch.float64)


def random_probabilities(classes: int = 4) -> Tensor:
    return random_scores(classes).softmax(dim=1)


def random_labels() -> Tensor:
    labels = torch.randint(0, 5, (3, 3, 5), generator=torch.Generator().manual_seed(1))
    return torch.where(labels == 4, VOID, labels)


def looped_seed(probabilities: np.ndarray, labels: np.ndarray, wanted: Callable) -> list[float]:
    """Mean of -log p over the seeds that are ``wanted``, image by image."""
    means = []
    for image in range(len(labels)):
        total, count = 0.0, 0
        for row in range(labels.shape[1]):
            for column in range(labels.shape[2]):
                label = labels[image, row, column]
                if label != VOID and wanted(label):
                    total -= math.log(probabilities[image, label, row, column])
                    count += 1
        means.append(total / count if count else 0.0)
    return means


# --- probabilities ------------------------------------------------------------------------------


def test_floored_softmax_by_loop() -> None:
    scores = random_scores()
    expected = np.empty(scores.shape)
    for image, row, column in np.ndindex(3, 3, 5):
        values = np.exp(scores.numpy()[image, :, row, column])
        values = values / values.sum() + 1e-4
        expected[image, :, row, column] = values / values.sum()
    np.testing.assert_allclose(floored_softmax(scores).numpy(), expected, rtol=1e-12)


def test_floored_softmax_of_certainty_stays_above_0() -> None:
    found = floored_softmax(torch.tensor([100.0, -100.0, -100.0])[None, :, None, None])
    expected = np.array([1.0001, 0.0001, 0.0001]) / 1.0003
    np.testing.assert_allclose(found[0, :, 0, 0].numpy(), expected, rtol=1e-5)


# --- seeds --------------------------------------------------------------------------------------


def test_seed_loss_by_loop() -> None:
    probabilities, labels = random_probabilities(), random_labels()
    means = looped_seed(probabilities.numpy(), labels.numpy(), lambda label: True)
    assert float(seed_loss(probabilities, labels)) == pytest.approx(np.mean(means), rel=1e-12)


def test_balanced_seed_loss_by_loop() -> None:
    probabilities, labels = random_probabilities(), random_labels()
    arrays = probabilities.numpy(), labels.numpy()
    foreground = looped_seed(*arrays, lambda label: label > 0)
    background = looped_seed(*arrays, lambda label: label == 0)
    expected = np.mean(foreground) + np.mean(background)
    assert float(balanced_seed_loss(probabilities, labels)) == pytest.approx(expected, rel=1e-12)
    assert expected != pytest.approx(float(seed_loss(probabilities, labels)), rel=0.1)


def test_seed_losses_by_hand() -> None:
    """One image, cells: background at 0.5, class 1 at 0.25 and at 0.125, one void."""
    probabilities = torch.tensor([[[[0.5, 0.75, 0.875, 0.1]], [[0.5, 0.25, 0.125, 0.9]]]])
    labels = torch.tensor([[[0, 1, 1, VOID]]])
    seed = (1 + 2 + 3) / 3 * math.log(2)
    balanced = (1 + (2 + 3) / 2) * math.log(2)
    assert float(seed_loss(probabilities, labels)) == pytest.approx(seed)
    assert float(balanced_seed_loss(probabilities, labels)) == pytest.approx(balanced)


@pytest.mark.parametrize("loss", [seed_loss, balanced_seed_loss])
def test_an_image_without_seeds_counts_as_0_in_the_mean(loss: Callable) -> None:
    probabilities, labels = random_probabilities(), random_labels()
    labels[1:] = VOID
    alone = loss(probabilities[:1], labels[:1])
    assert float(loss(probabilities, labels)) == pytest.approx(float(alone) / 3)
    leaf = probabilities.clone().requires_grad_()
    loss(leaf, torch.full_like(labels, VOID)).backward()
    assert leaf.grad is not None
    assert not leaf.grad.any()


def test_only_background_or_only_foreground_seeds() -> None:
    probabilities = random_probabilities()
    background = torch.zeros(3, 3, 5, dtype=torch.int64)
    for labels in (background, background + 2):
        expected = -probabilities.log()[:, int(labels[0, 0, 0])].mean()
        assert float(balanced_seed_loss(probabilities, labels)) == pytest.approx(float(expected))
        assert float(seed_loss(probabilities, labels)) == pytest.approx(float(expected))


# --- expand -------------------------------------------------------------------------------------


def test_rank_pooling_of_three_values_by_hand() -> None:
    """Weights 1, 1/2, 1/4 of 0.8, 0.4, 0.2: (0.8 + 0.2 + 0.05) / 1.75 = 0.6."""
    values = torch.tensor([[0.4, 0.8, 0.2], [0.2, 0.4, 0.8]], dtype=torch.float64)
    assert rank_pooled(values, 0.5).tolist() == pytest.approx([0.6, 0.6])


def test_rank_pooling_between_mean_and_maximum() -> None:
    values = torch.tensor([0.1, 0.7, 0.4], dtype=torch.float64)
    assert float(rank_pooled(values, 1.0)) == pytest.approx(0.4)
    assert float(rank_pooled(values, 0.0)) == pytest.approx(0.7)


def looped_expand(
    probabilities: np.ndarray, image_labels: np.ndarray, foreground: float, background: float
) -> float:
    def pooled(values: np.ndarray, decay: float) -> float:
        above = below = 0.0
        for rank, value in enumerate(sorted(values.ravel().tolist(), reverse=True)):
            above += decay**rank * value
            below += decay**rank
        return above / below

    losses = []
    for image, present in zip(probabilities, image_labels, strict=True):
        inside = [math.log(pooled(image[1 + c], foreground)) for c in np.flatnonzero(present)]
        outside = [math.log(1 - image[1 + c].max()) for c in np.flatnonzero(present == 0)]
        loss = -math.log(pooled(image[0], background))
        losses.append(
            loss - (np.mean(inside) if inside else 0) - (np.mean(outside) if outside else 0)
        )
    return float(np.mean(losses))


@pytest.mark.parametrize("decays", [(0.996, 0.999), (0.5, 0.8)])
def test_expand_loss_by_loop_with_all_no_and_some_classes(decays: tuple[float, float]) -> None:
    probabilities = random_probabilities()
    labels = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1]])
    expected = looped_expand(probabilities.numpy(), labels.numpy(), *decays)
    assert float(expand_loss(probabilities, labels, *decays)) == pytest.approx(expected, rel=1e-12)
    assert torch.equal(
        expand_loss(probabilities, labels, *decays),
        expand_loss(probabilities, labels.bool(), *decays),
    )


def test_expand_defaults_are_the_published_decays() -> None:
    probabilities, labels = random_probabilities(), torch.ones(3, 3)
    assert torch.equal(
        expand_loss(probabilities, labels), expand_loss(probabilities, labels, 0.996, 0.999)
    )


def test_expand_with_one_class_alone() -> None:
    probabilities = random_probabilities(2)
    for value in (0, 1):
        labels = torch.full((3, 1), value)
        expected = looped_expand(probabilities.numpy(), labels.numpy(), 0.996, 0.999)
        assert float(expand_loss(probabilities, labels)) == pytest.approx(expected)


def test_expand_pushes_an_absent_class_at_its_highest_cell_alone() -> None:
    leaf = random_probabilities(3).requires_grad_()
    expand_loss(leaf, torch.tensor([[1, 0]] * 3)).backward()
    assert leaf.grad is not None
    for image in range(3):
        absent = leaf.grad[image, 2]
        assert int((absent != 0).sum()) == 1
        assert float(absent.flatten()[leaf[image, 2].argmax()]) > 0
        assert (leaf.grad[image, :2] < 0).all()


# --- constrain ----------------------------------------------------------------------------------


def looped_divergence(
    probabilities: np.ndarray, refined: np.ndarray, bounds: tuple[float, float] | None
) -> float:
    cells = []
    batch, classes, height, width = probabilities.shape
    for image, row, column in np.ndindex(batch, height, width):
        total = 0.0
        for c in range(classes):
            q, p = refined[image, c, row, column], probabilities[image, c, row, column]
            ratio = q / p if bounds is None else min(max(q / p, bounds[0]), bounds[1])
            total += q * math.log(ratio)
        cells.append(total)
    return float(np.mean(cells))


@pytest.mark.parametrize("bounds", [None, (0.05, 20.0), (0.8, 1.2)])
def test_constrain_loss_by_loop(bounds: tuple[float, float] | None) -> None:
    probabilities = random_probabilities()
    refined = random_scores().flip(0).mul(3).softmax(dim=1)
    found = float(constrain_loss(probabilities, refined, bounds))
    expected = looped_divergence(probabilities.numpy(), refined.numpy(), bounds)
    assert found == pytest.approx(expected, rel=1e-12)
    if bounds == (0.8, 1.2):
        assert found != pytest.approx(float(constrain_loss(probabilities, refined)), rel=0.1)


def test_constrain_by_hand_and_its_zero() -> None:
    """KL of (3/4, 1/4) from (1/2, 1/2): 3/4 log 3/2 + 1/4 log 1/2."""
    refined = torch.tensor([0.75, 0.25])[None, :, None, None]
    expected = 0.75 * math.log(1.5) - 0.25 * math.log(2)
    assert float(constrain_loss(torch.full_like(refined, 0.5), refined)) == pytest.approx(expected)
    assert float(constrain_loss(refined, refined)) == 0


def test_no_gradient_reaches_the_refined_probabilities() -> None:
    leaf = random_probabilities().requires_grad_()
    refined = random_scores().flip(0).softmax(dim=1).requires_grad_()
    constrain_loss(leaf, refined).backward()
    assert refined.grad is None
    assert leaf.grad is not None
    # d/dp of q log(q / p) is -q / p, over the number of cells.
    expected = -refined.detach() / leaf.detach() / (3 * 3 * 5)
    torch.testing.assert_close(leaf.grad, expected)


def test_beyond_the_ratio_there_is_no_gradient() -> None:
    leaf = torch.tensor([0.01, 0.99])[None, :, None, None].requires_grad_()
    constrain_loss(leaf, torch.tensor([0.5, 0.5])[None, :, None, None], (0.05, 20.0)).backward()
    assert leaf.grad is not None
    assert leaf.grad.flatten().tolist() == pytest.approx([0, -0.5 / 0.99])


# --- gradients ----------------------------------------------------------------------------------


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "seed": lambda p: seed_loss(p, random_labels()),
    "balanced": lambda p: balanced_seed_loss(p, random_labels()),
    "expand": lambda p: expand_loss(p, torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1]]), 0.9, 0.95),
    "constrain": lambda p: constrain_loss(p, random_probabilities().flip(0), (0.05, 20.0)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    scores = random_scores().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: LOSSES[name](floored_softmax(s)), scores)


@pytest.mark.parametrize("name", LOSSES)
def test_certain_and_wrong_networks_have_finite_losses_and_gradients(name: str) -> None:
    scores = (1000 * random_scores()).float().requires_grad_()
    loss = LOSSES[name](floored_softmax(scores))
    loss.backward()
    assert torch.isfinite(loss)
    assert scores.grad is not None and torch.isfinite(scores.grad).all()
