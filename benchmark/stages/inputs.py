"""What several stages read: images with what is known of them, and the attention network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.data.voc import VocDataset, open_voc
from benchmark.method import Head
from benchmark.saliency.files import read_saliency
from benchmark.store import Workspace

if TYPE_CHECKING:
    from benchmark.method import LabelledImages

INFERENCE_BATCH = 32

Item = TypeVar("Item")


def dataset_of(work: Workspace) -> VocDataset:
    """Return the images that the stage works on: generated, or the user's folder."""
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


def labelled_images(
    work: Workspace, dataset: VocDataset, ids: Sequence[str], saliency: str | None = None
) -> LabelledImages:
    """Decode the images ``ids``; with their maps of the input stage named ``saliency``."""
    import numpy as np

    from benchmark.method import LabelledImages

    images = [dataset.image(image_id) for image_id in ids]
    labels = np.stack([dataset.image_labels(image_id) for image_id in ids])
    if saliency is None or saliency not in work.inputs:
        return LabelledImages(images, labels)
    folder = work.inputs[saliency] / "saliency"
    maps = [
        np.asarray(read_saliency(folder, image_id, image.shape[:2]) * 255, np.uint8)
        for image_id, image in zip(ids, images, strict=True)
    ]
    return LabelledImages(images, labels, maps)


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut ``items`` into pieces of ``size``, the last one shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))


def tracked(work: Workspace, ids: Sequence[str]) -> Iterator[str]:
    """Yield ``ids`` and show how many are done."""
    with work.progress.task(work.label, len(ids)) as task:
        for image_id in ids:
            yield image_id
            task.advance()


def attention_network(
    work: Workspace, method: Any, dataset: VocDataset, described: Any = None
) -> Any:
    """Build the method's network; with initial weights where this stage is the one that trains."""
    from benchmark.backbones import build_backbone
    from benchmark.device import device
    from benchmark.weights import load_backbone, load_state_dict

    described = described or work.config["backbone"]
    base = build_backbone(described["architecture"], **described["options"])
    if "backbone" in work.inputs:
        source = work.inputs["backbone"] / "backbone.safetensors"
        load_backbone(base, load_state_dict(source), str(source))
    network = method.network(base, len(dataset.classes), Head(**described["head"]))
    return network.to(device())
