"""Stages that released files stand in for; what comes after them runs as always."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.released import (
    ReleasedMaps,
    contiguous_ids,
    read_released_labels,
    read_released_maps,
)
from benchmark.data.voc import VOID, VocDataset, write_label_png
from benchmark.errors import BenchmarkError
from benchmark.maps import MapArchive, write_maps
from benchmark.registry import build_method
from benchmark.stages.attention import measured
from benchmark.stages.inputs import (
    attention_network,
    dataset_of,
    tracked,
)
from benchmark.store import Metrics, Workspace

ReadLabels = Callable[[str, tuple[int, int]], NDArray[np.uint8]]
ReadMaps = Callable[[str], ReleasedMaps]


def released_attention(work: Workspace) -> Metrics:
    """Check released weights of the attention network, key by key; score their classifier."""
    from benchmark.weights import load_state_dict, save_state_dict

    dataset = dataset_of(work)
    method = build_method(work.config["method"], work.config["options"])
    network = attention_network(work, method, dataset)
    source = work.locations["weights"]
    load_strictly(network, load_state_dict(source), source)
    save_state_dict(work.out / "attention.safetensors", network.state_dict())
    return measured(work, method, network, dataset, work.config["test_size"])


def load_strictly(network: Any, state: dict[str, Any], source: Path) -> None:
    """Load a state dict; BenchmarkError names the first key that lacks, is foreign or misshapen."""
    own = network.state_dict()
    for key in own:
        if key not in state:
            raise BenchmarkError(f"{source} lacks {key!r}: the weights are of another network")
    for key, value in state.items():
        if key not in own:
            raise BenchmarkError(f"{source} holds {key!r}, which the network has not")
        if value.shape != own[key].shape:
            raise BenchmarkError(
                f"{source}: {key!r} has shape {tuple(value.shape)}, expected "
                f"{tuple(own[key].shape)}"
            )
    network.load_state_dict(state)


def released_maps(work: Workspace) -> Metrics:
    """Check released attention maps of one split and keep those of the classes present."""
    dataset = dataset_of(work)
    read = _map_reader(work.locations["maps"], dataset)
    archive: dict[str, NDArray[np.floating]] = {}
    classes: dict[str, list[int]] = {}
    backgrounds: dict[str, NDArray[np.floating]] = {}
    absent = 0
    for image_id in tracked(work, dataset.ids(work.config["split"])):
        held = read(image_id)
        present = 1 + np.flatnonzero(dataset.image_labels(image_id))
        kept = np.isin(held.classes, present)
        archive[image_id] = held.maps[kept]
        classes[image_id] = held.classes[kept].tolist()
        absent += len(present) - int(kept.sum())
        if held.background is not None:
            backgrounds[image_id] = held.background
    write_maps(work.out / "maps.safetensors", archive, classes, backgrounds)
    return {"images": len(archive), "classes_without_map": absent}


def released_labels(work: Workspace) -> Metrics:
    """Check released labels, or cues, of one split; score the pixels that are labelled."""
    from benchmark.coverage import labelled_share, right_share
    from benchmark.metrics import confusion_counts

    dataset = dataset_of(work)
    ids = dataset.ids(work.config["split"])
    read = _cue_reader(work) if "cues" in work.locations else _label_reader(work)
    contiguous = contiguous_ids(dataset.classes)
    folder = work.out / "labels"
    folder.mkdir()
    size = len(dataset.classes) + 1
    counts = np.zeros((size, size + 1), np.int64)
    void = 0.0
    for image_id in tracked(work, ids):
        labels = contiguous[read(image_id, dataset.image_size(image_id))]
        write_label_png(folder / f"{image_id}.png", labels)
        counts += confusion_counts(dataset.mask(image_id), labels, size)
        void += float((labels == VOID).mean())
    if not counts[:, :-1].any():
        raise BenchmarkError("no pixel of the released labels is labelled")
    return {
        "images": len(ids),
        "void": void / len(ids),
        "labelled": labelled_share(counts),
        "right": right_share(counts),
    }


def _label_reader(work: Workspace) -> ReadLabels:
    folder = work.locations["labels"]
    return lambda image_id, size: read_released_labels(folder / f"{image_id}.png", size)


def _cue_reader(work: Workspace) -> ReadLabels:
    from benchmark.data.cues import cue_labels, read_cues

    released = read_cues(work.locations["cues"])
    return lambda image_id, size: cue_labels(released.cells(image_id), size)


def _map_reader(path: Path, dataset: VocDataset) -> ReadMaps:
    """Return what reads one image's maps, with the data set's contiguous ids."""
    if path.is_dir():
        contiguous = contiguous_ids(dataset.classes)

        def from_folder(image_id: str) -> ReleasedMaps:
            held = read_released_maps(path / f"{image_id}.npz")
            ids = contiguous[held.classes].astype(np.int64)  # 255: no class of the data set's
            return ReleasedMaps(held.maps, ids, held.background)

        return from_folder
    archive = MapArchive(path)

    def from_archive(image_id: str) -> ReleasedMaps:
        maps, ids = archive.read(image_id)
        if ids.size and not 1 <= ids.min() <= ids.max() <= len(dataset.classes):
            raise BenchmarkError(
                f"{path}: {image_id} has maps of classes {ids.tolist()}; the run has "
                f"{len(dataset.classes)} classes: give the --classes that the maps were made with"
            )
        return ReleasedMaps(maps, ids, archive.background(image_id))

    return from_archive
