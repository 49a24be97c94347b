"""Proxy labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import VOID, VocDataset, write_label_png
from benchmark.errors import BenchmarkError
from benchmark.maps import MapArchive
from benchmark.saliency.files import read_saliency
from benchmark.stages.inputs import dataset_of, tracked
from benchmark.store import Metrics, Workspace


def labels(work: Workspace) -> Metrics:
    """Turn attention maps, and what else the recipe needs, into proxy labels."""
    from benchmark.proxy import find_recipe, resize_maps

    dataset = dataset_of(work)
    archive = MapArchive(work.inputs["maps"] / "maps.safetensors")
    recipe = find_recipe(work.config["recipe"])
    folder = work.out / "labels"
    folder.mkdir()
    void = 0.0
    for image_id in tracked(work, archive.ids()):
        low, classes = archive.read(image_id)
        full = resize_maps(low, dataset.image_size(image_id))
        needed = {need: _needed(work, dataset, archive, image_id, need) for need in recipe.needs}
        proxy = recipe.function(full, classes, **needed, **work.config["constants"])
        _check(work.config["recipe"], proxy, full.shape[1:], classes)
        write_label_png(folder / f"{image_id}.png", proxy)
        void += float((proxy == VOID).mean())
    return {"images": len(archive.ids()), "void": void / len(archive.ids())}


def _check(recipe: str, labels: Any, shape: tuple[int, ...], classes: NDArray[np.int64]) -> None:
    """Raise BenchmarkError where a recipe, which may be a plugin's, gives no labels."""
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8 or labels.shape != shape:
        kind = f"{getattr(labels, 'dtype', type(labels).__name__)} {getattr(labels, 'shape', '')}"
        raise BenchmarkError(f"label recipe {recipe} gives {kind.strip()}, not uint8 {shape}")
    foreign = np.setdiff1d(labels, [0, *classes, VOID])
    if foreign.size:
        raise BenchmarkError(
            f"label recipe {recipe} gives id {foreign[0]} in an image of {classes.tolist()}"
        )


def _needed(
    work: Workspace, dataset: VocDataset, archive: MapArchive, image_id: str, need: str
) -> Any:
    from benchmark.proxy import resize_maps

    if need == "image":
        return dataset.image(image_id)
    if need == "names":
        return dataset.classes
    shape = dataset.image_size(image_id)
    if need == "saliency":
        return read_saliency(work.inputs["saliency"] / "saliency", image_id, shape)
    background = archive.background(image_id)
    if background is None:
        raise BenchmarkError(
            f"label recipe {work.config['recipe']} needs background maps, which this method has not"
        )
    return resize_maps(background[None], shape)[0]
