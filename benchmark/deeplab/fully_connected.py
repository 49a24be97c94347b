"""DeepLab's fc6 and fc7 from the fully connected layers of an ImageNet VGG-16.

Chen et al. (PAMI 2018, section 4.1.1) keep "a random subset of 1,024 out of the 4,096 filters" and
3x3 of the 7x7 positions, and released the result alone (vgg16_20M.caffemodel). Here the subset is
the regular one that the reduced VGG-16 of SSD (Liu et al., ECCV 2016) made usual: every m-th entry
from the first on. Filters: every fourth, 0, 4, ..., 4092, in fc6's output, in fc7's input, which
is the same units, and in fc7's output. Positions: every third, 0, 3 and 6. Nothing is rescaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from benchmark.errors import BenchmarkError

FILTER_STEP = 4  # 4096 -> 1024
POSITION_STEP = 3  # 7 -> 3
SHAPES = {
    "classifier.0.weight": (4096, 512 * 7 * 7),
    "classifier.0.bias": (4096,),
    "classifier.3.weight": (4096, 4096),
    "classifier.3.bias": (4096,),
}
"""VGG-16's first two fully connected layers, by torchvision's names."""
LAYERS = ("fc6.weight", "fc6.bias", "fc7.weight", "fc7.bias")


def decimated(values: Tensor, steps: Sequence[int]) -> Tensor:
    """Keep every ``steps[k]``-th entry of axis k, from the first on: (7,) with step 3 is (3,)."""
    return values[tuple(slice(None, None, step) for step in steps)].contiguous()


def as_convolutions(
    fc6: tuple[Tensor, Tensor], fc7: tuple[Tensor, Tensor], positions: int
) -> dict[str, Tensor]:
    """Return the thinned layers as convolutions: ``fc6.weight`` (F', C, p', p'), ``fc7.weight``...

    Args:
        fc6: Weight (F, C * p * p), positions row by row within each channel, and bias (F,).
        fc7: Weight (F, F) and bias (F,).
        positions: p.
    """
    filters = len(fc6[1])
    window = fc6[0].reshape(filters, -1, positions, positions)
    return {
        "fc6.weight": decimated(window, (FILTER_STEP, 1, POSITION_STEP, POSITION_STEP)),
        "fc6.bias": decimated(fc6[1], (FILTER_STEP,)),
        "fc7.weight": decimated(fc7[0], (FILTER_STEP, FILTER_STEP))[:, :, None, None],
        "fc7.bias": decimated(fc7[1], (FILTER_STEP,)),
    }


def fully_connected(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return ``LAYERS``: 1,024 filters, 3x3 positions for fc6, from VGG-16's weights.

    Weights that were thinned before hold the layers themselves; these are taken as they are.

    Args:
        state: A state dict with torchvision's names.
        source: Where it came from, for the message.

    Raises:
        BenchmarkError: A fully connected layer is missing or not VGG-16's.
    """
    if all(name in state for name in LAYERS):
        return {name: state[name] for name in LAYERS}
    for name, shape in SHAPES.items():
        if name not in state:
            raise BenchmarkError(
                f"{source} lacks {name!r}: give an ImageNet VGG-16 with its fully connected layers"
            )
        if tuple(state[name].shape) != shape:
            raise BenchmarkError(
                f"{source}: {name!r} has shape {tuple(state[name].shape)}, expected {shape}: "
                "these weights are of another network"
            )
    fc6, fc6_bias, fc7, fc7_bias = (state[name] for name in SHAPES)
    return as_convolutions((fc6, fc6_bias), (fc7, fc7_bias), positions=7)
