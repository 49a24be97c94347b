"""Initial weights of DeepLab on VGG-16, whose fully connected layers are ImageNet's too."""

from __future__ import annotations

from benchmark.store import Metrics, Workspace


def fully_connected_backbone(work: Workspace) -> Metrics:
    """Keep a VGG-16's convolutions, and its fully connected layers thinned to fc6 and fc7."""
    from benchmark.backbones import build_backbone
    from benchmark.deeplab.fully_connected import fully_connected
    from benchmark.weights import load_backbone, load_state_dict, save_state_dict

    source = work.locations["weights"]
    state = load_state_dict(source)
    module = build_backbone(work.config["architecture"], **work.config["options"])
    load_backbone(module, state, str(source))
    kept = {**module.state_dict(), **fully_connected(state, str(source))}
    save_state_dict(work.out / "backbone.safetensors", kept)
    return {"parameters": sum(value.numel() for value in kept.values())}
