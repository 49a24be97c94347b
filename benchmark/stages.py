"""The stages: each a function of its config and of the artifacts before it.

A stage gets a Workspace (config, input folders, an empty output folder, a scratch folder that
survives a kill) and returns its metrics, fractions between 0 and 1 where they are scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import VocDataset, open_voc, read_label_png, write_label_png
from benchmark.executor import StageFunction
from benchmark.maps import MapArchive, write_maps
from benchmark.method import Head, TrainingRecipe
from benchmark.registry import build_method, parse_options
from benchmark.saliency.files import read_saliency, write_saliency
from benchmark.seeding import derive
from benchmark.store import Workspace

Metrics = dict[str, float | int | str]

INFERENCE_BATCH = 32
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 19))
"""Background thresholds at which attention maps are scored: 0.05 to 0.90."""


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


def saliency_network(work: Workspace) -> Metrics:
    """Train the saliency network on generated objects of classes that VOC does not have."""
    import torch

    from benchmark.data.scenes import foreign_images
    from benchmark.saliency.network import train_saliency
    from benchmark.saliency.recipe import SaliencyRecipe
    from benchmark.weights import save_state_dict

    torch.manual_seed(derive("saliency network", 0))
    network = _saliency_network(work)
    recipe = parse_options("saliency", SaliencyRecipe, work.config["recipe"])
    data = foreign_images(recipe.images, recipe.size, derive("saliency images", 0))
    with work.progress.task(work.label, recipe.iterations) as task:
        loss = train_saliency(network, data, recipe, 0, task)
    save_state_dict(work.out / "saliency.safetensors", network.state_dict())
    return {"loss": loss}


def saliency(work: Workspace) -> Metrics:
    """Write one grey PNG an image: read off our network, or checked copies of the user's files."""
    dataset = _dataset(work)
    ids = dataset.ids(work.config["split"])
    folder = work.out / "saliency"
    folder.mkdir()
    with work.progress.task(work.label, len(ids)) as task:
        if "saliency_network" not in work.inputs:
            for image_id in ids:
                shape = dataset.image(image_id).shape[:2]
                grey = read_saliency(work.locations["saliency"], image_id, shape)
                write_saliency(folder / f"{image_id}.png", grey, shape)
                task.advance()
            return {"images": len(ids)}
        from benchmark.saliency.network import saliency_maps

        network = _trained_saliency_network(work)
        for chunk in _chunks(ids, INFERENCE_BATCH):
            images = [dataset.image(image_id) for image_id in chunk]
            maps = saliency_maps(network, images, work.config["size"])
            for image_id, image, grey in zip(chunk, images, maps, strict=True):
                write_saliency(folder / f"{image_id}.png", grey, image.shape[:2])
            task.advance(len(chunk))
    return {"images": len(ids)}


def attention(work: Workspace) -> Metrics:
    """Train the method's attention network; score its classifier on the validation split."""
    import torch

    from benchmark.attention import LabelledImages, Trainer, class_scores
    from benchmark.metrics import mean_average_precision
    from benchmark.weights import save_state_dict

    dataset = _dataset(work)
    method = build_method(work.config["method"], work.config["options"])
    recipe = parse_options("recipe", TrainingRecipe, work.config["recipe"])
    torch.manual_seed(derive("attention", work.config["seed"]))
    network = _attention_network(work, method, dataset)
    train, val = (_labelled(dataset, split) for split in (dataset.train_split, dataset.val_split))
    trainer = Trainer(
        LabelledImages(*train),
        recipe,
        seed=work.config["seed"],
        scratch=work.scratch,
        progress=work.progress,
        label=work.label,
    )
    method.fit(network, trainer)
    save_state_dict(work.out / "attention.safetensors", network.state_dict())
    scores = class_scores(method, network, val[0], recipe.test_size, INFERENCE_BATCH)
    return {
        "val_map": float(mean_average_precision(scores, val[1])),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


def maps(work: Workspace) -> Metrics:
    """Read the attention maps of one split off the trained network."""
    from benchmark.attention import attention_maps
    from benchmark.weights import load_state_dict

    dataset = _dataset(work)
    trained = work.input_records["attention"].config
    method = build_method(trained["method"], trained["options"])
    network = _attention_network(work, method, dataset, trained["backbone"])
    network.load_state_dict(load_state_dict(work.inputs["attention"] / "attention.safetensors"))
    ids = dataset.ids(work.config["split"])
    archive: dict[str, NDArray[np.floating[Any]]] = {}
    classes: dict[str, list[int]] = {}
    with work.progress.task(work.label, len(ids)) as task:
        for chunk in _chunks(ids, INFERENCE_BATCH):
            images, labels = _load(dataset, chunk)
            found = attention_maps(method, network, images, labels, work.config["size"])
            for image_id, image_maps, present in zip(chunk, found, labels, strict=True):
                archive[image_id] = image_maps[present]
                classes[image_id] = [int(index) + 1 for index in np.flatnonzero(present)]
            task.advance(len(chunk))
    write_maps(work.out / "maps.safetensors", archive, classes)
    return {"images": len(ids)}


def labels(work: Workspace) -> Metrics:
    """Turn attention maps (and saliency) into proxy labels by a recipe."""
    from benchmark.proxy import find_recipe, resize_maps

    dataset = _dataset(work)
    archive = MapArchive(work.inputs["maps"] / "maps.safetensors")
    recipe = find_recipe(work.config["recipe"])
    folder = work.out / "labels"
    folder.mkdir()
    void = 0.0
    with work.progress.task(work.label, len(archive.ids())) as task:
        for image_id in archive.ids():
            shape = dataset.image_size(image_id)
            low, classes = archive.read(image_id)
            grey = None
            if "saliency" in work.inputs:
                grey = read_saliency(work.inputs["saliency"] / "saliency", image_id, shape)
            full = resize_maps(low, shape)
            proxy = recipe(full, classes, grey, **work.config["constants"])
            write_label_png(folder / f"{image_id}.png", proxy)
            void += float((proxy == 255).mean())
            task.advance()
    return {"images": len(archive.ids()), "void": void / len(archive.ids())}


def segmentation(work: Workspace) -> Metrics:
    """Train the segmentation network on the proxy labels, through MMSegmentation."""
    from benchmark.segmentation import train_segmentation

    dataset = _dataset(work)
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
    )


def prediction(work: Workspace) -> Metrics:
    """Segment one split; with a CRF in the config, refine the result as well."""
    from benchmark.crf import CrfOptions
    from benchmark.segmentation import predict

    dataset = _dataset(work)
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


def score(work: Workspace) -> Metrics:
    """Count each image's confusion of truth and label; keep the counts unrounded."""
    from benchmark.metrics import confusion_counts

    dataset = _dataset(work)
    folder = work.inputs["labels"] / work.config["folder"]
    counts = [
        confusion_counts(
            dataset.mask(image_id),
            read_label_png(folder / f"{image_id}.png"),
            len(dataset.classes) + 1,
        )
        for image_id in _tracked(work, dataset.ids(work.config["split"]))
    ]
    _save_counts(work.out / "counts.safetensors", dataset.ids(work.config["split"]), counts)
    return _summary(np.sum(counts, axis=0))


def map_score(work: Workspace) -> Metrics:
    """Score attention maps at every background threshold; the best one is an oracle's choice."""
    from benchmark.metrics import confusion_counts, mean_iou
    from benchmark.proxy import background_thresholds, resize_maps

    dataset = _dataset(work)
    archive = MapArchive(work.inputs["maps"] / "maps.safetensors")
    size = len(dataset.classes) + 1
    totals = np.zeros((len(THRESHOLDS), size, size + 1), np.int64)
    for image_id in _tracked(work, archive.ids()):
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


STAGES: dict[str, StageFunction] = {
    "scenes": scenes,
    "backbone": backbone,
    "saliency_network": saliency_network,
    "saliency": saliency,
    "attention": attention,
    "maps": maps,
    "map_score": map_score,
    "labels": labels,
    "segmentation": segmentation,
    "prediction": prediction,
    "score": score,
}


def read_counts(path: Path) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return image ids and counts (N, C, C + 1) that the score stage kept."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return tuple(json.loads(file.metadata()["ids"])), file.get_tensor("counts")


def _save_counts(path: Path, ids: Sequence[str], counts: Sequence[NDArray[np.int64]]) -> None:
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


def _dataset(work: Workspace) -> VocDataset:
    if "scenes" in work.inputs:
        return open_voc(work.inputs["scenes"] / "voc")
    described = work.config["data"]
    csv = work.locations.get("labels_csv")
    return open_voc(
        work.locations["data"],
        classes=described["classes"],
        labels=described["labels"],
        labels_csv=csv,
        train_split=described["train_split"],
        val_split=described["val_split"],
        name=described["name"],
    )


def _load(
    dataset: VocDataset, ids: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]:
    return (
        [dataset.image(image_id) for image_id in ids],
        np.stack([dataset.image_labels(image_id) for image_id in ids]),
    )


def _labelled(dataset: VocDataset, split: str) -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]:
    return _load(dataset, dataset.ids(split))


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _tracked(work: Workspace, ids: Sequence[str]) -> Iterator[str]:
    with work.progress.task(work.label, len(ids)) as task:
        for image_id in ids:
            yield image_id
            task.advance()


def _attention_network(
    work: Workspace, method: Any, dataset: VocDataset, described: Any = None
) -> Any:
    """Build the method's network; with initial weights where this stage is the one that trains."""
    from benchmark.attention import device
    from benchmark.backbones import build_backbone
    from benchmark.weights import load_backbone, load_state_dict

    described = described or work.config["backbone"]
    base = build_backbone(described["architecture"], **described["options"])
    if "backbone" in work.inputs:
        source = work.inputs["backbone"] / "backbone.safetensors"
        load_backbone(base, load_state_dict(source), str(source))
    network = method.network(base, len(dataset.classes), Head(**described["head"]))
    return network.to(device())


def _saliency_network(work: Workspace) -> Any:
    from benchmark.attention import device
    from benchmark.backbones import build_backbone
    from benchmark.saliency.network import SaliencyNetwork
    from benchmark.weights import load_backbone, load_state_dict

    base = build_backbone(work.config["architecture"], **work.config["options"])
    source = work.inputs["backbone"] / "backbone.safetensors"
    load_backbone(base, load_state_dict(source), str(source))
    return SaliencyNetwork(base).to(device())


def _trained_saliency_network(work: Workspace) -> Any:
    from benchmark.attention import device
    from benchmark.backbones import build_backbone
    from benchmark.saliency.network import SaliencyNetwork
    from benchmark.weights import load_state_dict

    trained = work.input_records["saliency_network"].config
    base = build_backbone(trained["architecture"], **trained["options"])
    network = SaliencyNetwork(base)
    path = work.inputs["saliency_network"] / "saliency.safetensors"
    network.load_state_dict(load_state_dict(path))
    return network.to(device())


def stage_summaries() -> dict[str, str]:
    """Return each stage's name and what it does, in the order in which data flows."""
    return {name: (function.__doc__ or "").splitlines()[0] for name, function in STAGES.items()}
