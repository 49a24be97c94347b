"""Saliency-guided self-attention against loops in NumPy, worked examples and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from methods.nn.self_attention import (
    context_attention,
    gathered,
    salient_cells,
    similarities,
)

NORMALISATIONS = ("row_sum", "shifted", "softmax")
NON_SALIENT = ("average", "similarity", "none")
EVERY = pytest.mark.parametrize(
    ("normalisation", "non_salient"), [(n, b) for n in NORMALISATIONS for b in NON_SALIENT]
)


def slow_context(
    similarity: np.ndarray, salient: list[bool], normalisation: str, non_salient: str
) -> np.ndarray:
    """Return D (N, N) of one image, weight by weight."""
    number = len(salient)
    context = np.zeros((number, number))
    for i in range(number):
        alike = [j for j in range(number) if salient[j] == salient[i]]
        if not salient[i] and non_salient == "none":
            continue
        if not salient[i] and non_salient == "average":
            for j in alike:
                context[i, j] = 1 / len(alike)
            continue
        values = {j: float(similarity[i, j]) for j in alike}
        if normalisation == "softmax":
            values = {j: math.exp(value) for j, value in values.items()}
            total = sum(values.values())
        elif normalisation == "shifted":
            # The minimum is that of the whole row, whose masked places hold 0.
            low = min([*values.values(), *([0.0] if len(alike) < number else [])])
            values = {j: value - low for j, value in values.items()}
            total = sum(values.values()) + 1e-5
        else:
            total = sum(values.values())
            total += -1e-5 if total < 0 else 1e-5
        for j, value in values.items():
            context[i, j] = value / total
    return context


def sides(kind: str, number: int) -> Tensor:
    """Return (2, N) bool."""
    generator = torch.Generator().manual_seed(3)
    if kind == "mixed":
        return torch.rand(2, number, generator=generator) > 0.5
    if kind == "one of each":
        return torch.arange(number).eq(torch.tensor([[2], [0]]))
    return torch.full((2, number), kind == "all")


@EVERY
@pytest.mark.parametrize("kind", ["mixed", "all", "none", "one of each"])
def test_every_normalisation_equals_the_loops(
    normalisation: str, non_salient: str, kind: str
) -> None:
    generator = torch.Generator().manual_seed(0)
    similarity = 2 * torch.randn(2, 12, 12, dtype=torch.float64, generator=generator)
    salient = sides(kind, 12)
    context = context_attention(similarity, salient, normalisation, non_salient)  # type: ignore[arg-type]
    for image in range(2):
        expected = slow_context(
            similarity[image].numpy(), salient[image].tolist(), normalisation, non_salient
        )
        np.testing.assert_allclose(context[image].numpy(), expected, rtol=1e-10, atol=1e-12)


def one_row(*values: float, seen: int | None = None) -> tuple[Tensor, Tensor]:
    """Return similarities whose first row is ``values``, the first ``seen`` cells salient."""
    number = len(values)
    similarity = torch.ones(1, number, number, dtype=torch.float64)
    similarity[0, 0] = torch.tensor(values, dtype=torch.float64)
    seen = number if seen is None else seen
    return similarity, (torch.arange(number) < seen)[None]


def first_row(normalisation: str, similarity: Tensor, salient: Tensor) -> list[float]:
    context = context_attention(similarity, salient, normalisation, "average")  # type: ignore[arg-type]
    row: list[float] = context[0, 0].tolist()
    return row


def test_row_sum_by_hand() -> None:
    assert first_row("row_sum", *one_row(1, 3, 4)) == pytest.approx([1 / 8, 3 / 8, 4 / 8], rel=1e-5)
    # The last cell is not salient: 1 and 3 of a sum of 4.
    assert first_row("row_sum", *one_row(1, 3, 4, seen=2)) == pytest.approx([0.25, 0.75, 0], 1e-5)
    # All negative: the signs cancel.
    assert first_row("row_sum", *one_row(-1, -3)) == pytest.approx([0.25, 0.75], rel=1e-5)
    # Both signs, as Eq. 3 allows: a weight below 0 and one above 1.
    assert first_row("row_sum", *one_row(-1, 3)) == pytest.approx([-0.5, 1.5], rel=1e-5)


def test_row_sum_near_zero_is_finite_and_keeps_its_sign() -> None:
    assert first_row("row_sum", *one_row(1, -1)) == pytest.approx([1e5, -1e5])
    assert first_row("row_sum", *one_row(0, 0)) == [0, 0]
    above, below = (first_row("row_sum", *one_row(1, -1 + d)) for d in (1e-7, -1e-7))
    assert above == pytest.approx([1 / 1.01e-5, -1 / 1.01e-5], rel=1e-6)
    assert below == pytest.approx([-1 / 1.01e-5, 1 / 1.01e-5], rel=1e-6)


def test_shifted_by_hand() -> None:
    # Less the minimum 1: 0, 2, 3.
    assert first_row("shifted", *one_row(1, 3, 4)) == pytest.approx([0, 0.4, 0.6], rel=1e-5)
    # A masked cell holds 0, which is the minimum: 1 and 3 stay.
    assert first_row("shifted", *one_row(1, 3, 4, seen=2)) == pytest.approx([0.25, 0.75, 0], 1e-5)
    # The minimum is -3 whether a cell is masked or not: 2 and 0.
    assert first_row("shifted", *one_row(-1, -3, 4, seen=2)) == pytest.approx([1, 0, 0], abs=1e-5)


@pytest.mark.parametrize("value", [-2.0, 0.0, 3.0])
def test_rows_whose_similarities_all_coincide(value: float) -> None:
    """All salient: the shifted row is 0; the others are an average. One masked: its 0 counts."""
    row = one_row(value, value)
    assert first_row("shifted", *row) == [0, 0]
    assert first_row("softmax", *row) == [0.5, 0.5]
    expected = [0.5, 0.5] if value else [0.0, 0.0]
    assert first_row("row_sum", *row) == pytest.approx(expected, rel=1e-5)
    masked = first_row("shifted", *one_row(value, value, 9, seen=2))
    assert masked == pytest.approx([0.5, 0.5, 0] if value > 0 else [0, 0, 0], rel=1e-5)


@EVERY
def test_no_attention_crosses_between_salient_and_not(normalisation: str, non_salient: str) -> None:
    salient = sides("mixed", 12)
    similarity = torch.randn(2, 12, 12, generator=torch.Generator().manual_seed(1))
    context = context_attention(similarity, salient, normalisation, non_salient)  # type: ignore[arg-type]
    crossing = salient[:, :, None] != salient[:, None, :]
    assert not context[crossing].any()
    assert context[~crossing].any()


@EVERY
def test_weights_have_the_right_gradient(normalisation: str, non_salient: str) -> None:
    generator = torch.Generator().manual_seed(5)
    # Away from a row sum of 0, where Eq. 3 has its pole.
    similarity = torch.rand(2, 6, 6, dtype=torch.float64, generator=generator) + 0.1
    salient = sides("mixed", 6)

    def function(values: Tensor) -> Tensor:
        return context_attention(values, salient, normalisation, non_salient)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(function, similarity.requires_grad_())


@EVERY
@pytest.mark.parametrize("kind", ["all", "none"])
def test_gradients_are_finite_where_a_side_is_empty(
    normalisation: str, non_salient: str, kind: str
) -> None:
    similarity = torch.ones(2, 4, 4, requires_grad=True)
    salient = sides(kind, 4)
    context_attention(similarity, salient, normalisation, non_salient).sum().backward()  # type: ignore[arg-type]
    if similarity.grad is not None:
        assert torch.isfinite(similarity.grad).all()


def test_similarity_is_that_of_the_rows_key_and_the_columns_query() -> None:
    generator = torch.Generator().manual_seed(0)
    keys, queries = (
        torch.randn(2, 3, 2, 4, dtype=torch.float64, generator=generator) for _ in range(2)
    )
    found = similarities(keys, queries)
    assert found.shape == (2, 8, 8)
    for image in range(2):
        for i in range(8):
            for j in range(8):
                key, query = keys[image, :, i // 4, i % 4], queries[image, :, j // 4, j % 4]
                expected = sum(float(k) * float(q) for k, q in zip(key, query, strict=True))
                assert found[image, i, j].item() == pytest.approx(expected, rel=1e-12)


def test_gathering_weighs_the_features_of_the_columns_cells() -> None:
    features = torch.tensor([[[[1.0, 10.0, 100.0]], [[2.0, 20.0, 200.0]]]])
    context = torch.tensor([[[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, -1.0, 0.5]]])
    expected = [[[[21.0, 0.0, 40.0]], [[42.0, 0.0, 80.0]]]]
    assert gathered(features, context).tolist() == expected
    last = features.to(memory_format=torch.channels_last)
    assert gathered(last, context).tolist() == expected


# --- salient cells ------------------------------------------------------------------------------


def test_halving_a_saliency_map_averages_its_pixels() -> None:
    saliency = torch.zeros(1, 4, 6)
    saliency[0, 0, 0] = 0.28  # a mean of 0.07
    saliency[0, 3, 5] = 0.2  # 0.05
    saliency[0, 1, 2:4] = 0.16  # 0.08
    cells = salient_cells(saliency, (2, 3), 0.06, ring=False)
    assert cells.tolist() == [[[True, True, False], [False, False, False]]]


def test_saliency_equal_to_the_threshold_is_not_salient() -> None:
    saliency = torch.tensor([[[0.25, 0.5, 0.75]]])
    assert salient_cells(saliency, (1, 3), 0.5, ring=False).tolist() == [[[False, False, True]]]


def test_the_outermost_ring_is_never_salient() -> None:
    cells = salient_cells(torch.ones(2, 4, 5), (4, 5), 0.06)
    expected = [
        [False, False, False, False, False],
        [False, True, True, True, False],
        [False, True, True, True, False],
        [False, False, False, False, False],
    ]
    assert cells.tolist() == [expected, expected]
    assert salient_cells(torch.ones(1, 4, 5), (4, 5), 0.06, ring=False).all()
    for size in ((1, 1), (2, 2), (1, 5)):
        assert not salient_cells(torch.ones(1, 9, 9), size, 0.06).any()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_saliency(value: float) -> None:
    cells = salient_cells(torch.full((1, 7, 9), value), (3, 4), 0.06, ring=False)
    assert bool(cells.all()) == bool(value)
    assert bool(cells.any()) == bool(value)


def test_salient_cells_carry_no_gradient() -> None:
    saliency = torch.rand(1, 6, 6, requires_grad=True)
    assert not salient_cells(saliency, (3, 3), 0.06).requires_grad
