from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel

from benchmark.backbones import build_backbone
from benchmark.configs import config_path
from benchmark.crf import CrfOptions
from benchmark.data.voc import read_label_png
from benchmark.errors import BenchmarkError
from benchmark.feeding import LossReader
from benchmark.metrics import confusion_counts, mean_iou
from benchmark.progress import SilentProgress
from benchmark.segmentation import predict, train_segmentation
from benchmark.weights import load_state_dict, save_state_dict

Metrics = dict[str, float | int | str]


class Recorder:
    """A progress that keeps what it is told and can end a training like a kill."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.begun: tuple[str, int | None, int] | None = None
        self.notes: list[str] = []

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Recorder]:
        self.begun = (label, total, done)
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.notes.append(note)
        if len(self.notes) == self.stop_after:
            raise KeyboardInterrupt


def train(tiny_config: Path, tiny_set: Any, folder: Path, **options: Any) -> Metrics:
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "images": tiny_set.images,
        "labels": tiny_set.labels,
        "num_classes": 3,
        "initial_weights": None,
        "seed": 5,
        "scratch": folder / "scratch",
        "out": folder / "model.safetensors",
        "progress": SilentProgress(),
        "label": "tiny",
    }
    return train_segmentation(tiny_config, **{**settings, **options})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_state_dict(folder / "model.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


@pytest.fixture(scope="module")
def trained(tiny_config: Path, tiny_set: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(tiny_config, tiny_set, folder)
    return folder


def test_progress_and_console(
    tiny_config: Path, tiny_set: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder()
    metrics = train(tiny_config, tiny_set, tmp_path, progress=recorder)
    assert recorder.begun == ("tiny", 10, 0)
    assert len(recorder.notes) == 10
    assert all(note.startswith("loss ") for note in recorder.notes)
    assert metrics["iterations"] == 10
    assert metrics["resumed_at"] == 0
    assert capfd.readouterr() == ("", "")


def test_same_seed_same_weights_other_seed_other_weights(
    trained: Path, tiny_config: Path, tiny_set: Any, tmp_path: Path
) -> None:
    train(tiny_config, tiny_set, tmp_path / "same")
    train(tiny_config, tiny_set, tmp_path / "other", seed=6)
    assert equal(weights(trained), weights(tmp_path / "same"))
    assert not equal(weights(trained), weights(tmp_path / "other"))


def test_interrupted_training_ends_bit_for_bit_like_an_unbroken_one(
    trained: Path, tiny_config: Path, tiny_set: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, tiny_set, tmp_path, progress=Recorder(stop_after=8))
    assert not (tmp_path / "model.safetensors").exists()
    # What a kill in the middle of the next checkpoint would leave:
    (tmp_path / "scratch" / "unfinished.pth").write_bytes(b"half a checkp")
    from benchmark.segmentation.data import LabelledImages

    draws: list[int] = []
    original = LabelledImages.__getitem__

    def counted(self: LabelledImages, draw: int) -> dict[str, Any]:
        draws.append(draw)
        return original(self, draw)

    monkeypatch.setattr(LabelledImages, "__getitem__", counted)
    recorder = Recorder()
    metrics = train(tiny_config, tiny_set, tmp_path, progress=recorder)
    assert metrics["resumed_at"] == 6  # checkpoints are 3 apart, the end was in iteration 8
    assert recorder.begun == ("tiny", 10, 6)
    assert min(draws) == 6 * 4  # no batch already trained is read again
    assert equal(weights(trained), weights(tmp_path))


KILLED = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from benchmark.progress import PlainProgress
from benchmark.segmentation import train_segmentation
config, images, labels, folder = map(Path, sys.argv[1:])
train_segmentation(
    config, images={p.stem: p for p in sorted(images.glob("*.jpg"), key=lambda p: int(p.stem[5:]))},
    labels=labels, num_classes=3, initial_weights=None, seed=5, scratch=folder / "scratch",
    out=folder / "model.safetensors", progress=PlainProgress(sys.stderr, interval=0), label="tiny",
)
"""


def test_kill_9_and_resume(trained: Path, tiny_config: Path, tiny_set: Any, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    images = next(iter(tiny_set.images.values())).parent
    arguments = [tiny_config, images, tiny_set.labels, tmp_path]
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "5/10" in line:
            os.kill(process.pid, signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    metrics = train(tiny_config, tiny_set, tmp_path)
    assert int(metrics["resumed_at"]) in (3, 6)
    assert equal(weights(trained), weights(tmp_path))


def test_initial_weights_go_into_the_backbone(
    tiny_config: Path, tiny_set: Any, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    backbone = build_backbone("vgg16", width=0.0625)
    save_state_dict(tmp_path / "initial.safetensors", backbone.state_dict())
    still = tmp_path / "still.py"
    still.write_text(
        f"_base_ = {str(tiny_config)!r}\nmodel = dict(backbone=dict(frozen_blocks=5))\n"
    )
    train(still, tiny_set, tmp_path, initial_weights=tmp_path / "initial.safetensors")
    found = weights(tmp_path)
    for key, value in backbone.state_dict().items():
        assert torch.equal(found[f"backbone.net.{key}"], value)


def test_weights_of_another_width_are_told(
    tiny_config: Path, tiny_set: Any, tmp_path: Path
) -> None:
    path = tmp_path / "wide.safetensors"
    save_state_dict(path, build_backbone("vgg16", width=0.125).state_dict())
    with pytest.raises(BenchmarkError, match=r"wide\.safetensors: 'features\.0\.weight' has shape"):
        train(tiny_config, tiny_set, tmp_path, initial_weights=path)


def test_a_loss_that_is_not_finite_stops_at_once(
    tiny_config: Path, tiny_set: Any, tmp_path: Path
) -> None:
    wild = tmp_path / "wild.py"
    wild.write_text(
        f"_base_ = {str(tiny_config)!r}\noptim_wrapper = dict(optimizer=dict(lr=1e30))\n"
    )
    recorder = Recorder()
    with pytest.raises(BenchmarkError, match=r"^the loss is (nan|inf) at step 2: lower the config"):
        train(wild, tiny_set, tmp_path, progress=recorder)
    assert len(recorder.notes) == 1
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("bad", "kept"),
    [
        (4, 3),  # the first after a checkpoint; read in step 5
        (6, 3),  # the very step before a checkpoint, which has it read at once
        (10, 9),  # the last of all: no step is left that would read it
    ],
)
def test_a_training_read_late_keeps_no_checkpoint_that_has_gone_astray(
    tiny_config: Path,
    tiny_set: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bad: int,
    kept: int,
) -> None:
    """Losses are read a step late, as on a GPU, checkpoints are 3 apart, and one loss is nan."""
    monkeypatch.setattr(
        "benchmark.segmentation.hooks.LossReader", lambda **options: LossReader(1, **options)
    )
    parse_losses = BaseModel.parse_losses
    steps = count(1)

    def parsed(self: Any, losses: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, told = parse_losses(self, losses)
        factor = float("nan") if next(steps) == bad else 1.0
        return loss * factor, {**told, "loss": told["loss"] * factor}

    monkeypatch.setattr(BaseModel, "parse_losses", parsed)
    with pytest.raises(BenchmarkError, match=f"^the loss is nan at step {bad}: lower the config"):
        train(tiny_config, tiny_set, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    checkpoint = torch.load(tmp_path / "scratch" / "checkpoint.pth", weights_only=False)
    assert checkpoint["meta"]["iter"] == kept
    assert all(torch.isfinite(value).all() for value in checkpoint["state_dict"].values())


def test_nothing_of_mmengine_reads_a_loss(
    tiny_config: Path, tiny_set: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU would wait for it in every step; ``WatchLoss`` alone reads losses, late."""

    def read(self: MessageHub, key: str, *args: Any, **options: Any) -> None:
        raise AssertionError(f"{key} was read")

    monkeypatch.setattr(MessageHub, "update_scalar", read)
    train(tiny_config, tiny_set, tmp_path)


def test_a_missing_label_is_told(tiny_config: Path, tiny_set: Any, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    with pytest.raises(BenchmarkError, match=r"image\d+\.png"):
        train(tiny_config, tiny_set, tmp_path, labels=tmp_path / "labels")


def test_it_learns_and_predicts(learned: tuple[Path, Path], tiny_set: Any, tmp_path: Path) -> None:
    predict(
        *learned,
        images=tiny_set.images,
        num_classes=3,
        scales=(1.0,),
        flip=True,
        crf=CrfOptions(iterations=2),
        out=tmp_path,
        progress=SilentProgress(),
        label="tiny",
    )
    for folder in ("labels", "labels_crf"):
        counts = sum(
            confusion_counts(truth, read_label_png(tmp_path / folder / f"{name}.png"), 3)
            for name, truth in tiny_set.truth.items()
        )
        assert mean_iou(np.asarray(counts)) > 0.5


def test_full_disk_is_told_by_the_error_itself(
    tiny_config: Path, tiny_set: Any, tmp_path: Path
) -> None:
    """/dev/full refuses every byte: the error reaches the executor as 'no space left'."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "unfinished.pth").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        train(tiny_config, tiny_set, tmp_path)


def test_config_path_is_the_packages() -> None:
    assert config_path("deeplab_largefov_vgg16_scenes.py").is_file()
