"""The networks in the benchmark's own training and test, slim: loaded, learnt, predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.backbones import build_backbone
from benchmark.configs import config_path
from benchmark.data.voc import read_label_png, write_label_png
from benchmark.progress import SilentProgress
from benchmark.segmentation import predict, train_segmentation
from benchmark.weights import load_state_dict, save_state_dict

SLIM = """
_base_ = {base!r}
model = dict(
    data_preprocessor=dict(size=(33, 33)),
    backbone=dict(width=1 / 16, channels=8),
    decode_head=dict(in_channels=8, channels=8),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    dataset=dict(augmentation=dict(crop_size=(33, 33){warp})),
)
optim_wrapper = dict(optimizer=dict(lr={rate}))
train_cfg = dict(max_iters=2)
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two images of 40 x 36 pixels; their labels lie in ``labels`` beside them."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        pixels = rng.integers(0, 256, (36, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg")
        label = rng.choice(np.array([0, 1, 2, 255], np.uint8), (36, 40))
        write_label_png(folder / "labels" / f"{name}.png", label)
    return {name: folder / f"{name}.jpg" for name in "ab"}


@pytest.fixture(scope="module")
def thin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slim weights as the stage keeps them: convolutions, fc6 and fc7."""
    torch.manual_seed(3)
    state = build_backbone("vgg16", width=1 / 16).state_dict()
    state |= {
        "fc6.weight": torch.randn(8, 32, 3, 3) / 10,
        "fc6.bias": torch.zeros(8),
        "fc7.weight": torch.randn(8, 8, 1, 1),
        "fc7.bias": torch.zeros(8),
    }
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    save_state_dict(path, state)
    return path


def train(
    name: str,
    rate: float,
    images: dict[str, Path],
    weights: Path,
    folder: Path,
    warp: str = "",
    first: Path | None = None,
) -> tuple[Path, dict[str, torch.Tensor]]:
    config = folder / name
    config.write_text(SLIM.format(base=str(config_path(name)), rate=rate, warp=warp))
    train_segmentation(
        config,
        images=images,
        labels=images["a"].parent / "labels",
        num_classes=3,
        initial_weights=weights,
        initial_model=first,
        seed=0,
        scratch=folder,
        out=folder / "model.safetensors",
        progress=SilentProgress(),
        label="slim",
        image_labels=dict.fromkeys(images, np.array([True, True])),
    )
    return config, load_state_dict(folder / "model.safetensors")


def test_fc6_and_fc7_are_loaded_into_every_branch(
    images: dict[str, Path], thin: Path, tmp_path: Path
) -> None:
    given = load_state_dict(thin)
    _, found = train("deeplab_aspp_vgg16_voc12.py", 0.0, images, thin, tmp_path)
    for key, value in given.items():
        names = [f"backbone.net.{key}"]
        if key.startswith("fc"):
            names = [f"backbone.branches.{branch}.{key}" for branch in range(4)]
        for place in names:
            assert torch.equal(found[place], value), place
    assert found["decode_head.classifiers.3.weight"].shape == (3, 8, 1, 1)


@pytest.mark.parametrize(
    ("name", "warp"),
    [
        ("deeplab_largefov_vgg16_caffe_voc12.py", ""),
        ("sgan_aspp_vgg16_voc12.py", ", warp=(33, 33)"),
        ("sec_largefov_vgg16_voc12.py", ", warp=(33, 33)"),
    ],
)
def test_training_on_labels_and_on_cues_and_prediction(
    name: str, warp: str, images: dict[str, Path], thin: Path, tmp_path: Path
) -> None:
    config, found = train(name, 1e-3, images, thin, tmp_path, warp)
    given = load_state_dict(thin)
    for key in ("fc6.weight", "fc7.weight"):
        assert torch.isfinite(found[f"backbone.branches.0.{key}"]).all()
        assert not torch.equal(found[f"backbone.branches.0.{key}"], given[key])
    predict(
        config,
        tmp_path / "model.safetensors",
        images=images,
        num_classes=3,
        scales=(0.5, 1.0),
        flip=True,
        crf=None,
        out=tmp_path / "out",
        progress=SilentProgress(),
        label="slim",
    )
    for image_id in images:
        label = read_label_png(tmp_path / "out" / "labels" / f"{image_id}.png")
        assert label.shape == (36, 40)
        assert set(np.unique(label)) <= {0, 1, 2}


def test_a_network_trained_on_cues_goes_on_as_deeplabs_own(
    images: dict[str, Path], thin: Path, tmp_path: Path
) -> None:
    """DSRG's second training: the same layers without the losses on cues. At rate 0 none moves."""
    for name in ("cues", "labels"):
        (tmp_path / name).mkdir()
    warp = ", warp=(33, 33)"
    _, learned = train("dsrg_aspp_vgg16_voc12.py", 1e-3, images, thin, tmp_path / "cues", warp)
    first = tmp_path / "cues" / "model.safetensors"
    _, found = train(
        "deeplab_aspp_vgg16_voc12.py", 0.0, images, thin, tmp_path / "labels", first=first
    )
    assert found.keys() == learned.keys()
    assert all(torch.equal(found[key], learned[key]) for key in found)
