"""The segmentation network and what it predicts."""

from __future__ import annotations

from benchmark.seeding import derive
from benchmark.stages.inputs import dataset_of
from benchmark.store import Metrics, Workspace


def segmentation(work: Workspace) -> Metrics:
    """Train the segmentation network on the proxy labels, through MMSegmentation."""
    from benchmark.segmentation import train_segmentation

    dataset = dataset_of(work)
    ids = dataset.ids(dataset.train_split)
    return train_segmentation(
        work.locations["config"],
        images={image_id: dataset.image_path(image_id) for image_id in ids},
        labels=work.inputs["labels"] / "labels",
        num_classes=len(dataset.classes) + 1,
        initial_weights=work.inputs["backbone"] / "backbone.safetensors",
        seed=derive("segmentation", work.config["seed"]),
        scratch=work.scratch,
        out=work.out / "model.safetensors",
        progress=work.progress,
        label=work.label,
        image_labels={image_id: dataset.image_labels(image_id) for image_id in ids},
    )


def prediction(work: Workspace) -> Metrics:
    """Segment one split; with a CRF in the config, refine the result as well."""
    from benchmark.crf import CrfOptions
    from benchmark.segmentation import predict

    dataset = dataset_of(work)
    crf = work.config["crf"]
    return predict(
        work.locations["config"],
        work.inputs["segmentation"] / "model.safetensors",
        images={i: dataset.image_path(i) for i in dataset.ids(work.config["split"])},
        num_classes=len(dataset.classes) + 1,
        scales=tuple(work.config["scales"]),
        flip=work.config["flip"],
        crf=None if crf is None else CrfOptions(**crf),
        out=work.out,
        progress=work.progress,
        label=work.label,
    )
