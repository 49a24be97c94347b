"""Saliency: our own network, its maps, or the user's."""

from __future__ import annotations

from typing import Any

from benchmark.registry import parse_options
from benchmark.saliency.files import read_saliency, write_saliency
from benchmark.seeding import derive
from benchmark.stages.inputs import INFERENCE_BATCH, chunks, dataset_of
from benchmark.store import Metrics, Workspace


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


def _saliency_network(work: Workspace) -> Any:
    from benchmark.backbones import build_backbone
    from benchmark.device import device
    from benchmark.saliency.network import SaliencyNetwork
    from benchmark.weights import load_backbone, load_state_dict

    base = build_backbone(work.config["architecture"], **work.config["options"])
    source = work.inputs["backbone"] / "backbone.safetensors"
    load_backbone(base, load_state_dict(source), str(source))
    return SaliencyNetwork(base).to(device())


def _trained_saliency_network(work: Workspace) -> Any:
    from benchmark.backbones import build_backbone
    from benchmark.device import device
    from benchmark.saliency.network import SaliencyNetwork
    from benchmark.weights import load_state_dict

    trained = work.input_records["saliency_network"].config
    base = build_backbone(trained["architecture"], **trained["options"])
    network = SaliencyNetwork(base)
    path = work.inputs["saliency_network"] / "saliency.safetensors"
    network.load_state_dict(load_state_dict(path))
    return network.to(device())
