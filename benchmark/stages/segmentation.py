"""The segmentation network, what it predicts, and its training on its own predictions."""

from __future__ import annotations

import shutil

import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import VocDataset
from benchmark.seeding import derive
from benchmark.stages.inputs import dataset_of
from benchmark.store import Metrics, Workspace


def segmentation(work: Workspace) -> Metrics:
    """Train the segmentation network on the proxy labels, through MMSegmentation."""
    from benchmark.segmentation import train_segmentation

    dataset = dataset_of(work)
    ids = dataset.ids(dataset.train_split)
    initial = work.inputs.get("initial")
    return train_segmentation(
        work.locations["config"],
        images={image_id: dataset.image_path(image_id) for image_id in ids},
        labels=work.inputs["labels"] / "labels",
        num_classes=len(dataset.classes) + 1,
        initial_weights=work.inputs["backbone"] / "backbone.safetensors",
        initial_model=None if initial is None else initial / "model.safetensors",
        seed=derive("segmentation" if initial is None else "retraining", work.config["seed"]),
        scratch=work.scratch,
        out=work.out / "model.safetensors",
        progress=work.progress,
        label=work.label,
        image_labels={image_id: dataset.image_labels(image_id) for image_id in ids},
    )


def prediction(work: Workspace) -> Metrics:
    """Segment one split; with a CRF in the config, refine the result as well."""
    return _predicted(work, dataset_of(work), work.config["split"])


def adapted_labels(work: Workspace) -> Metrics:
    """Segment the training split, as labels on which the network is trained once more.

    With ``restricted`` in the config every pixel gets the most probable of background and the
    image's own classes. arXiv:1707.05821 says so; its code multiplies the scores by 0 or 1, so
    that an absent class has 0 and wins wherever those of all present ones are negative.
    """
    dataset = dataset_of(work)
    ids = dataset.ids(dataset.train_split)
    allowed = None
    if work.config["restricted"]:
        allowed = {i: np.concatenate([[True], dataset.image_labels(i)]) for i in ids}
    metrics = _predicted(work, dataset, dataset.train_split, allowed)
    if work.config["crf"] is not None:
        shutil.rmtree(work.out / "labels")
        (work.out / "labels_crf").rename(work.out / "labels")
    return metrics


def _predicted(
    work: Workspace,
    dataset: VocDataset,
    split: str,
    allowed: dict[str, NDArray[np.bool_]] | None = None,
) -> Metrics:
    from benchmark.crf import CrfOptions
    from benchmark.segmentation import predict

    crf = work.config["crf"]
    return predict(
        work.locations["config"],
        work.inputs["segmentation"] / "model.safetensors",
        images={i: dataset.image_path(i) for i in dataset.ids(split)},
        num_classes=len(dataset.classes) + 1,
        scales=tuple(work.config["scales"]),
        flip=work.config["flip"],
        square=work.config.get("square"),
        fusion=work.config.get("fusion", "probabilities"),
        crf=None if crf is None else CrfOptions(**crf),
        allowed=allowed,
        out=work.out,
        progress=work.progress,
        label=work.label,
    )
