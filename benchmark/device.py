"""Where networks are computed, and in which precision they are trained."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.method import Precision

_CPU_CAPABILITIES = ("avx512_bf16", "amx_bf16")
"""With one of these a CPU multiplies bfloat16 about twice as fast as float32; else it emulates."""


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_deterministic_algorithms() -> None:
    """Have torch take deterministic algorithms alone, from now on and for the whole process.

    Operations that have none on a GPU raise RuntimeError when they are called.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else torch refuses cuBLAS
    torch.use_deterministic_algorithms(True)


def on_device(array: NDArray[np.generic]) -> torch.Tensor:
    """Return the array as a tensor on the device; a GPU is sent it while the host goes on."""
    return sent(torch.from_numpy(array), device())


def sent(tensor: torch.Tensor, place: torch.device) -> torch.Tensor:
    """Return the host's tensor on ``place``; a GPU is sent it while the host goes on."""
    held = tensor.pin_memory() if place.type == "cuda" else tensor
    return held.to(place, non_blocking=True)


def has_fast_bfloat16() -> bool:
    """Whether the device computes bfloat16 faster than float32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _CPU_CAPABILITIES)


def mixed_precision(precision: Precision = "auto") -> AbstractContextManager[Any]:
    """Return bfloat16 autocast where that is faster, or nothing where it is not, or not wanted.

    Weights, their gradients and the optimiser stay float32; losses and attention zones are for
    the methods to take to float32, as ``methods.nn.zones`` does.
    """
    if precision == "auto" and has_fast_bfloat16():
        return torch.autocast(device().type, torch.bfloat16)
    return nullcontext()


def without_autocast(place: torch.device) -> AbstractContextManager[Any]:
    """Return what turns autocast off on ``place``; nothing where torch has none, as on meta."""
    if torch.amp.is_autocast_available(place.type):
        return torch.autocast(place.type, enabled=False)
    return nullcontext()


def full_precision(values: torch.Tensor) -> torch.Tensor:
    """Return bfloat16 values as float32, and others as they are: for sums, ratios, comparisons."""
    return values.float() if values.dtype == torch.bfloat16 else values
