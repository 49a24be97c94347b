"""Training batches whose every random choice depends on (seed, draw number) alone.

The n-th draw is the same view of the same image whether or not the training was interrupted
before it, so a resumed training sees what an unbroken one would have, without reading again
what it already saw.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.registry import DATA_SAMPLERS, DATASETS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from benchmark.data.voc import CLASS_NAMES, PALETTE, VOID, read_image, read_label_png
from benchmark.errors import BenchmarkError

Pixels = NDArray[np.uint8]
Pair = tuple[str, Path, Path]  # id, image file, label file


@dataclass(frozen=True)
class Augmentation:
    """Random scale, position and mirror image.

    Attributes:
        crop_size: Height and width of the view; beyond the image it is ``fill`` and void.
        scale_range: Bounds of the uniform random scale.
        mirror: Whether half of the views are mirrored.
        fill: RGB beyond the image; the mean that is subtracted later.
        warp: Height and width that the image is first resized to, without regard to its shape.
        colour: Whether brightness, contrast, saturation and hue change at random.
    """

    crop_size: tuple[int, int]
    scale_range: tuple[float, float] = (1.0, 1.0)
    mirror: bool = True
    fill: tuple[int, int, int] = (124, 116, 104)
    warp: tuple[int, int] | None = None
    colour: bool = False

    def __call__(
        self, image: Pixels, label: Pixels, rng: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        """Return a random view of image (H, W, 3) and label (H, W), of size ``crop_size``."""
        scale = rng.uniform(*self.scale_range)
        position = rng.random(2)
        mirrored = self.mirror and rng.random() < 0.5
        sides = label.shape if self.warp is None else self.warp
        size = tuple(max(1, round(side * scale)) for side in sides[::-1])
        if size != label.shape[::-1]:
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
            label = np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        image, label = self._crop(image, label, position, rng)
        return (image[:, ::-1], label[:, ::-1]) if mirrored else (image, label)

    def _crop(
        self,
        image: Pixels,
        label: Pixels,
        position: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> tuple[Pixels, Pixels]:
        """Cut the view at ``position`` (0..1 of the free play); a small image is placed in it.

        Its colours are drawn before that, so that ``fill`` stays the mean that is subtracted.
        """
        view = np.empty((*self.crop_size, 3), np.uint8)
        view[:] = self.fill
        ids = np.full(self.crop_size, VOID, np.uint8)
        source, target = [], []
        for side, crop, share in zip(label.shape, self.crop_size, position, strict=True):
            offset = int(share * (abs(side - crop) + 1))
            length = min(side, crop)
            start, place = (offset, 0) if side >= crop else (0, offset)
            source.append(slice(start, start + length))
            target.append(slice(place, place + length))
        seen = image[tuple(source)]
        view[tuple(target)] = recoloured(seen, rng) if self.colour else seen
        ids[tuple(target)] = label[tuple(source)]
        return view, ids


def recoloured(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Return RGB (H, W, 3) in other colours: each of four changes with probability 0.5.

    Brightness plus -32..32, contrast times 0.5..1.5, saturation times 0.5..1.5, hue plus -36..36
    degrees (the released training of SGAN's segmentation network, after Liu et al.'s SSD: 18 of
    OpenCV's steps of 2 degrees).
    """
    chosen, amounts = rng.random(4) < 0.5, rng.uniform(-1, 1, 4)
    brightness, contrast, saturation, hue = np.where(chosen, amounts, 0.0)
    lit = (image.astype(np.float32) + 32 * brightness) * (1 + contrast / 2)
    hsv = cv2.cvtColor(lit.clip(0, 255).astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 36 * hue) % 360
    hsv[..., 1] = (hsv[..., 1] * (1 + saturation / 2)).clip(0, 1)
    return np.rint(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).astype(np.uint8)


class LabelledImages(Dataset):
    """Images and their label PNGs (contiguous ids, 255 void), drawn without end.

    ``dataset[n]`` is draw n: images in an order shuffled anew for each round through all of
    them, each augmented afresh. Images go to the model as MMSegmentation reads them: uint8 BGR.

    Args:
        pairs: Id, image file and label file of each image.
        augmentation: ``Augmentation``'s arguments.
        seed: Of the order and the augmentation.
        memory_mb: Decoded images are kept up to this many megabytes; the rest is read each time.
        classes: Names of the ids from 0 on, for tools that print them.
        image_labels: Which classes each image holds, as booleans without the background; then
            they come with each sample as ``image_labels``.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        augmentation: dict[str, Any],
        seed: int = 0,
        memory_mb: int = 256,
        classes: Sequence[str] | None = None,
        image_labels: Mapping[str, NDArray[np.bool_]] | None = None,
    ) -> None:
        if not pairs:
            raise BenchmarkError("there is no image to train the segmentation network on")
        self.pairs = tuple(pairs)
        self.augmentation = Augmentation(**augmentation)
        self.seed = seed
        self.image_labels = image_labels
        self.metainfo: dict[str, Any] = {"palette": PALETTE.tolist(), "reduce_zero_label": False}
        if classes is not None:
            self.metainfo["classes"] = tuple(classes)
        self._memory_left = memory_mb * 2**20
        self._decoded: dict[int, tuple[Pixels, Pixels]] = {}

    def __len__(self) -> int:
        """Return the number of images; draws go on beyond it."""
        return len(self.pairs)

    def __getitem__(self, draw: int) -> dict[str, Any]:
        """Return draw number ``draw`` in the form of MMSegmentation's ``PackSegInputs``."""
        index = self.image_index(draw)
        rng = np.random.default_rng((self.seed, draw))
        image, label = self.augmentation(*self._read(index), rng)
        bgr = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))
        ids = np.ascontiguousarray(label).astype(np.int64)
        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.from_numpy(ids[None])))
        sample.set_metainfo(
            {
                "img_id": self.pairs[index][0],
                "img_shape": label.shape,
                "ori_shape": label.shape,
                "reduce_zero_label": False,
            }
        )
        if self.image_labels is not None:
            present = self.image_labels[self.pairs[index][0]]
            sample.set_metainfo({"image_labels": present.tolist()})
        return {"inputs": torch.from_numpy(bgr), "data_samples": sample}

    def image_index(self, draw: int) -> int:
        """Return which image draw number ``draw`` shows."""
        turn, place = divmod(draw, len(self.pairs))
        return int(np.random.default_rng((self.seed, turn, 1)).permutation(len(self.pairs))[place])

    def _read(self, index: int) -> tuple[Pixels, Pixels]:
        if index in self._decoded:
            return self._decoded[index]
        name, image_path, label_path = self.pairs[index]
        image, label = read_image(image_path), read_label_png(label_path)
        if image.shape[:2] != label.shape:
            raise BenchmarkError(
                f"{label_path}: label of {name} is {label.shape[1]}x{label.shape[0]} but "
                f"{image_path} is {image.shape[1]}x{image.shape[0]}: make the label again"
            )
        size = image.nbytes + label.nbytes
        if size <= self._memory_left:
            self._memory_left -= size
            self._decoded[index] = (image, label)
        return image, label


@DATASETS.register_module(name="VocTrainingSet")
def voc_training_set(
    data_root: str,
    split: str = "ImageSets/Segmentation/train_aug.txt",
    images: str = "JPEGImages",
    labels: str = "SegmentationClassAug",
    **options: Any,
) -> LabelledImages:
    """Return the images of a VOC-layout folder, for configs; ``options`` go to LabelledImages."""
    root = Path(data_root)
    names = (root / split).read_text().split()
    pairs = [(n, root / images / f"{n}.jpg", root / labels / f"{n}.png") for n in names]
    return LabelledImages(pairs, classes=("background", *CLASS_NAMES), **options)


@DATA_SAMPLERS.register_module()
class DrawSampler(Sampler[int]):
    """The draw numbers 0, 1, 2, ... without end, or from where a resumed training goes on."""

    def __init__(self, dataset: Sized, seed: int | None = None) -> None:
        self.dataset = dataset
        self.first = 0

    def __iter__(self) -> Iterator[int]:
        """Yield draw numbers."""
        return itertools.count(self.first)

    def __len__(self) -> int:
        """Return the number of images of one round."""
        return len(self.dataset)

    def skip(self, num_samples: int) -> None:
        """Begin after the first ``num_samples`` draws; MMEngine's loop calls it to resume."""
        self.first = num_samples
