"""Images and initial weights."""

from __future__ import annotations

from benchmark.registry import parse_options
from benchmark.store import Metrics, Workspace


def scenes(work: Workspace) -> Metrics:
    """Generate the scenes in VOC layout."""
    from benchmark.data.scenes import SceneOptions, write_scenes

    options = parse_options("scenes", SceneOptions, work.config["options"])
    with work.progress.task(work.label, options.train_images + options.val_images) as task:
        write_scenes(work.out / "voc", options, task)
    return {"train_images": options.train_images, "val_images": options.val_images}


def backbone(work: Workspace) -> Metrics:
    """Check initial weights against their architecture and keep them as safetensors."""
    from benchmark.backbones import build_backbone
    from benchmark.weights import load_backbone, load_state_dict, save_state_dict

    source = work.locations["weights"]
    module = build_backbone(work.config["architecture"], **work.config["options"])
    load_backbone(module, load_state_dict(source), str(source))
    save_state_dict(work.out / "backbone.safetensors", module.state_dict())
    return {"parameters": sum(parameter.numel() for parameter in module.parameters())}
