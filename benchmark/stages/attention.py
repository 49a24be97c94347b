"""The attention network and its maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import VocDataset
from benchmark.maps import write_maps
from benchmark.method import Method, TrainingRecipe
from benchmark.registry import build_method, parse_options
from benchmark.seeding import derive
from benchmark.stages.inputs import (
    INFERENCE_BATCH,
    attention_network,
    chunks,
    dataset_of,
    labelled_images,
)
from benchmark.store import Metrics, Workspace

OWN_SHAPE_BATCH = 4
"""Images of their own size are larger than the squares: VOC's are 500 pixels long, at scale 1."""


def attention(work: Workspace) -> Metrics:
    """Train the method's attention network; score its classifier on the validation split."""
    import torch

    from benchmark.attention import Trainer
    from benchmark.weights import save_state_dict

    dataset = dataset_of(work)
    method = build_method(work.config["method"], work.config["options"])
    recipe = parse_options("recipe", TrainingRecipe, work.config["recipe"])
    torch.manual_seed(derive("attention", work.config["seed"]))
    network = attention_network(work, method, dataset)
    train = dataset.ids(dataset.train_split)
    trainer = Trainer(
        labelled_images(work, dataset, train, "saliency_train"),
        recipe,
        seed=work.config["seed"],
        scratch=work.scratch,
        progress=work.progress,
        label=work.label,
    )
    method.fit(network, trainer)
    save_state_dict(work.out / "attention.safetensors", network.state_dict())
    return measured(work, method, network, dataset, recipe.test_size)


def measured(
    work: Workspace, method: Method, network: Any, dataset: VocDataset, size: int
) -> Metrics:
    """Count the network's parameters, and score its classifier on the validation split.

    It is not scored where it looks at saliency maps and the user has none of that split.
    """
    from benchmark.attention import class_scores
    from benchmark.metrics import mean_average_precision

    metrics: Metrics = {"parameters": sum(parameter.numel() for parameter in network.parameters())}
    if method.needs_saliency and "saliency_val" not in work.inputs:
        return metrics
    val = labelled_images(work, dataset, dataset.ids(dataset.val_split), "saliency_val")
    scores = class_scores(method, network, val, size, INFERENCE_BATCH)
    return {**metrics, "val_map": float(mean_average_precision(scores, val.labels))}


def maps(work: Workspace) -> Metrics:
    """Read the attention maps of one split off the trained network."""
    from benchmark.attention import attention_maps
    from benchmark.weights import load_state_dict

    dataset = dataset_of(work)
    trained = work.input_records["attention"].config
    method = build_method(trained["method"], work.config["options"])
    network = attention_network(work, method, dataset, trained["backbone"])
    network.load_state_dict(load_state_dict(work.inputs["attention"] / "attention.safetensors"))
    ids = dataset.ids(work.config["split"])
    keep_shape = work.config.get("keep_shape", False)
    views = 1 + method.inference().flip  # mirror images join the batch
    archive: dict[str, NDArray[np.floating[Any]]] = {}
    classes: dict[str, list[int]] = {}
    backgrounds: dict[str, NDArray[np.floating[Any]]] = {}
    with work.progress.task(work.label, len(ids)) as task:
        for chunk in chunks(ids, INFERENCE_BATCH // views):
            whole = labelled_images(work, dataset, chunk, "saliency")
            for places in _looked_at_together(whole.images, keep_shape, OWN_SHAPE_BATCH // views):
                data = whole.chosen(places)
                found, background = attention_maps(
                    method, network, data, work.config["size"], keep_shape=keep_shape
                )
                for index, place in enumerate(places):
                    image_id, present = chunk[place], data.labels[index]
                    archive[image_id] = found[index][present]
                    classes[image_id] = [int(one) + 1 for one in np.flatnonzero(present)]
                    if background is not None:
                        backgrounds[image_id] = background[index]
            task.advance(len(chunk))
    write_maps(work.out / "maps.safetensors", archive, classes, backgrounds)
    return {"images": len(ids)}


def _looked_at_together(
    images: Sequence[NDArray[np.uint8]], keep_shape: bool, most: int
) -> Iterator[Sequence[int]]:
    """Yield the places of images of one batch: all of them, or up to ``most`` of the same shape."""
    if not keep_shape:
        yield range(len(images))
        return
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        alike.setdefault(image.shape, []).append(place)
    for places in alike.values():
        yield from chunks(places, most)
