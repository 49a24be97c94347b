"""Saliency files, and the network that stands in for DSS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.backbones import build_backbone
from benchmark.data.scenes import foreign_images
from benchmark.errors import BenchmarkError
from benchmark.progress import SilentProgress
from benchmark.saliency.files import read_saliency, write_saliency
from benchmark.saliency.network import SaliencyNetwork, saliency_maps, train_saliency
from benchmark.saliency.recipe import SaliencyRecipe


def test_a_map_comes_back_within_half_a_grey_level(tmp_path: Path) -> None:
    saliency = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    write_saliency(tmp_path / "a.png", saliency, (6, 9))
    found = read_saliency(tmp_path, "a", (6, 9))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, saliency, atol=0.5 / 255 + 1e-6)


def test_mistakes_in_a_users_folder_are_told(tmp_path: Path) -> None:
    Image.new("RGB", (9, 6)).save(tmp_path / "rgb.png")
    Image.new("L", (5, 6)).save(tmp_path / "small.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no")
    for name, message in (
        ("missing", "every image needs a saliency map"),
        ("rgb", "mode RGB: save saliency as 8-bit grey"),
        ("small", r"is \(5, 6\) pixels, its image \(9, 6\)"),
        ("broken", "not a readable PNG"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            read_saliency(tmp_path, name, (6, 9))


def test_the_network_learns_objects_from_background() -> None:
    torch.manual_seed(0)
    network = SaliencyNetwork(build_backbone("vgg16", width=0.125, output_stride=8), 16)
    recipe = SaliencyRecipe(images=24, size=48, iterations=60, batch_size=8, learning_rate=5e-3)
    data = foreign_images(recipe.images, recipe.size, 3)
    with SilentProgress().task("saliency") as task:
        train_saliency(network, data, recipe, 0, task)
    maps = np.stack(saliency_maps(network, list(data.images), 48))
    assert maps.shape == (24, 48, 48)
    assert 0 <= maps.min() <= maps.max() <= 1
    assert maps[data.masks].mean() > maps[~data.masks].mean() + 0.15
