"""The settings and random states that belong to everybody."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def settings() -> dict[str, Any]:
    """Return torch's settings that no method may change."""
    return {
        "default type": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
        "deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "cuDNN's benchmark mode": torch.backends.cudnn.benchmark,
        "cuDNN's deterministic mode": torch.backends.cudnn.deterministic,
        "number of threads": torch.get_num_threads(),
    }


def changed_setting(before: Mapping[str, Any]) -> str:
    """Return which of ``settings`` is another one than ``before``, "" if none is."""
    for name, value in settings().items():
        if value != before[name]:
            return f"it changes torch's {name} from {before[name]} to {value}"
    return ""


@contextmanager
def global_state_restored() -> Iterator[None]:
    """Undo what a method does to global state, so that one fault fails one check."""
    before = settings()
    numpy_state, python_state, torch_state = (
        np.random.get_state(),
        random.getstate(),
        torch.get_rng_state(),
    )
    try:
        yield
    finally:
        torch.set_default_dtype(before["default type"])
        torch.set_grad_enabled(before["gradient mode"])
        torch.use_deterministic_algorithms(before["deterministic mode"])
        torch.backends.cudnn.benchmark = before["cuDNN's benchmark mode"]
        torch.backends.cudnn.deterministic = before["cuDNN's deterministic mode"]
        torch.set_num_threads(before["number of threads"])
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        torch.set_rng_state(torch_state)
