"""A VOC-layout folder made of a few masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.voc import write_label_png

Masks = Mapping[str, NDArray[np.uint8]]


def write_voc(root: Path, train: Masks, val: Masks) -> Path:
    """Write images of noise with these masks, VOC's ids; image labels come from the masks."""
    for folder in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for split, masks in (("train_aug", train), ("val", val)):
        listing = "".join(f"{image_id}\n" for image_id in masks)
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(listing)
        for image_id, mask in masks.items():
            noise = np.random.default_rng(0).integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / "JPEGImages" / f"{image_id}.jpg")
            write_label_png(root / "SegmentationClassAug" / f"{image_id}.png", mask)
    return root
