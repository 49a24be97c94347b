"""Saliency: our own network, its maps, a plugin's or the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.registry import parse_options
from benchmark.saliency.files import read_saliency, write_saliency
from benchmark.saliency.source import build_source, checked_maps
from benchmark.stages.inputs import INFERENCE_BATCH, chunks, dataset_of
from benchmark.store import Metrics, Workspace

NETWORK_FILE = "saliency.safetensors"

Maps = Callable[[Sequence[NDArray[np.uint8]]], Sequence[NDArray[np.float32]]]


def saliency_network(work: Workspace) -> Metrics:
    """Train the saliency network on generated objects of classes that VOC does not have."""
    from benchmark.saliency.network import trained_network
    from benchmark.saliency.recipe import SaliencyRecipe
    from benchmark.weights import save_state_dict

    recipe = parse_options("saliency", SaliencyRecipe, work.config["recipe"])
    source = work.inputs["backbone"] / "backbone.safetensors"
    with work.progress.task(work.label, recipe.iterations) as task:
        network, loss = trained_network(
            work.config["architecture"], work.config["options"], source, recipe, task
        )
    save_state_dict(work.out / NETWORK_FILE, network.state_dict())
    return {"loss": loss}


def shipped_saliency_network(work: Workspace) -> Metrics:
    """Keep the saliency network that the package ships, checked against its architecture."""
    from benchmark.backbones import build_backbone
    from benchmark.saliency.network import SaliencyNetwork
    from benchmark.weights import load_backbone, load_state_dict, save_state_dict

    path = work.locations["weights"]
    base = build_backbone(work.config["architecture"], **work.config["options"])
    network = SaliencyNetwork(base)
    load_backbone(network, load_state_dict(path), str(path))
    save_state_dict(work.out / NETWORK_FILE, network.state_dict())
    return {"parameters": sum(parameter.numel() for parameter in network.parameters())}


def saliency(work: Workspace) -> Metrics:
    """Write one grey PNG an image: of our network, of a plugin, or checked copies of files."""
    dataset = dataset_of(work)
    ids = dataset.ids(work.config["split"])
    folder = work.out / "saliency"
    folder.mkdir()
    with work.progress.task(work.label, len(ids)) as task:
        if "saliency_network" not in work.inputs and "plugin" not in work.config:
            for image_id in ids:
                shape = dataset.image(image_id).shape[:2]
                grey = read_saliency(work.locations["saliency"], image_id, shape)
                write_saliency(folder / f"{image_id}.png", grey, shape)
                task.advance()
            return {"images": len(ids)}
        looked_at = _plugin(work) if "plugin" in work.config else _own_network(work)
        for chunk in chunks(ids, INFERENCE_BATCH):
            images = [dataset.image(image_id) for image_id in chunk]
            for image_id, image, grey in zip(chunk, images, looked_at(images), strict=True):
                write_saliency(folder / f"{image_id}.png", grey, image.shape[:2])
            task.advance(len(chunk))
    return {"images": len(ids)}


def _own_network(work: Workspace) -> Maps:
    from benchmark.saliency.network import saliency_maps

    network = _trained_saliency_network(work)
    size, passes = work.config["size"], work.config.get("passes", 1)
    return lambda images: saliency_maps(network, images, size, passes)


def _plugin(work: Workspace) -> Maps:
    name = work.config["plugin"]
    source = build_source(name, work.config["options"])
    return lambda images: checked_maps(name, source.maps(images), len(images))


def _trained_saliency_network(work: Workspace) -> Any:
    from benchmark.backbones import build_backbone
    from benchmark.device import device
    from benchmark.saliency.network import SaliencyNetwork
    from benchmark.weights import load_state_dict

    trained = work.input_records["saliency_network"].config
    base = build_backbone(trained["architecture"], **trained["options"])
    network = SaliencyNetwork(base)
    path = work.inputs["saliency_network"] / NETWORK_FILE
    network.load_state_dict(load_state_dict(path))
    return network.to(device())
