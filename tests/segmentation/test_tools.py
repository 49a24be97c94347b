"""The configs as MMSegmentation's own tools/train.py and tools/test.py use them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from mmengine.runner import Runner

from benchmark.configs import config_path
from benchmark.segmentation.networks import quiet_mmengine

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from unformatted import unformatted


@pytest.fixture
def voc_folder(tiny_set: Any, tmp_path: Path) -> Path:
    root = tmp_path / "voc"
    for folder in ("JPEGImages", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(tiny_set.labels, root / "SegmentationClassAug")
    for name, path in tiny_set.images.items():
        shutil.copy(path, root / "JPEGImages" / f"{name}.jpg")
    names = list(tiny_set.images)
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("\n".join(names))
    (root / "ImageSets/Segmentation/val.txt").write_text("\n".join(names[:2]))
    return root


def test_train_validate_and_test_with_scales_and_flips(voc_folder: Path, tmp_path: Path) -> None:
    config = unformatted(config_path("deeplab_largefov_vgg16_scenes.py"))
    config.work_dir = str(tmp_path / "work")
    config.model.backbone.width = 1 / 16
    config.model.decode_head.update(in_channels=32, channels=8)
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.log_level = "ERROR"
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(voc_folder)
    with quiet_mmengine():
        Runner.from_cfg(config).train()
        assert (tmp_path / "work" / "iter_2.pth").is_file()
        # What tools/test.py --tta does:
        config.test_dataloader.dataset.pipeline = config.tta_pipeline
        config.tta_model.module = config.model
        config.model = config.tta_model
        config.load_from = str(tmp_path / "work" / "iter_2.pth")
        scores = Runner.from_cfg(config).test()
    assert 0 <= scores["mIoU"] <= 100
