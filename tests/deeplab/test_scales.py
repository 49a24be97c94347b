from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from benchmark.configs import config_path
from benchmark.deeplab.scales import at_cells, joined
from benchmark.segmentation.networks import build_model, load_config, model_config


def slim(scales: tuple[float, ...]) -> Any:
    """The published network on a ResNet-18 of four channels, in evaluation."""
    config = load_config(config_path("deeplab_aspp_resnet101_voc12.py"))
    model = model_config(config, 3)
    assert tuple(model["scales"]) == (1.0, 0.75, 0.5)
    model["scales"] = scales
    model["data_preprocessor"]["size"] = (65, 65)
    model["backbone"].update(depth=18, base_channels=4)
    model["decode_head"].update(in_channels=32, dilations=(1, 2))
    torch.manual_seed(0)
    network = build_model(model).eval()
    for branch in network.decode_head.branches:
        nn.init.normal_(branch.weight)
    return network


def samples(labels: torch.Tensor) -> list[SegDataSample]:
    return [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]


def test_a_label_is_that_of_the_pixel_under_the_cell() -> None:
    labels = torch.arange(17 * 17).reshape(1, 17, 17)
    assert torch.equal(at_cells(labels, (3, 3)), labels[:, ::8, ::8])
    # 17 pixels on 4 cells: centred on 0, 16/3, 32/3 and 16.
    assert at_cells(labels, (4, 2))[0, :, 0].tolist() == [0, 5 * 17, 11 * 17, 16 * 17]
    assert at_cells(torch.arange(321).reshape(1, 1, 321), (1, 41))[0, 0].tolist() == list(
        range(0, 321, 8)
    )


def test_the_maximum_of_maps_of_two_sizes_by_hand() -> None:
    large = torch.tensor([[0.0, 5.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    small = torch.tensor([[2.0, 4.0], [2.0, 4.0]])  # interpolated: columns of 2, 3 and 4
    found = joined([large[None, None], small[None, None]])
    assert found[0, 0].tolist() == [[2, 5, 4], [2, 3, 4], [2, 3, 9]]


def test_sides_are_those_of_whole_cells() -> None:
    """321 pixels are 41 cells, 241 are 31, 161 are 21."""
    network = slim((1.0, 0.75, 0.5))
    with torch.no_grad():
        shapes = [tuple(one.shape) for one in network.scores(torch.zeros(1, 3, 321, 65))]
    assert shapes == [(1, 3, 41, 9), (1, 3, 31, 7), (1, 3, 21, 5)]


def test_the_losses_are_those_of_every_map_and_of_the_maximum() -> None:
    network = slim((1.0, 0.5))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 65, 65, generator=generator)
    labels = torch.randint(0, 3, (2, 65, 65), generator=generator)
    labels[:, :, 30:50] = 255
    with torch.no_grad():
        losses = network.loss(images, samples(labels))
        large, small = network.scores(images)
    assert set(losses) == {"loss_max", "loss_scale_1", "loss_scale_0.5"}
    assert small.shape[2:] == (5, 5)

    def by_hand(scores: torch.Tensor, step: int) -> float:
        truth = labels[:, ::step, ::step]
        known = truth != 255
        logs = scores.log_softmax(1).gather(1, truth.where(known, 0)[:, None])[:, 0]
        return float(-logs[known].mean())

    assert float(losses["loss_scale_1"]) == pytest.approx(by_hand(large, 8), rel=1e-5)
    assert float(losses["loss_scale_0.5"]) == pytest.approx(by_hand(small, 16), rel=1e-5)
    assert float(losses["loss_max"]) == pytest.approx(by_hand(joined([large, small]), 8), rel=1e-5)


def test_a_single_scale_is_the_plain_network() -> None:
    network = slim((1.0,))
    images = torch.randn(1, 3, 65, 65, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = network.decode_head(network.extract_feat(images))
        found = network.encode_decode(images, [{"img_shape": (65, 65)}])
        again = network(images, mode="tensor")
    assert torch.equal(again, plain)
    size = nn.functional.interpolate(plain, (65, 65), mode="bilinear", align_corners=True)
    torch.testing.assert_close(found, size)
