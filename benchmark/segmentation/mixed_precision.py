"""MMEngine's optimiser wrapper in the suite's mixed precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from benchmark.device import mixed_precision


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionWrapper(OptimWrapper):
    """Computes the losses in bfloat16 where the device is faster so.

    MMEngine's own AmpOptimWrapper asks for a GPU, and scales losses, which only float16 needs.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Surround the forward pass."""
        with super().optim_context(model), mixed_precision():
            yield
