"""Where tensors differ, and what is wrong with a loss: one line, or "" where nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def first_difference(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> str:
    """Return the first name under which both do not hold equal tensors, "" if there is none."""
    for name in (*one, *two):
        if name not in one or name not in two or not _equal(one[name], two[name]):
            return name
    return ""


def _equal(one: Tensor, two: Tensor) -> bool:
    """Equal bit for bit; nan equals nan, so that a nan fails the checks of ranges alone."""
    same_shape = one.shape == two.shape
    return same_shape and bool(((one == two) | (one.isnan() & two.isnan())).all())


def loss_fault(losses: Any) -> str:
    """Return what is wrong with what ``losses`` returned, "" if nothing is."""
    if not isinstance(losses, dict) or not losses:
        return f"losses() returned {kind(losses)}, not a mapping with a loss in it"
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.ndim:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else kind(loss)
            return f"the loss {name!r} is no scalar tensor: {shape}"
        if not bool(torch.isfinite(loss)):
            return f"the loss {name!r} is {float(loss.detach())}"
    return ""


def kind(value: object) -> str:
    """Return what ``value`` is in a word or two: a tensor's type of number, or a class."""
    return str(value.dtype) if isinstance(value, Tensor) else f"a {type(value).__name__}"
