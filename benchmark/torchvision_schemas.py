"""Lets torchvision be imported beside a torch without CUDA; import this before torchvision.

The torchvision of PyPI is compiled against CUDA. Beside a torch built for the CPU alone its
library cannot be loaded, and its import dies on operators that nothing declared ("operator
torchvision::nms does not exist"). Its models, transforms and weights need no operator, so the
declarations are enough. Where torchvision's own library loads, nothing is done.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_OPERATORS = ("nms", "qnms")
_ARGUMENTS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # an operator lives as long as its Library object


def _loads(library: Path) -> bool:
    try:
        torch.ops.load_library(str(library))
    except OSError:
        return False
    return True


def _own_library_loads() -> bool:
    """Whether torchvision's compiled part works here, found out without importing torchvision."""
    spec = importlib.util.find_spec("torchvision")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return any(_loads(path) for folder in folders for path in Path(folder).glob("_C*.so"))


def declare() -> bool:
    """Declare torchvision's operators where it cannot; return whether that was needed."""
    if torch.version.cuda is not None or hasattr(torch.ops.torchvision, "nms"):
        return False
    if _own_library_loads():
        return False
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _OPERATORS:
        library.define(name + _ARGUMENTS)
    _declared.append(library)
    return True


declare()
