"""Attention maps made better by a network that learned from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.data.voc import VocDataset
from benchmark.maps import MapArchive, write_maps
from benchmark.method import Head, TrainingRecipe
from benchmark.refinement import Refinement, build_refinement
from benchmark.registry import parse_options
from benchmark.seeding import derive
from benchmark.stages.inputs import dataset_of, labelled_images, tracked
from benchmark.store import Metrics, Workspace, write_atomic

LONGEST_SIDE = 512
"""Images are refined at their own size, but for those longer than this; VOC's are 500 at most."""

NETWORK = "refinement.safetensors"


def refinement(work: Workspace) -> Metrics:
    """Train the network that refines maps, on the training images and their maps."""
    import torch

    from benchmark.attention import Trainer
    from benchmark.weights import load_backbone, load_state_dict, save_state_dict

    dataset = dataset_of(work)
    refiner = build_refinement(work.config["refinement"], work.config["options"])
    recipe = parse_options("recipe", TrainingRecipe, work.config["recipe"])
    torch.manual_seed(derive("refinement", work.config["seed"]))
    network = _network(refiner, work.input_records["attention"].config, work.config)
    source = work.inputs["attention"] / "attention.safetensors"
    load_backbone(network.backbone, _backbone_of(load_state_dict(source)), str(source))
    ids = dataset.ids(dataset.train_split)
    archive = MapArchive(work.inputs["maps"] / "maps.safetensors")
    targets = _write_targets(work, refiner, dataset, archive, ids)
    trainer = Trainer(
        labelled_images(work, dataset, ids),
        recipe,
        seed=work.config["seed"],
        scratch=work.scratch,
        progress=work.progress,
        label=work.label,
    )
    trainer.run(network, refiner.losses, seeds=targets)
    save_state_dict(work.out / NETWORK, network.state_dict())
    return {"parameters": sum(parameter.numel() for parameter in network.parameters())}


def refined_maps(work: Workspace) -> Metrics:
    """Refine the attention maps of one split, and give them a background."""
    from benchmark.weights import load_state_dict

    dataset = dataset_of(work)
    trained = work.input_records["refinement"].config
    refiner = build_refinement(trained["refinement"], work.config["options"])
    network = _network(refiner, work.input_records["attention"].config, trained)
    network.load_state_dict(load_state_dict(work.inputs["refinement"] / NETWORK))
    network.eval()
    archive = MapArchive(work.inputs["maps"] / "maps.safetensors")
    maps: dict[str, NDArray[np.floating[Any]]] = {}
    classes: dict[str, list[int]] = {}
    backgrounds: dict[str, NDArray[np.floating[Any]]] = {}
    for image_id in tracked(work, archive.ids()):
        low, present = archive.read(image_id)
        classes[image_id] = present.tolist()
        maps[image_id], backgrounds[image_id] = refined(
            refiner, network, dataset.image(image_id), low
        )
    write_maps(work.out / "maps.safetensors", maps, classes, backgrounds)
    return {"images": len(archive.ids())}


def refined(
    refiner: Refinement, network: Any, image: NDArray[np.uint8], maps: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return maps (P, h, w) and background (h, w), refined from (P, h, w) of an image (H, W, 3)."""
    import torch

    from benchmark.batches import to_tensor
    from benchmark.proxy import resize_maps

    height, width = whole_cells(image.shape[:2], network.backbone.output_stride)
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    batch = to_tensor([np.asarray(resized, np.uint8)])
    full = torch.from_numpy(resize_maps(maps, (height, width))).to(batch.device)
    with torch.no_grad():  # in full precision: small differences of features are what matters
        found, background = refiner.refine(network, batch, full)
    return found.cpu().numpy(), background.cpu().numpy()


def whole_cells(shape: Sequence[int], stride: int) -> tuple[int, int]:
    """Return the size of the cells that an image covers, at ``LONGEST_SIDE`` if it is longer."""
    scale = min(1.0, LONGEST_SIDE / max(shape))
    height, width = (math.ceil(side * scale / stride) * stride for side in shape)
    return height, width


class _Planes(Sequence[NDArray[np.int16]]):
    """Planes kept as 16-bit PNG files, read one at a time: VOC's would fill the memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        plane = cv2.imread(str(self.paths[index]), cv2.IMREAD_UNCHANGED)
        return np.asarray(plane, np.int16)


def _write_targets(
    work: Workspace,
    refiner: Refinement,
    dataset: VocDataset,
    archive: MapArchive,
    ids: Sequence[str],
) -> _Planes:
    """Make the targets of all images, but for those made before a kill."""
    paths = [work.scratch / "targets" / f"{image_id}.png" for image_id in ids]
    for path, image_id in zip(paths, tracked(work, ids), strict=True):
        if path.exists():
            continue
        target = refiner.targets(dataset.image(image_id), *archive.read(image_id))
        _, encoded = cv2.imencode(".png", target.astype(np.uint16))
        write_atomic(path, encoded.tobytes())
    return _Planes(paths)


def _network(refiner: Refinement, attention: Mapping[str, Any], trained: Mapping[str, Any]) -> Any:
    """Build the refinement's network on the attention's backbone, changed as its training says."""
    from benchmark.backbones import build_backbone
    from benchmark.device import device

    described = attention["backbone"]
    options = {**described["options"], **trained.get("backbone", {})}
    base = build_backbone(described["architecture"], **options)
    return refiner.network(base, Head(**described["head"])).to(device())


def _backbone_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return the attention network's backbone, by its own names."""
    prefix = "backbone."
    return {name[len(prefix) :]: part for name, part in state.items() if name.startswith(prefix)}
