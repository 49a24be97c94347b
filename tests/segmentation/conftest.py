from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.configs import config_path
from benchmark.data.voc import write_label_png
from benchmark.progress import SilentProgress
from benchmark.segmentation import train_segmentation

torch.set_num_threads(1)

TINY = """
_base_ = {base!r}
model = dict(
    data_preprocessor=dict(size=(33, 33)),
    backbone=dict(width=0.0625, frozen_blocks=0),
    decode_head=dict(in_channels=32, channels=16, dilation=2),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(augmentation=dict(crop_size=(33, 33), scale_range=(0.75, 1.25))),
)
optim_wrapper = dict(
    _delete_=True, type="OptimWrapper", optimizer=dict(type="Adam", lr=2e-3),
    paramwise_cfg=dict(bias_lr_mult=2.0),
)
default_hooks = dict(checkpoint=dict(interval=3))
train_cfg = dict(max_iters=10)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=10, by_epoch=False)]
"""

LEARNS = """
_base_ = {base!r}
model = dict(
    data_preprocessor=dict(size=(33, 33)),
    backbone=dict(base_channels=8),
    decode_head=dict(in_channels=64, channels=16, dilation=2, dropout=0.0),
)
train_dataloader = dict(batch_size=4, dataset=dict(augmentation=dict(crop_size=(33, 33))))
optim_wrapper = dict(
    _delete_=True, type="OptimWrapper", optimizer=dict(type="Adam", lr=2e-3)
)
train_cfg = dict(max_iters=80)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, end=80, by_epoch=False)]
"""


@dataclass(frozen=True)
class TinySet:
    """Images of three sizes in which colour tells the class: red 1, blue 2, grey background."""

    images: dict[str, Path]
    labels: Path
    truth: dict[str, np.ndarray]


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> TinySet:
    root = tmp_path_factory.mktemp("tiny")
    (root / "labels").mkdir()
    rng = np.random.default_rng(0)
    images, truth = {}, {}
    for index in range(12):
        height, width = ((40, 40), (40, 56), (48, 32))[index % 3]
        name = f"image{index}"
        label = np.zeros((height, width), np.uint8)
        pixels = rng.integers(90, 130, (height, width, 3)).astype(np.uint8)
        top, left = rng.integers(0, 16, 2)
        kind = 1 + index % 2
        place = np.s_[top : top + 20, left : left + 16]
        label[place] = kind
        pixels[place] = (220, 30, 30) if kind == 1 else (30, 30, 220)
        label[:2] = 255
        Image.fromarray(pixels).save(root / f"{name}.jpg", quality=95)
        write_label_png(root / "labels" / f"{name}.png", label)
        images[name], truth[name] = root / f"{name}.jpg", label
    return TinySet(images, root / "labels", truth)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.py"
    path.write_text(TINY.format(base=str(config_path("deeplab_largefov_vgg16_scenes.py"))))
    return path


@pytest.fixture(scope="session")
def learned(tiny_set: TinySet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A config and the weights of a network that it trained until it saw the colours."""
    folder = tmp_path_factory.mktemp("learned")
    config = folder / "longer.py"
    config.write_text(LEARNS.format(base=str(config_path("deeplab_largefov_resnet_scenes.py"))))
    train_segmentation(
        config,
        images=tiny_set.images,
        labels=tiny_set.labels,
        num_classes=3,
        initial_weights=None,
        seed=0,
        scratch=folder,
        out=folder / "model.safetensors",
        progress=SilentProgress(),
        label="tiny",
    )
    return config, folder / "model.safetensors"
