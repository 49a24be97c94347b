from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import benchmark.torchvision_schemas
from benchmark.backbones import build_backbone
from benchmark.backbones.vgg16 import VGG16
from benchmark.errors import BenchmarkError
from benchmark.weights import load_backbone

torch.set_num_threads(1)


def shape(backbone: torch.nn.Module, size: int = 224) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(backbone(torch.zeros(1, 3, size, size)).shape)


def test_torchvision_imports_after_the_schemas_in_a_new_process() -> None:
    script = (
        "import benchmark.torchvision_schemas as s, torch, torchvision;"
        "assert s.declare() is False;"
        "assert hasattr(torch.ops.torchvision, 'nms');"
        "from torchvision.models import vgg16, mobilenet_v2"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_schemas_leave_a_cuda_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(
        benchmark.torchvision_schemas, "_own_library_loads", lambda: pytest.fail("looked")
    )
    assert benchmark.torchvision_schemas.declare() is False


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2", "resnet", "resnet38"])
def test_an_option_that_a_backbone_has_not_is_told(name: str) -> None:
    message = f"no option of backbone {name} 'output_strid': did you mean 'output_stride'?"
    with pytest.raises(BenchmarkError, match=re.escape(message)):
        build_backbone(name, output_strid=8)


@pytest.mark.parametrize(
    ("options", "side"),
    [
        ({}, 14),
        ({"output_stride": 8}, 28),
        ({"output_stride": 8, "pool_kernel": 3}, 28),
        ({"output_stride": 8, "pool_kernel": 3, "pool5": True, "dilation": 2}, 28),
        ({"pool_kernel": 3, "pool5": True}, 14),
    ],
)
def test_vgg16_map_sizes(options: dict, side: int) -> None:
    backbone = VGG16(width=0.125, **options)
    assert shape(backbone) == (1, 64, side, side)
    assert backbone.channels == 64
    assert 224 // backbone.output_stride == side


@pytest.mark.parametrize(("stride", "sides"), [(8, [8, 8, 8]), (16, [8, 4, 4])])
def test_vgg16_levels_are_blocks_3_to_5(stride: int, sides: list[int]) -> None:
    """In VGG-16 the third pool is layer 16, the fourth 23; the network ends before the fifth."""
    backbone = VGG16(width=0.125, output_stride=stride)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        levels = backbone.levels(images)
        for level, end in zip(levels, (17, 24, 30), strict=True):
            torch.testing.assert_close(level, backbone.features[:end](images))
    assert [level.shape[2] for level in levels] == sides
    assert tuple(level.shape[1] for level in levels) == backbone.level_channels


@pytest.mark.parametrize("pool5", [False, True])
def test_vgg16_without_pool4_still_has_three_levels(pool5: bool) -> None:
    """Block 4 ends with its third ReLU, layer 22, and the empty place of the pool, 23."""
    backbone = VGG16(width=0.125, output_stride=8, pool_kernel=3, pool4=False, pool5=pool5)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        levels = backbone.levels(images)
        for level, end in zip(levels, (17, 23, 31 if pool5 else 30), strict=True):
            torch.testing.assert_close(level, backbone.features[:end](images))
        torch.testing.assert_close(levels[2], backbone(images))
    assert not torch.equal(levels[1], levels[2])
    assert [tuple(level.shape[1:]) for level in levels] == [(32, 8, 8), (64, 8, 8), (64, 8, 8)]


def test_vgg16_equals_torchvision_up_to_pool5() -> None:
    from torchvision.models import vgg16

    torch.manual_seed(0)
    theirs = vgg16(weights=None).eval()
    ours = VGG16()
    load_backbone(ours, theirs.state_dict(), "torchvision")
    images = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.features[:-1](images))
    assert sum(p.numel() for p in ours.parameters()) == 14_714_688


def test_vgg16_without_pool4_keeps_torchvisions_weights_and_321_pixels_give_41_cells() -> None:
    torch.manual_seed(0)
    usual, without = (
        VGG16(width=0.125, output_stride=8, pool_kernel=3, pool4=pool4) for pool4 in (True, False)
    )
    without.load_state_dict(usual.state_dict())
    assert shape(without, 321) == (1, 64, 41, 41)
    images = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        layers = list(usual.features)
        expected = torch.nn.Sequential(*layers[:23], *layers[24:])(images)
        torch.testing.assert_close(without(images), expected)
    assert isinstance(layers[23], torch.nn.MaxPool2d)
    with pytest.raises(BenchmarkError, match="output_stride 16 is not one of 8"):
        VGG16(width=0.125, output_stride=16, pool4=False)


def test_deeplab_vgg_is_the_caffe_net_in_its_sizes() -> None:
    backbone = VGG16(width=0.125, output_stride=8, pool_kernel=3, pool5=True, dilation=2)
    assert shape(backbone, 321) == (1, 64, 41, 41)
    convolutions = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.dilation[0] for c in convolutions] == [1] * 10 + [2] * 3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg16", {"width": 0.0625, "frozen_blocks": 2}),
        ("mobilenet_v2", {"frozen_blocks": 4}),
        ("resnet", {"depth": 18, "base_channels": 8, "frozen_blocks": 2}),
    ],
)
def test_frozen_blocks_do_not_move(name: str, options: dict) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name, **options)
    backbone.train()
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    backbone(torch.randn(2, 3, 64, 64)).square().mean().backward()
    optimiser.step()
    moved = [k for k, v in backbone.state_dict().items() if not torch.equal(v, before[k])]
    keys = list(before)
    first_moved = min(keys.index(k) for k in moved)
    first_trained = {
        "vgg16": "features.10.weight",
        "mobilenet_v2": "features.4.conv.0.0.weight",
        "resnet": "layer2.0.conv1.weight",
    }[name]
    assert keys[first_moved] == first_trained


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_mobilenet_strides(stride: int) -> None:
    backbone = build_backbone("mobilenet_v2", output_stride=stride)
    assert shape(backbone) == (1, 1280, 224 // stride, 224 // stride)
    assert shape(build_backbone("mobilenet_v2", last_conv=False))[1] == 320


def test_dilated_mobilenet_is_the_strided_one_sampled_densely() -> None:
    """Every second cell of the dense map is the strided map's, away from the padded edge."""
    torch.manual_seed(0)
    strided = build_backbone("mobilenet_v2", output_stride=32, last_conv=False).eval()
    dense = build_backbone("mobilenet_v2", output_stride=8, last_conv=False).eval()
    dense.load_state_dict(strided.state_dict())
    images = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        coarse, fine = strided(images), dense(images)
    torch.testing.assert_close(fine[..., ::4, ::4], coarse, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("depth", [18, 50])
def test_resnet_has_torchvisions_keys_and_features(depth: int) -> None:
    import torchvision.models

    torch.manual_seed(0)
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None).eval()
    ours = build_backbone("resnet", depth=depth).eval()
    load_backbone(ours, theirs.state_dict(), "torchvision")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = torch.nn.Sequential(*list(theirs.children())[:-2])(images)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)
    assert ours.channels == expected.shape[1]


@pytest.mark.parametrize("stride", [8, 16])
def test_resnet_strides(stride: int) -> None:
    backbone = build_backbone("resnet", depth=18, base_channels=8, output_stride=stride)
    assert shape(backbone, 128) == (1, 64, 128 // stride, 128 // stride)


def test_norm_eval_keeps_statistics() -> None:
    for name, options in (("mobilenet_v2", {}), ("resnet", {"depth": 18, "base_channels": 8})):
        backbone = build_backbone(name, norm_eval=True, **options)
        backbone.train()
        norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert norms
        assert not any(m.training for m in norms)


def test_unknown_backbone_and_choice_are_told() -> None:
    with pytest.raises(BenchmarkError, match="vgg16, mobilenet_v2, resnet"):
        build_backbone("vgg19")
    with pytest.raises(BenchmarkError, match="output_stride 4 is not one of 8, 16"):
        build_backbone("vgg16", output_stride=4)


def imported_modules(module: str) -> set[str]:
    """What a module of the project imports of it, inside functions as well."""
    path = Path(str(importlib.util.find_spec(module).origin))  # type: ignore[union-attr]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{name.name}" for name in node.names}
            modules = {name for name in below if is_module(name)}
            found |= modules or {node.module}
    return {name for name in found if name.startswith("benchmark.")}


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False


def test_no_backbone_imports_what_builds_it() -> None:
    """Neither ``build_backbone`` nor the segmentation, which imports it: no circle."""
    waiting = imported_modules("benchmark.backbones")
    assert {"benchmark.backbones.resnet", "benchmark.backbones.resnet38"} <= waiting
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= imported_modules(module) - seen
    assert "benchmark.backbones.layers" in seen
    assert "benchmark.backbones" not in seen
    assert not any(module.startswith("benchmark.segmentation") for module in seen)
