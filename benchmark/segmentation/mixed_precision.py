"""MMEngine's optimiser wrapper in the suite's mixed precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from benchmark.device import mixed_precision
from benchmark.method import Precision


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionWrapper(OptimWrapper):
    """Computes the losses in bfloat16 where the device is faster so.

    MMEngine's own AmpOptimWrapper asks for a GPU, and scales losses, which only float16 needs.

    Args:
        precision: "float32" keeps bfloat16 out.
        options: OptimWrapper's.
    """

    def __init__(self, *, precision: Precision = "auto", **options: Any) -> None:
        super().__init__(**options)
        self.precision: Precision = precision

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Surround the forward pass."""
        with super().optim_context(model), mixed_precision(self.precision):
            yield
