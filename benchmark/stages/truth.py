"""The true masks in the place of proxy labels: full supervision, the ceiling of all methods."""

from __future__ import annotations

from benchmark.data.voc import write_label_png
from benchmark.stages.inputs import dataset_of, tracked
from benchmark.store import Metrics, Workspace


def true_labels(work: Workspace) -> Metrics:
    """Write the masks of one split with contiguous ids; what is not evaluated is void."""
    dataset = dataset_of(work)
    ids = dataset.ids(work.config["split"])
    folder = work.out / "labels"
    folder.mkdir()
    for image_id in tracked(work, ids):
        write_label_png(folder / f"{image_id}.png", dataset.mask(image_id))
    return {"images": len(ids)}
