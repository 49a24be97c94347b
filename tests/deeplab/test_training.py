"""Every published network at full width: two steps, a checkpoint, one more step, two images.

With the configs' own rates, through MMEngine's Runner as in MMSegmentation's tools; the images and
the batches are small. The Caffe variants differ in their input alone (test_configs.py).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from benchmark.configs import config_path
from benchmark.data.voc import read_image, write_label_png
from benchmark.segmentation.inference import Views, probabilities
from benchmark.segmentation.networks import quiet_mmengine

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from unformatted import unformatted

FOLDER = config_path("deeplab_largefov_vgg16_voc12.py").parent
CONFIGS = sorted(p.name for p in FOLDER.glob("deeplab*_voc12.py") if "caffe" not in p.name)
SIDE = 33


@pytest.fixture(scope="module")
def voc_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of 33 x 33 and 33 x 41 pixels with masks, in VOC layout."""
    root = tmp_path_factory.mktemp("voc")
    for folder in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, width in (("a", 33), ("b", 41)):
        pixels = rng.integers(0, 256, (SIDE, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg")
        mask = rng.choice(np.array([0, 5, 20, 255], np.uint8), (SIDE, width))
        write_label_png(root / "SegmentationClassAug" / f"{name}.png", mask)
    for split in ("train_aug", "val"):
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("a\nb\n")
    return root


@pytest.fixture
def memory() -> Iterator[None]:
    """Give a network's memory back before the next one takes its own."""
    yield
    gc.collect()


def small(name: str, voc_folder: Path, work: Path, iterations: int) -> Any:
    """The config with batches of two small views, stopped after so many iterations."""
    config = unformatted(config_path(name))
    config.work_dir = str(work)
    config.log_level = "ERROR"
    config.train_cfg.update(max_iters=iterations, val_interval=10)
    config.default_hooks.checkpoint.update(interval=2, save_last=False)
    config.model.data_preprocessor.size = (SIDE, SIDE)
    config.train_dataloader.batch_size = 2
    config.train_dataloader.dataset.augmentation.crop_size = (SIDE, SIDE)
    if config.model.backbone.get("norm_eval"):
        # ImageNet's statistics are not here, and without any a hundred layers grow beyond bounds.
        config.model.backbone.norm_eval = False
    if config.model.backbone.get("name") == "resnet38":
        config.model.backbone.frozen_blocks = 6  # no gradients of 67 million weights: for memory
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(voc_folder)
        loader.update(num_workers=0, persistent_workers=False)
    return config


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.usefixtures("memory")
def test_steps_checkpoint_resume_and_prediction(
    name: str, voc_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    with quiet_mmengine():
        Runner.from_cfg(small(name, voc_folder, tmp_path, 2)).train()
    gc.collect()
    checkpoint = tmp_path / "iter_2.pth"
    assert checkpoint.is_file()
    with quiet_mmengine():
        config = small(name, voc_folder, tmp_path, 3)
        config.resume = True
        runner = Runner.from_cfg(config)
        runner.load_or_resume()
        assert runner.iter == 2
        resumed = {key: float(value.double().sum()) for key, value in learning(runner)}
        runner.train()
        scores = runner.val_loop.run()
    checkpoint.unlink()
    assert 0 <= scores["mIoU"] <= 100
    assert runner.iter == 3
    assert all(torch.isfinite(value).all() for _, value in learning(runner))
    moved = [key for key, value in learning(runner) if float(value.double().sum()) != resumed[key]]
    assert any(key.startswith("backbone") for key in moved)
    assert any(key.startswith("decode_head") for key in moved)
    network = runner.model.eval()
    images = [read_image(voc_folder / "JPEGImages" / f"{image}.jpg") for image in "ab"]
    for image in images:
        found = probabilities(network, [image], Views((1.0,)))
        assert found.shape == (1, 21, *image.shape[:2])
        torch.testing.assert_close(found.sum(dim=1), torch.ones(1, *image.shape[:2]))


def learning(runner: Any) -> list[tuple[str, torch.Tensor]]:
    """The weights of the convolutions, by name."""
    named = runner.model.named_parameters()
    return [(key, value.detach()) for key, value in named if value.ndim == 4]
