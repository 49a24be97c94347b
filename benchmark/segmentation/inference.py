"""Segmenting images: scales and mirror images joined, then a DenseCRF where it is wanted."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from mmengine.device import get_device
from numpy.typing import NDArray
from torch import Tensor

from benchmark.crf import CrfJob, CrfOptions, crf_many
from benchmark.data.voc import read_image, write_label_png
from benchmark.progress import Progress
from benchmark.segmentation.networks import build_model, load_config, model_config, quiet_mmengine
from benchmark.weights import load_backbone, load_state_dict

Image = NDArray[np.uint8]
Fusion = Literal["probabilities", "logits", "maximum"]

# Image pixels of a batch, mirror images included: VGG-16's first feature maps take 300 MB each for
# so many at scale 1.5.
PIXELS_PER_BATCH = 500 * 500 * 2
PIXELS_PER_CRF_PROCESS = 10_000_000  # some ten seconds of DenseCRF
# Labels that are nowhere at least this probable are left out of the CRF (its time grows with them).
CRF_FLOOR = 0.05


@dataclass(frozen=True)
class Views:
    """How often an image is looked at, and how that becomes one; see ``predict``."""

    scales: tuple[float, ...]
    flip: bool = False
    square: int | None = None
    fusion: Fusion = "probabilities"


@dataclass(frozen=True)
class _Batch:
    """Images of one size and their ids."""

    ids: tuple[str, ...]
    images: tuple[Image, ...]


def predict(
    config: Path,
    weights: Path,
    *,
    images: Mapping[str, Path],
    num_classes: int,
    scales: Sequence[float],
    flip: bool,
    crf: CrfOptions | None,
    out: Path,
    progress: Progress,
    label: str,
    allowed: Mapping[str, NDArray[np.bool_]] | None = None,
    square: int | None = None,
    fusion: Fusion = "probabilities",
) -> dict[str, float | int | str]:
    """Write ``out/labels/ID.png`` for every image and, with ``crf``, ``out/labels_crf/ID.png``.

    Args:
        config: The MMEngine config that the network was trained with.
        weights: Its state dict, as ``train_segmentation`` wrote it.
        images: Image file of each id.
        num_classes: Including the background.
        scales: Factors on the image's size; see ``fusion``.
        flip: Whether the mirror images are joined in too.
        crf: Constants of the DenseCRF, or None.
        out: Folder for the label PNGs.
        progress: Where the images are counted, under ``label``.
        allowed: The labels (num_classes,) that each image may get, at least one; None: all.
        square: Side in pixels of the square that an image is warped to at scale 1; None: its own
            size and shape.
        fusion: Over scales and mirror images the mean of the ``probabilities``, or the softmax of
            the sum of the ``logits``, or that of each class's ``maximum`` of them.
    """
    network = load_network(config, weights, num_classes)
    for folder in ("labels", "labels_crf") if crf else ("labels",):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with quiet_mmengine(), progress.task(label, len(images)) as task:
        views = Views(tuple(scales), flip, square, fusion)
        segmented = _segment(network, images, views, out, allowed)
        if crf is None:
            for _ in segmented:
                task.advance()
        else:
            for _ in _refine(segmented, crf, _workers(images), out):
                task.advance()
    return {"images": len(images), "passes": len(scales) * (1 + flip)}


def load_network(config: Path, weights: Path, num_classes: int) -> Any:
    """Return the config's network with trained ``weights``, in evaluation, on the best device."""
    network = build_model(model_config(load_config(config), num_classes))
    load_backbone(network, load_state_dict(weights), str(weights))
    return network.eval().to(get_device())


@torch.no_grad()
def probabilities(network: Any, images: Sequence[Image], views: Views) -> Tensor:
    """Return class probabilities (B, L, H, W) of B images of one size, uint8 RGB (H, W, 3).

    Scores are resized to the images' own size before they are joined as ``views`` says.
    """
    size = images[0].shape[:2]
    scaled = size if views.square is None else (views.square, views.square)
    join = torch.maximum if views.fusion == "maximum" else torch.add
    total: Tensor | None = None
    for scale in views.scales:
        inputs = _normalised(network, images, _input_size(network, scaled, scale))
        seen = torch.cat([inputs, inputs.flip(3)]) if views.flip else inputs
        # MMSegmentation interpolates the scores straight to the size named here.
        scores = network.encode_decode(seen, [{"img_shape": size}] * len(seen))
        found = functional.softmax(scores, dim=1) if views.fusion == "probabilities" else scores
        if views.flip:
            plain, mirrored = found.chunk(2)
            found = join(plain, mirrored.flip(3))
        total = found if total is None else join(total, found, out=total)
    assert total is not None, "at least one scale"
    if views.fusion != "probabilities":
        return functional.softmax(total, dim=1)
    return total / (len(views.scales) * (1 + views.flip))


def restricted(scores: Tensor, allowed: Tensor) -> Tensor:
    """Return the probabilities (B, L, H, W) given that a label is among the allowed (B, L) bool.

    Of every image at least one label is allowed. They sum to 1 in each pixel, so that no label
    that is not allowed (0) can be the highest; where all allowed ones are 0 they become equal.
    """
    mask = allowed[:, :, None, None].to(scores.dtype)
    kept = scores * mask
    total = kept.sum(dim=1, keepdim=True)
    return torch.where(total > 0, kept / total, mask / mask.sum(dim=1, keepdim=True))


def _input_size(network: Any, size: tuple[int, ...], scale: float) -> tuple[int, int]:
    """Return the (H, W) to warp an image of ``size`` to at ``scale``.

    Where the head aligns corners, cell i of the feature map is centred on pixel stride * i: the
    side is rounded up to a multiple of the stride plus 1, so that the last cell is on the border.
    """
    stride = network.backbone.net.output_stride
    sides = [max(1, round(side * scale)) for side in size]
    if network.decode_head.align_corners:
        sides = [-(-(side - 1) // stride) * stride + 1 for side in sides]
    return sides[0], sides[1]


def _normalised(network: Any, images: Sequence[Image], size: tuple[int, int]) -> Tensor:
    """Return images as the network's input (B, 3, H, W) at ``size`` = (H, W)."""
    views = [
        image if image.shape[:2] == size else cv2.resize(image, size[::-1]) for image in images
    ]
    bgr = [torch.from_numpy(np.ascontiguousarray(v[:, :, ::-1].transpose(2, 0, 1))) for v in views]
    return network.data_preprocessor({"inputs": bgr})["inputs"]


def _batches(images: Mapping[str, Path], flip: bool) -> Iterator[_Batch]:
    """Yield images in batches of one size, each read once, in about the given order."""
    room = PIXELS_PER_BATCH // (1 + flip)
    waiting: dict[tuple[int, ...], list[tuple[str, Image]]] = {}
    for image_id, path in images.items():
        image = read_image(path)
        group = waiting.setdefault(image.shape, [])
        group.append((image_id, image))
        if (len(group) + 1) * image.shape[0] * image.shape[1] > room:
            yield _Batch(*zip(*waiting.pop(image.shape), strict=True))
    for group in waiting.values():
        yield _Batch(*zip(*group, strict=True))


def _segment(
    network: Any,
    images: Mapping[str, Path],
    views: Views,
    out: Path,
    allowed: Mapping[str, NDArray[np.bool_]] | None,
) -> Iterator[tuple[str, CrfJob]]:
    """Write each image's labels; yield its id and what a CRF needs to refine them."""
    for batch in _batches(images, views.flip):
        scores = probabilities(network, batch.images, views)
        if allowed is not None:
            masks = np.stack([allowed[image_id] for image_id in batch.ids])
            scores = restricted(scores, torch.from_numpy(masks).to(scores.device))
        labels = scores.argmax(dim=1).to(torch.uint8).cpu().numpy()
        for index, image_id in enumerate(batch.ids):
            write_label_png(out / "labels" / f"{image_id}.png", labels[index])
            scores_here = scores[index].cpu().numpy()
            present = scores_here.max(axis=(1, 2)) >= CRF_FLOOR
            yield image_id, CrfJob(batch.images[index], scores_here, present)


def _refine(
    segmented: Iterable[tuple[str, CrfJob]], options: CrfOptions, workers: int, out: Path
) -> Iterator[str]:
    """Write each image's labels after the CRF; yield its id."""
    ids: deque[str] = deque()  # of the jobs under way, which come back in order

    def jobs() -> Iterator[CrfJob]:
        for image_id, job in segmented:
            ids.append(image_id)
            yield job

    for marginals in crf_many(jobs(), options, workers):
        image_id = ids.popleft()
        refined = marginals.argmax(axis=0).astype(np.uint8)
        write_label_png(out / "labels_crf" / f"{image_id}.png", refined)
        yield image_id


def _workers(images: Mapping[str, Path]) -> int:
    """Return how many processes the CRF is worth: a process takes a second to start."""
    first = read_image(next(iter(images.values())))
    return min(os.cpu_count() or 1, 1 + len(images) * first.size // PIXELS_PER_CRF_PROCESS)
