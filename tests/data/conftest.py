from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.voc import CLASS_NAMES, write_label_png

# Image id -> VOC ids in its mask; the sizes differ, and none is square.
CONTENTS = {"a_1": (8, 12), "a_2": (15,), "a_3": (3, 255), "b_1": (12,), "b_2": (8, 17)}


def write_jpeg(path: Path, size: tuple[int, int], seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=90)


def write_xml(path: Path, names: list[str]) -> None:
    objects = "".join(
        f"<object><name>{name}</name><difficult>{i % 2}</difficult>"
        "<part><name>head</name></part></object>"
        for i, name in enumerate(names)
    )
    path.write_text(f"<annotation><filename>x.jpg</filename>{objects}</annotation>")


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """A sound VOC-layout folder with every source of labels: train_aug (3 images) and val (2)."""
    root = tmp_path / "tiny_voc"
    for folder in ("JPEGImages", "SegmentationClassAug", "Annotations", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    lines = ["id," + ",".join(CLASS_NAMES)]
    for number, (image_id, ids) in enumerate(CONTENTS.items()):
        size = (10 + number, 16)
        write_jpeg(root / "JPEGImages" / f"{image_id}.jpg", size, number)
        mask = np.zeros(size, dtype=np.uint8)
        for column, value in enumerate(ids):
            mask[2:6, 4 * column : 4 * column + 4] = value
        write_label_png(root / "SegmentationClassAug" / f"{image_id}.png", mask)
        names = [CLASS_NAMES[i - 1] for i in ids if i != 255]
        write_xml(root / "Annotations" / f"{image_id}.xml", names)
        lines.append(image_id + "," + ",".join(str(int(name in names)) for name in CLASS_NAMES))
    (root / "image_labels.csv").write_text("\n".join(lines) + "\n")
    splits = root / "ImageSets" / "Segmentation"
    (splits / "train_aug.txt").write_text("a_1\na_2\na_3\n")
    (splits / "val.txt").write_text("b_1\nb_2\n")
    return root
