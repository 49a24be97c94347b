"""Initial weights of Xception-65, which the segmentation alone builds on."""

from __future__ import annotations

from benchmark.store import Metrics, Workspace


def xception_backbone(work: Workspace) -> Metrics:
    """Check timm's weights of an Xception-65 and keep those before its classifier."""
    from benchmark.deeplab.xception import xception65
    from benchmark.weights import load_backbone, load_state_dict, save_state_dict

    source = work.locations["weights"]
    module = xception65()
    load_backbone(module, load_state_dict(source), str(source))
    save_state_dict(work.out / "backbone.safetensors", module.state_dict())
    return {"parameters": sum(parameter.numel() for parameter in module.parameters())}
