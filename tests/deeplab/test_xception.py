"""Initial weights of Xception-65: what the stage keeps, and what the network takes from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import benchmark.torchvision_schemas  # noqa: F401  before timm, which imports torchvision
from benchmark.deeplab.xception import DecoderXception
from benchmark.errors import BenchmarkError
from benchmark.progress import SilentProgress
from benchmark.stages import xception_backbone
from benchmark.store import Workspace
from benchmark.weights import load_state_dict, save_state_dict


@pytest.fixture(scope="module")
def timm_state() -> dict[str, torch.Tensor]:
    """What a released file of timm holds, the classifier included; random."""
    import timm

    torch.manual_seed(0)
    return timm.create_model("xception65").state_dict()


def workspace(folder: Path, state: dict[str, torch.Tensor]) -> Workspace:
    save_state_dict(folder / "given.safetensors", state)
    return Workspace(
        config={"architecture": "xception65", "options": {}},
        inputs={},
        input_records={},
        locations={"weights": folder / "given.safetensors"},
        out=folder,
        scratch=folder,
        progress=SilentProgress(),
        label="weights",
    )


def test_the_stage_keeps_all_but_the_classifier_and_the_network_loads_it(
    timm_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    metrics = xception_backbone(workspace(tmp_path, timm_state))
    path = tmp_path / "backbone.safetensors"
    kept = load_state_dict(path)
    assert timm_state.keys() - kept.keys() == {"head.fc.weight", "head.fc.bias"}
    assert metrics["parameters"] == 39_916_312 - 2_049_000
    network = DecoderXception(weights=str(path))
    network.init_weights()
    found = network.net.state_dict()
    assert found.keys() == kept.keys() <= timm_state.keys()
    assert all(torch.equal(found[key], timm_state[key]) for key in kept)


def test_the_last_features_are_those_of_timms_own_forward_pass(
    timm_state: dict[str, torch.Tensor],
) -> None:
    import timm

    whole = timm.create_model("xception65").eval()
    whole.load_state_dict(timm_state)
    network = DecoderXception(output_stride=32).eval()
    network.net.load_state_dict({k: v for k, v in timm_state.items() if not k.startswith("head")})
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        seen = whole.blocks[1].stack[:-1](whole.blocks[0](whole.stem(images)))
        low, high = network(images)
        torch.testing.assert_close(high, whole.forward_features(images))
        torch.testing.assert_close(low, seen)
    assert high.shape == (1, 2048, 2, 2)


def test_other_weights_are_refused_in_one_line(
    timm_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    lacking = {key: value for key, value in timm_state.items() if key != "stem.0.conv.weight"}
    with pytest.raises(BenchmarkError, match=r"given\.safetensors lacks 'stem\.0\.conv\.weight'"):
        xception_backbone(workspace(tmp_path, lacking))
