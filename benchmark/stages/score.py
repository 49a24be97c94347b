"""Scores of labels and of attention maps, from per-image confusion counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import read_label_png
from benchmark.maps import MapArchive
from benchmark.stages.inputs import dataset_of, tracked
from benchmark.store import Metrics, Workspace

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 19))
"""Background thresholds at which attention maps are scored: 0.05 to 0.90."""


def score(work: Workspace) -> Metrics:
    """Count each image's confusion of truth and label; keep the counts unrounded."""
    from benchmark.metrics import confusion_counts

    dataset = dataset_of(work)
    folder = work.inputs["labels"] / work.config["folder"]
    counts = [
        confusion_counts(
            dataset.mask(image_id),
            read_label_png(folder / f"{image_id}.png"),
            len(dataset.classes) + 1,
        )
        for image_id in tracked(work, dataset.ids(work.config["split"]))
    ]
    write_counts(work.out / "counts.safetensors", dataset.ids(work.config["split"]), counts)
    return _summary(np.sum(counts, axis=0))


def map_score(work: Workspace) -> Metrics:
    """Score attention maps at every background threshold; the best one is an oracle's choice.

    Maps with a background, where the config says so, are scored by their argmax instead.
    """
    from benchmark.metrics import confusion_counts, mean_iou
    from benchmark.proxy import background_thresholds, resize_maps

    if work.config.get("background"):
        return _background_score(work)
    dataset = dataset_of(work)
    archive = MapArchive(work.inputs["maps"] / "maps.safetensors")
    size = len(dataset.classes) + 1
    totals = np.zeros((len(THRESHOLDS), size, size + 1), np.int64)
    for image_id in tracked(work, archive.ids()):
        truth = dataset.mask(image_id)
        low, classes = archive.read(image_id)
        full = resize_maps(low, truth.shape)
        for index, proxy in enumerate(background_thresholds(full, classes, THRESHOLDS)):
            totals[index] += confusion_counts(truth, proxy, size)
    curve = mean_iou(totals)
    best = int(np.argmax(curve))
    curve_rows = dict(zip(map(str, THRESHOLDS), map(float, curve), strict=True))
    (work.out / "curve.json").write_text(json.dumps(curve_rows, indent=1) + "\n")
    return {**_summary(totals[best]), "oracle_threshold": THRESHOLDS[best]}


def _background_score(work: Workspace) -> Metrics:
    from benchmark.metrics import confusion_counts
    from benchmark.proxy import argmax_background, resize_maps

    dataset = dataset_of(work)
    archive = MapArchive(work.inputs["maps"] / "maps.safetensors")
    size = len(dataset.classes) + 1
    total = np.zeros((size, size + 1), np.int64)
    for image_id in tracked(work, archive.ids()):
        truth = dataset.mask(image_id)
        low, classes = archive.read(image_id)
        background = archive.background(image_id)
        assert background is not None
        scores = resize_maps(np.concatenate([background[None], low]), truth.shape)
        total += confusion_counts(truth, argmax_background(scores[1:], classes, scores[0]), size)
    return _summary(total)


def read_counts(path: Path) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return image ids and counts (N, C, C + 1) that the score stage kept."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return tuple(json.loads(file.metadata()["ids"])), file.get_tensor("counts")


def write_counts(path: Path, ids: Sequence[str], counts: Sequence[NDArray[np.int64]]) -> None:
    """Keep image ids and their counts, each (C, C + 1)."""
    from safetensors.numpy import save_file

    # safetensors writes the buffer as it lies, and a stack of transposed arrays lies transposed
    stacked = np.ascontiguousarray(np.stack(counts))
    save_file({"counts": stacked}, path, {"ids": json.dumps(list(ids))})


def _summary(counts: NDArray[np.int64]) -> Metrics:
    from benchmark.metrics import mean_iou, mean_precision, mean_recall

    return {
        "miou": float(mean_iou(counts)),
        "precision": float(mean_precision(counts)),
        "recall": float(mean_recall(counts)),
    }
