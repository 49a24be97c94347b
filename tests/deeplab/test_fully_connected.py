from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.backbones import build_backbone
from benchmark.deeplab.fully_connected import as_convolutions, decimated, fully_connected
from benchmark.deeplab.vgg16 import DeepLabVGG16
from benchmark.errors import BenchmarkError
from benchmark.progress import SilentProgress
from benchmark.stages import fully_connected_backbone
from benchmark.store import Workspace
from benchmark.weights import load_state_dict, save_state_dict


def test_every_mth_entry_from_the_first_on() -> None:
    assert decimated(torch.arange(7), (3,)).tolist() == [0, 3, 6]
    assert decimated(torch.arange(8), (4,)).tolist() == [0, 4]
    assert len(decimated(torch.arange(4096), (4,))) == 1024
    table = torch.tensor([[0, 1, 2], [10, 11, 12], [20, 21, 22]])
    assert decimated(table, (2, 1)).tolist() == [[0, 1, 2], [20, 21, 22]]
    assert decimated(table, (1, 2)).tolist() == [[0, 2], [10, 12], [20, 22]]


def numbered(filters: int, channels: int, positions: int) -> torch.Tensor:
    """fc6's weight, whose value tells where it stands: filter, channel, row and column."""
    values = torch.zeros(filters, channels, positions, positions)
    for index in range(filters):
        for channel in range(channels):
            for row in range(positions):
                for column in range(positions):
                    values[index, channel, row, column] = (
                        1000 * index + 100 * channel + 10 * row + column
                    )
    return values.reshape(filters, channels * positions * positions)


def test_the_layers_by_hand() -> None:
    fc7 = torch.tensor([[8.0 * row + column for column in range(8)] for row in range(8)])
    found = as_convolutions(
        (numbered(8, 2, 7), torch.arange(8.0)), (fc7, 10 + torch.arange(8.0)), positions=7
    )
    assert found["fc6.weight"].shape == (2, 2, 3, 3)
    assert found["fc6.weight"][0, 0].tolist() == [[0, 3, 6], [30, 33, 36], [60, 63, 66]]
    assert found["fc6.weight"][1, 1].tolist() == [
        [4100, 4103, 4106],
        [4130, 4133, 4136],
        [4160, 4163, 4166],
    ]
    assert found["fc6.bias"].tolist() == [0, 4]
    assert found["fc7.weight"].shape == (2, 2, 1, 1)
    assert found["fc7.weight"][:, :, 0, 0].tolist() == [[0, 4], [32, 36]]
    assert found["fc7.bias"].tolist() == [10, 14]


def test_a_unit_of_fc6_is_the_unit_that_fc7_reads() -> None:
    """Where only the kept positions and units are not 0, the thinned layers compute the same."""
    generator = torch.Generator().manual_seed(0)
    kept = torch.zeros(8, 2, 7, 7)
    kept[::4, :, ::3, ::3] = torch.randn(2, 2, 3, 3, generator=generator)
    fc7 = torch.randn(8, 8, generator=generator)
    bias6, bias7 = torch.zeros(8), torch.randn(8, generator=generator)
    image = torch.rand(1, 2, 7, 7, generator=generator)
    whole = (kept.flatten(1) @ image.flatten()).relu()
    whole = (fc7 @ whole + bias7)[::4]
    layers = as_convolutions((kept.flatten(1), bias6), (fc7, bias7), positions=7)
    thin = torch.nn.functional.conv2d(image, layers["fc6.weight"], layers["fc6.bias"], dilation=3)
    thin = torch.nn.functional.conv2d(thin.relu(), layers["fc7.weight"], layers["fc7.bias"])
    torch.testing.assert_close(thin.flatten(), whole)


def vgg16_state() -> dict[str, torch.Tensor]:
    """A whole VGG-16's state dict; the fully connected layers take no memory of their own."""
    return {
        "classifier.0.weight": torch.tensor(1.0).expand(4096, 25088),
        "classifier.0.bias": torch.arange(4096.0),
        "classifier.3.weight": torch.tensor(2.0).expand(4096, 4096),
        "classifier.3.bias": -torch.arange(4096.0),
    }


def test_vgg16_becomes_1024_channels_of_3x3() -> None:
    found = fully_connected(vgg16_state(), "vgg16.pth")
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        "fc6.weight": (1024, 512, 3, 3),
        "fc6.bias": (1024,),
        "fc7.weight": (1024, 1024, 1, 1),
        "fc7.bias": (1024,),
    }
    assert found["fc6.bias"][:3].tolist() == [0, 4, 8]
    assert found["fc7.bias"][-1] == -4092
    assert fully_connected({**found, "features.0.bias": torch.zeros(64)}, "again") == found


def test_other_weights_are_told() -> None:
    state = vgg16_state()
    del state["classifier.3.bias"]
    with pytest.raises(BenchmarkError, match=r"vgg16\.pth lacks 'classifier\.3\.bias'"):
        fully_connected(state, "vgg16.pth")
    state = vgg16_state() | {"classifier.3.weight": torch.zeros(10, 4096)}
    with pytest.raises(BenchmarkError, match=r"classifier\.3\.weight' has shape \(10, 4096\)"):
        fully_connected(state, "vgg16.pth")


def test_each_branch_begins_from_the_same_layers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = {
        "fc6.weight": torch.rand(8, 32, 3, 3),
        "fc6.bias": torch.rand(8),
        "fc7.weight": torch.rand(8, 8, 1, 1),
        "fc7.bias": torch.rand(8),
    }
    convolutions = build_backbone("vgg16", width=1 / 16).state_dict()
    path = tmp_path / "thin.safetensors"
    save_state_dict(path, {**convolutions, **layers})
    network = DeepLabVGG16(dilations=(6, 12), channels=8, width=1 / 16, weights=str(path))
    network.init_weights()
    for branch, dilation in zip(network.branches, (6, 12), strict=True):
        assert branch.fc6.dilation == branch.fc6.padding == (dilation, dilation)
        for key, value in layers.items():
            assert torch.equal(branch.state_dict()[key], value)
    for key, value in convolutions.items():
        assert torch.equal(network.net.state_dict()[key], value)
    one, other = network.branches[0].fc6.weight, network.branches[1].fc6.weight
    assert one.data_ptr() != other.data_ptr()  # and learn on their own


def test_the_stage_keeps_convolutions_and_thinned_layers_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = {
        "fc6.weight": torch.rand(4, 32, 3, 3),
        "fc6.bias": torch.rand(4),
        "fc7.weight": torch.rand(4, 4, 1, 1),
        "fc7.bias": torch.rand(4),
    }
    convolutions = build_backbone("vgg16", width=1 / 16).state_dict()
    given = {**convolutions, **layers, "classifier.6.bias": torch.rand(1000)}
    save_state_dict(tmp_path / "given.safetensors", given)
    work = Workspace(
        config={"architecture": "vgg16", "options": {"width": 1 / 16}},
        inputs={},
        input_records={},
        locations={"weights": tmp_path / "given.safetensors"},
        out=tmp_path,
        scratch=tmp_path,
        progress=SilentProgress(),
        label="weights",
    )
    metrics = fully_connected_backbone(work)
    kept = load_state_dict(tmp_path / "backbone.safetensors")
    assert kept.keys() == {**convolutions, **layers}.keys()
    assert all(torch.equal(kept[key], given[key]) for key in kept)
    assert metrics["parameters"] == sum(value.numel() for value in kept.values())
