"""Images."""

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
