from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from benchmark.backbones import build_backbone
from benchmark.errors import BenchmarkError
from benchmark.user_files import file_digest
from benchmark.weights import load_backbone, load_state_dict, save_state_dict


def one_line(error: pytest.ExceptionInfo[BenchmarkError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}


def test_safetensors_there_and_back(tmp_path: Path, state: dict) -> None:
    path = tmp_path / "model.safetensors"
    save_state_dict(path, state, {"made by": "test"})
    assert {k: v.tolist() for k, v in load_state_dict(path).items()} == {
        k: v.tolist() for k, v in state.items()
    }
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"made by": "test"}
    assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_that_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"^cannot read .*: Is a directory$"):
        file_digest(tmp_path)


@pytest.mark.parametrize("wrapped", [False, True])
def test_torch_files_of_tensors(tmp_path: Path, state: dict, wrapped: bool) -> None:
    path = tmp_path / "model.pth"
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, path)
    assert set(load_state_dict(path)) == {"a.weight", "n"}


class Evil:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("evil",)


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(BenchmarkError, match=r"evil\.pth") as error:
        load_state_dict(tmp_path / "evil.pth")
    one_line(error)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
@pytest.mark.parametrize("content", [None, b"", b"no weights at all", "cut"])
def test_bad_files(tmp_path: Path, state: dict, name: str, content: bytes | str | None) -> None:
    path = tmp_path / name
    if content == "cut":
        save_state_dict(path, state) if path.suffix == ".safetensors" else torch.save(state, path)
        path.write_bytes(path.read_bytes()[:-20])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(BenchmarkError) as error:
        load_state_dict(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("content", [{"epoch": 3}, {}, [torch.zeros(1)]])
def test_files_without_a_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(BenchmarkError) as error:
        load_state_dict(tmp_path / "a.pth")
    assert "a.pth" in one_line(error)


def test_missing_and_misshapen_keys_are_named_with_their_shapes() -> None:
    backbone = build_backbone("vgg16", width=0.125)
    state = dict(backbone.state_dict())
    lacking = {k: v for k, v in state.items() if k != "features.2.bias"}
    with pytest.raises(BenchmarkError, match=r"f\.pth lacks 'features\.2\.bias'.*\(8,\)") as error:
        load_backbone(backbone, lacking, "f.pth")
    one_line(error)
    wide = build_backbone("vgg16", width=0.25).state_dict()
    with pytest.raises(
        BenchmarkError, match=r"'features\.0\.weight' has shape \(16, 3, 3, 3\), expected \(8, 3"
    ) as error:
        load_backbone(backbone, wide, "f.pth")
    one_line(error)


def test_values_that_are_no_numbers_are_refused() -> None:
    backbone = build_backbone("vgg16", width=0.125)
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    state["features.2.bias"][3] = float("nan")
    with pytest.raises(BenchmarkError, match=r"f\.pth: 'features\.2\.bias' holds values") as error:
        load_backbone(backbone, state, "f.pth")
    one_line(error)


def test_extras_are_ignored_and_a_failure_changes_nothing() -> None:
    source = build_backbone("vgg16", width=0.0625)
    target = build_backbone("vgg16", width=0.0625)
    before = target.state_dict()["features.0.weight"].clone()
    state = {**source.state_dict(), "classifier.0.weight": torch.zeros(3)}
    bad = {**state, "features.28.bias": torch.zeros(3)}
    with pytest.raises(BenchmarkError):
        load_backbone(target, bad, "x")
    assert torch.equal(target.state_dict()["features.0.weight"], before)
    load_backbone(target, state, "x")
    assert all(torch.equal(v, state[k]) for k, v in target.state_dict().items())


def test_imagenet_mobilenet() -> None:
    path = os.environ.get("BENCHMARK_MOBILENET_WEIGHTS")
    if not path:
        pytest.skip("BENCHMARK_MOBILENET_WEIGHTS is not set")
    state = load_state_dict(path)
    backbone = build_backbone("mobilenet_v2", output_stride=16, last_conv=False)
    load_backbone(backbone, state, path)
    key = "features.17.conv.2.weight"
    assert torch.equal(backbone.state_dict()[key], state[key])
