"""Wide ResNet-38: sizes, parameters counted by hand, names, what is frozen."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.backbones import build_backbone
from benchmark.backbones.resnet38 import Bottleneck, Unit
from benchmark.errors import BenchmarkError

SLIM = 0.0625


def slim(**options: object) -> nn.Module:
    torch.manual_seed(0)
    return build_backbone("resnet38", width=SLIM, **options)


def test_parameters_counted_by_hand() -> None:
    """Model A1 (table 1 of arXiv:1611.10080): convolutions without bias, two numbers a norm."""
    convolutions = 9 * 3 * 64
    norms = 0
    channels = 64
    for wide, units in ((128, 3), (256, 3), (512, 6)):
        convolutions += channels * wide  # the shortcut of the first unit
        for _ in range(units):
            convolutions += 9 * channels * wide + 9 * wide * wide
            norms += 2 * channels + 2 * wide
            channels = wide
    convolutions += 512 * 1024
    for _ in range(3):
        convolutions += 9 * channels * 512 + 9 * 512 * 1024
        norms += 2 * channels + 2 * 512
        channels = 1024
    for out in (2048, 4096):
        quarter, half = out // 4, out // 2
        convolutions += channels * out + channels * quarter + 9 * quarter * half + half * out
        norms += 2 * (channels + quarter + half)
        channels = out
    norms += 2 * 4096
    with torch.device("meta"):
        network = build_backbone("resnet38")
    assert sum(parameter.numel() for parameter in network.parameters()) == convolutions + norms
    assert network.channels == 4096
    assert network.level_channels == (512, 1024, 4096)
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) == 1 + 2 * 15 + 3 * 2 + 4 + 2  # shortcuts: one a stage


@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride_and_levels(stride: int) -> None:
    network = slim(output_stride=stride).eval()
    assert network.output_stride == stride
    with torch.no_grad():
        levels = network.levels(torch.randn(1, 3, 64, 96))
        shapes = [tuple(level.shape) for level in levels]
    side = (64 // stride, 96 // stride)
    assert shapes == [(1, 32, 8, 12), (1, 64, *side), (1, 256, *side)]
    assert all(float(level.min()) == 0 for level in levels)  # all are activated


def test_dilations() -> None:
    def dilations(network: nn.Module, unit: str) -> list[int]:
        found = getattr(network, unit)
        return [found.conv_branch2a.dilation[0], found.conv_branch2b1.dilation[0]]

    network = slim()
    assert [dilations(network, unit) for unit in ("b4", "b5", "b5_1", "b5_2", "b6", "b7")] == [
        [1, 1],
        [1, 2],
        [2, 2],
        [2, 2],
        [1, 4],
        [1, 4],
    ]
    strided = slim(output_stride=16)
    assert [dilations(strided, unit) for unit in ("b5", "b5_1", "b6")] == [[1, 1], [1, 1], [1, 2]]


def test_the_dense_network_is_the_strided_one_sampled_densely() -> None:
    """Every second cell at stride 8 is a cell at stride 16, away from the padded edge."""
    dense, strided = slim().eval(), slim(output_stride=16).eval()
    strided.load_state_dict(dense.state_dict())
    images = torch.randn(1, 3, 320, 32)
    with torch.no_grad():
        fine, coarse = dense.levels(images), strided.levels(images)
    torch.testing.assert_close(fine[1][..., ::2, ::2], coarse[1], rtol=1e-4, atol=1e-5)


def test_a_unit_written_out() -> None:
    torch.manual_seed(0)
    unit = Unit(4, 3, 6, stride=2, first=1, dilation=2).double().eval()
    unit.bn_branch2a.running_mean.uniform_(-1, 1)
    unit.bn_branch2b1.running_var.uniform_(1, 2)
    images = torch.randn(1, 4, 6, 8, dtype=torch.float64)
    with torch.no_grad():
        found = unit(images)
        mean = unit.bn_branch2a.running_mean.view(1, -1, 1, 1)
        active = ((images - mean) / (1 + 1e-5) ** 0.5).clamp(min=0)
        short = functional.conv2d(active, unit.conv_branch1.weight, stride=2)
        inner = functional.conv2d(active, unit.conv_branch2a.weight, stride=2, padding=1)
        spread = (unit.bn_branch2b1.running_var.view(1, -1, 1, 1) + 1e-5) ** 0.5
        inner = (inner / spread).clamp(min=0)
        inner = functional.conv2d(inner, unit.conv_branch2b1.weight, padding=2, dilation=2)
    torch.testing.assert_close(found, short + inner)
    assert unit.conv_branch1 is not None
    same = Unit(4, 3, 4, stride=1, first=1, dilation=1)
    assert same.conv_branch1 is None
    nn.init.zeros_(same.conv_branch2b1.weight)
    assert torch.equal(same(images.float()), images.float())  # the input itself, not activated


def test_dropout_shares_and_training_only() -> None:
    network = slim()
    dropped = [
        (name, module.p)
        for name, module in network.named_modules()
        if isinstance(module, nn.Dropout2d)
    ]
    assert dropped == [
        ("b6.dropout_2b1", 0.3),
        ("b6.dropout_2b2", 0.3),
        ("b7.dropout_2b1", 0.5),
        ("b7.dropout_2b2", 0.5),
    ]
    block = Bottleneck(8, 16, dilation=1, dropout=0.5).eval()
    images = torch.randn(1, 8, 4, 4)
    assert torch.equal(block(images), block(images))


def test_frozen_blocks_do_not_move() -> None:
    network = slim(frozen_blocks=2)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.randn(2, 3, 32, 32)).square().mean().backward()
    optimiser.step()
    moved = {
        name.split(".")[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved & {"conv1a", "b2", "b2_1", "b2_2"} == set()
    assert {"b3", "b4_5", "b5_2", "b6", "b7", "bn7"} <= moved


def test_norm_eval_fixes_statistics_scale_and_shift() -> None:
    network = slim(norm_eval=True)
    network.train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 2 * 15 + 3 * 2 + 1
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)
    assert network.b6.dropout_2b1.training


def test_unknown_choices_are_told() -> None:
    with pytest.raises(BenchmarkError, match="output_stride 32 is not one of 8, 16"):
        slim(output_stride=32)
    with pytest.raises(BenchmarkError, match="frozen_blocks 8"):
        slim(frozen_blocks=8)
