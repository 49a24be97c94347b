"""Saliency: our own network, its maps, or the user's."""

from __future__ import annotations

from typing import Any

from benchmark.registry import parse_options
from benchmark.saliency.files import read_saliency, write_saliency
from benchmark.stages.inputs import INFERENCE_BATCH, chunks, dataset_of
from benchmark.store import Metrics, Workspace

NETWORK_FILE = "saliency.safetensors"


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
    """Write one grey PNG an image: read off our network, or checked copies of the user's files."""
    dataset = dataset_of(work)
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
        for chunk in chunks(ids, INFERENCE_BATCH):
            images = [dataset.image(image_id) for image_id in chunk]
            passes = work.config.get("passes", 1)
            maps = saliency_maps(network, images, work.config["size"], passes)
            for image_id, image, grey in zip(chunk, images, maps, strict=True):
                write_saliency(folder / f"{image_id}.png", grey, image.shape[:2])
            task.advance(len(chunk))
    return {"images": len(ids)}


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
