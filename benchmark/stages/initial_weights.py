"""Initial weights, checked against the architecture that they are for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmark.store import Metrics, Workspace

if TYPE_CHECKING:
    from torch import Tensor

    State = dict[str, Tensor]


def backbone(work: Workspace) -> Metrics:
    """Check initial weights against their architecture and keep them as safetensors."""
    return _kept(work, _own_backbone(work))


def fully_connected_backbone(work: Workspace) -> Metrics:
    """Keep a VGG-16's convolutions, and its fully connected layers thinned to fc6 and fc7."""
    from benchmark.deeplab.fully_connected import fully_connected

    return _kept(work, _own_backbone(work), fully_connected)


def xception_backbone(work: Workspace) -> Metrics:
    """Check timm's weights of an Xception-65 and keep those before its classifier."""
    from benchmark.deeplab.xception import xception65

    return _kept(work, xception65())


def _own_backbone(work: Workspace) -> Any:
    from benchmark.backbones import build_backbone

    return build_backbone(work.config["architecture"], **work.config["options"])


def _kept(
    work: Workspace, module: Any, beside: Callable[[State, str], State] | None = None
) -> Metrics:
    """Keep what ``module`` takes from the given weights, and what ``beside`` makes of them."""
    from benchmark.weights import load_backbone, load_state_dict, save_state_dict

    source = work.locations["weights"]
    state = load_state_dict(source)
    load_backbone(module, state, str(source))
    more = beside(state, str(source)) if beside else {}
    save_state_dict(work.out / "backbone.safetensors", {**module.state_dict(), **more})
    return {"parameters": sum(part.numel() for part in (*module.parameters(), *more.values()))}
