"""The conformance command: every method passes, and every check catches its own mistake alone."""

from __future__ import annotations

import json
import os
import random
import sys
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark import cli
from benchmark.attention import Trainer
from benchmark.conformance import CHECKS, Check, Outcome, Subject, check_method, checked
from benchmark.method import Batch, Head, InferenceRecipe, Method, Paper
from benchmark.registry import build_method, method_entry_points


@pytest.mark.parametrize("name", sorted(method_entry_points()))
def test_every_registered_method_keeps_its_contract(name: str) -> None:
    outcomes = check_method(lambda: build_method(name, {}))
    assert [outcome for outcome in outcomes if outcome.passed is False] == []
    untried = {outcome.check for outcome in outcomes if outcome.passed is None}
    on_gpu = torch.cuda.is_available()
    assert untried == (
        {"fit is deterministic", "finished fit resumes"} if on_gpu else {"runs on a gpu"}
    )


class TinyBackbone(nn.Module):
    """One convolution in the place of the slim VGG-16, so that a hundred networks cost little."""

    channels = 4
    output_stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 8, stride=8)

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(self.layer(images))


class Network(nn.Module):
    def __init__(self, backbone: Any, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.channels, classes, 1)
        self.register_buffer("gain", torch.ones(()))
        self.fitted = False

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.backbone(images))
        return scores


class Sound(Method):
    """A plain method with a background map, in which the classes below each break one thing."""

    paper = Paper("Title", "Venue", "Reference")

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        return Network(backbone, num_classes)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        scores = network(batch.images).mean(dim=(2, 3))
        return {"only": functional.binary_cross_entropy_with_logits(scores, batch.labels)}

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        scores: Tensor = network(images).mean(dim=(2, 3))
        return scores

    def attention(self, network: Any, batch: Batch) -> Tensor:
        maps = torch.sigmoid(network(batch.images)) * network.gain
        return maps * batch.labels[:, :, None, None]

    def background(self, network: Any, batch: Batch) -> Tensor | None:
        return torch.sigmoid(network(batch.images)).mean(dim=1)


class SilentOnSaliency(Sound):
    needs_saliency = True


class NoPaper(Sound):
    paper = Paper("Title", "", "Reference")


class HiddenBackbone(Sound):
    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        return nn.Sequential(backbone, nn.Conv2d(4, num_classes, 1))


class CannotBuild(Sound):
    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        raise KeyError("two\nlines")


class SharedHead(Sound):
    heads: ClassVar[dict[int, nn.Module]] = {}

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        network = Network(backbone, num_classes)
        network.head = self.heads.setdefault(num_classes, network.head)  # type: ignore[assignment]
        return network


class OneMapAnImage(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        return super().attention(network, batch).amax(dim=1)


class Negative(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        return -super().attention(network, batch)


class AboveOne(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        return 3 * super().attention(network, batch)


class NotANumber(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        maps = super().attention(network, batch)
        return torch.where(batch.labels[:, :, None, None] > 0, torch.nan, maps)


class Unselective(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        return torch.sigmoid(network(batch.images)) * batch.labels.amax(1)[:, None, None, None]


class DividesByClasses(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        return super().attention(network, batch) / batch.labels.sum(1)[:, None, None, None]


class Transposed(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        return super().attention(network, batch).transpose(2, 3)


class BackgroundOfClasses(Sound):
    def background(self, network: Any, batch: Batch) -> Tensor | None:
        return torch.sigmoid(network(batch.images))


class BackgroundAboveOne(Sound):
    def background(self, network: Any, batch: Batch) -> Tensor | None:
        return 1.5 + torch.sigmoid(network(batch.images)).mean(dim=1)


class OneScoreTooMany(Sound):
    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        scores = super().class_scores(network, images, saliency)
        return torch.cat([scores, scores[:, :1]], dim=1)


class InfiniteScores(Sound):
    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        return super().class_scores(network, images, saliency) / 0


class LossOfEachImage(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        return {"each": network(batch.images).mean(dim=(1, 2, 3))}


class NoLoss(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        return {}


class LossOfPresentClasses(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        scores = network(batch.images).mean(dim=(2, 3))
        return {"present": -((scores * batch.labels).sum(1) / batch.labels.sum(1)).mean()}


class DetachedBackbone(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        scores = network.head(network.backbone(batch.images).detach()).mean(dim=(2, 3))
        return {"only": functional.binary_cross_entropy_with_logits(scores, batch.labels)}


class RelativeToTheBatch(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        maps = super().attention(network, batch)
        return maps / maps.amax().clamp(min=1e-6)


class RemembersLabels(Sound):
    seen: Tensor | None = None

    def attention(self, network: Any, batch: Batch) -> Tensor:
        self.seen = batch.labels
        return super().attention(network, batch)

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        scores = super().class_scores(network, images, saliency)
        same = self.seen is not None and self.seen.shape == scores.shape
        return scores + self.seen if same and self.seen is not None else scores


class StaysInTraining(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        maps = super().attention(network, batch)
        network.train()
        return maps


class LeavesAGradient(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        with torch.enable_grad():
            network(batch.images).sum().backward()
        return super().attention(network, batch)


class CountsInABuffer(Sound):
    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        network = Network(backbone, num_classes)
        network.register_buffer("count", torch.zeros(()))
        return network

    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        network.count += 1
        return super().class_scores(network, images, saliency)


class WritesToImages(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        maps = super().attention(network, batch)
        batch.images.add_(1)
        return maps


class WritesToLabels(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        losses = super().losses(network, batch)
        batch.labels.data.mul_(0.5)  # behind autograd's back, which would complain
        return losses


class DrawsAtInference(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        torch.rand(1)
        return super().attention(network, batch)


class DrawsFromNumpy(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        np.random.rand()
        return super().losses(network, batch)


class DrawsFromPython(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        random.random()
        return super().attention(network, batch)


class TurnsGradientsOn(Sound):
    def attention(self, network: Any, batch: Batch) -> Tensor:
        torch.set_grad_enabled(True)
        return super().attention(network, batch).detach()

    def background(self, network: Any, batch: Batch) -> Tensor | None:
        return torch.sigmoid(network(batch.images)).mean(dim=1).detach()


class TurnsDeterminismOn(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        torch.use_deterministic_algorithms(True)
        return super().losses(network, batch)


class TunesCudnn(Sound):
    def background(self, network: Any, batch: Batch) -> Tensor | None:
        torch.backends.cudnn.benchmark = True
        return super().background(network, batch)


class ChangesTheType(Sound):
    def background(self, network: Any, batch: Batch) -> Tensor | None:
        torch.set_default_dtype(torch.float64)
        return super().background(network, batch)


class BuildsUnseeded(Sound):
    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        network = Network(backbone, num_classes)
        with torch.no_grad():
            network.head.bias += os.urandom(4)[0] / 256 + torch.tensor(list(os.urandom(1))) / 9
        return network


class UnseededLoss(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        losses = super().losses(network, batch)
        return {"only": losses["only"] * (1 + int.from_bytes(os.urandom(4), "big") / 2**32)}


class ForgetsATensor(Sound):
    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        network = Network(backbone, num_classes)
        network.offset = torch.rand(num_classes, 1, 1)  # type: ignore[assignment]
        return network

    def attention(self, network: Any, batch: Batch) -> Tensor:
        return super().attention(network, batch) * network.offset.to(batch.images.device)


class CannotFit(Sound):
    def fit(self, network: Any, trainer: Trainer) -> None:
        raise RuntimeError("no training today")


class FitsNothing(Sound):
    def fit(self, network: Any, trainer: Trainer) -> None:
        pass


class FitsToInfinity(Sound):
    def fit(self, network: Any, trainer: Trainer) -> None:
        super().fit(network, trainer)
        network.gain /= 0


class FitsUnseeded(Sound):
    def fit(self, network: Any, trainer: Trainer) -> None:
        super().fit(network, trainer)
        network.gain *= int.from_bytes(os.urandom(4), "big") / 2**32


class FitsOnAndOn(Sound):
    def fit(self, network: Any, trainer: Trainer) -> None:
        super().fit(network, trainer)
        note = trainer.scratch / "note"
        if note.exists():
            network.gain *= 0.5
        note.touch()


class FitsOutOfRange(Sound):
    def fit(self, network: Any, trainer: Trainer) -> None:
        super().fit(network, trainer)
        network.gain *= 4


class FitsAnAttribute(Sound):
    def fit(self, network: Any, trainer: Trainer) -> None:
        super().fit(network, trainer)
        network.fitted = True

    def attention(self, network: Any, batch: Batch) -> Tensor:
        return super().attention(network, batch) * (0.5 if network.fitted else 1.0)


class StaysOnTheCpu(Sound):
    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        scores = network(batch.images).mean(dim=(2, 3)) + torch.zeros(scores_of(network))
        return {"only": functional.binary_cross_entropy_with_logits(scores, batch.labels)}


def scores_of(network: Any) -> int:
    return int(network.head.out_channels)


class ScoresOnTheCpu(Sound):
    def class_scores(self, network: Any, images: Tensor, saliency: Tensor | None) -> Tensor:
        return torch.zeros(len(images), scores_of(network))


BROKEN: list[tuple[str, type[Method], str]] = [
    ("supervision is stated", SilentOnSaliency, "supervision is 'I'"),
    ("supervision is stated", NoPaper, "the paper lacks"),
    ("network builds", HiddenBackbone, "no attribute 'backbone'"),
    ("network builds", CannotBuild, r"KeyError: 'two\nlines'"),
    ("networks share nothing", SharedHead, "share head.weight"),
    ("attention shape", OneMapAnImage, "shape (3, 6, 6), not (3, 3, h, w)"),
    ("attention range", Negative, "below 0"),
    ("attention range", AboveOne, "above 1"),
    ("attention range", NotANumber, "not finite"),
    ("absent classes have no attention", Unselective, "an absent class reaches 0."),
    ("images without a class have no attention", DividesByClasses, "reach nan"),
    ("images need not be square", Transposed, "32x56 pixels give attention of (7, 4) cells"),
    ("background shape", BackgroundOfClasses, "shape (3, 3, 6, 6), not (3, h, w)"),
    ("background range", BackgroundAboveOne, "leaves [0, 1]"),
    ("class scores are finite", OneScoreTooMany, "shape (3, 4), not (3, 3)"),
    ("class scores are finite", InfiniteScores, "not finite"),
    ("losses are finite scalars", LossOfEachImage, "no scalar tensor: (3,)"),
    ("losses are finite scalars", NoLoss, "not a mapping with a loss in it"),
    ("losses need no class", LossOfPresentClasses, "'present' is nan"),
    ("gradient reaches the backbone", DetachedBackbone, "no gradient reaches"),
    ("batch size does not matter", RelativeToTheBatch, "alone and in a batch differ"),
    ("inference repeats", RemembersLabels, "class scores differ"),
    ("inference leaves the network alone", StaysInTraining, "into training mode"),
    ("inference leaves the network alone", LeavesAGradient, "leaves a gradient"),
    ("inference leaves the network alone", CountsInABuffer, "changes count"),
    ("inputs stay as they are", WritesToImages, "the images given are written to"),
    ("inputs stay as they are", WritesToLabels, "the labels given are written to"),
    ("inference draws no random number", DrawsAtInference, "torch's random state"),
    ("random numbers come from torch alone", DrawsFromNumpy, "NumPy's"),
    ("random numbers come from torch alone", DrawsFromPython, "Python's"),
    ("global settings stay", TurnsGradientsOn, "gradient mode from False to True"),
    ("global settings stay", TurnsDeterminismOn, "deterministic mode"),
    ("global settings stay", TunesCudnn, "benchmark mode from False to True"),
    ("training is deterministic", BuildsUnseeded, "(initial: head.bias)"),
    ("training is deterministic", UnseededLoss, "(loss: only)"),
    ("saved weights give the same maps", ForgetsATensor, "attention differ"),
    ("fit trains", CannotFit, "RuntimeError: no training today"),
    ("fit trains", FitsNothing, "changed no weight"),
    ("fit trains", FitsToInfinity, "gain is not finite"),
    ("fit is deterministic", FitsUnseeded, "differ in gain"),
    ("finished fit resumes", FitsOnAndOn, "changes gain"),
    ("fitted maps are usable", FitsOutOfRange, "leaves [0, 1]"),
    ("fitted weights give the same maps", FitsAnAttribute, "attention after fit() differ"),
    ("runs on a gpu", StaysOnTheCpu, "RuntimeError"),
    ("runs on a gpu", ScoresOnTheCpu, "class scores of a network on meta lie on cpu"),
]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny backbone, three classes, and torch's device without storage as the GPU."""
    monkeypatch.setattr(
        "benchmark.conformance.subject.build_backbone", lambda *_, **__: TinyBackbone()
    )
    monkeypatch.setattr("benchmark.conformance.run.CLASS_COUNTS", (3,))
    monkeypatch.setattr(
        "benchmark.conformance.training.accelerators", lambda: [torch.device("meta")]
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    SharedHead.heads.clear()


def failures(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.check: outcome.reason for outcome in outcomes if outcome.passed is False}


@pytest.mark.usefixtures("quick")
def test_a_sound_method_passes_everything() -> None:
    outcomes = check_method(Sound)
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert [outcome.check for outcome in outcomes] == [check.name for check in CHECKS]


@pytest.mark.usefixtures("quick")
def test_a_check_is_told_before_the_next_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def first_check(subject: Subject) -> str:
        begun.append("first")
        return "wrong"

    def second_check(subject: Subject) -> str:
        begun.append("second")
        return ""

    checks = (Check(first_check), Check(second_check))
    monkeypatch.setattr("benchmark.conformance.run.CHECKS", checks)
    running = checked(Sound)
    assert next(running) == Outcome("first check", False, "with 3 classes: wrong")
    assert begun == ["first"]
    assert list(running) == [Outcome("second check", True, "")]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("check", "method", "reason"), BROKEN, ids=lambda value: str(value))
def test_each_mistake_fails_its_own_check_alone(
    check: str, method: type[Method], reason: str
) -> None:
    found = failures(check_method(method))
    assert list(found) == [check]
    assert found[check].startswith("with 3 classes: ")
    assert reason in found[check]
    assert "\n" not in found[check]


def test_every_check_has_a_mistake_that_it_catches() -> None:
    assert {check for check, _, _ in BROKEN} == {check.name for check in CHECKS}


@pytest.mark.usefixtures("quick")
def test_maps_above_1_are_fine_where_inference_normalises() -> None:
    class Normalised(AboveOne):
        def inference(self) -> InferenceRecipe:
            return InferenceRecipe(normalise="max")

    assert failures(check_method(Normalised)) == {}


@pytest.mark.usefixtures("quick")
def test_what_rests_on_a_failed_check_is_not_tried() -> None:
    outcomes = {outcome.check: outcome for outcome in check_method(CannotFit)}
    assert outcomes["fitted maps are usable"].passed is None
    assert outcomes["fitted maps are usable"].reason == "not tried: 'fit trains' did not pass"


@pytest.mark.usefixtures("quick")
def test_what_a_method_does_to_global_state_ends_with_its_check() -> None:
    numpy_state = np.random.get_state()[1].tolist()
    torch_state = torch.get_rng_state()
    for method in (TurnsDeterminismOn, ChangesTheType, DrawsFromNumpy, DrawsAtInference):
        check_method(method)
    assert torch.get_default_dtype() == torch.float32
    assert not torch.are_deterministic_algorithms_enabled()
    assert np.random.get_state()[1].tolist() == numpy_state
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.usefixtures("quick")
def test_a_changed_default_type_is_named() -> None:
    """It breaks the training as well, so it cannot fail one check alone."""
    assert "default type" in failures(check_method(ChangesTheType))["global settings stay"]


class TestCommand:
    def run(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        *arguments: str,
    ) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["benchmark", "methods", "check", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    @pytest.fixture
    def method(self, quick: None, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Registers a method class as the one that is called ``mine``."""

        def register(method: type[Method]) -> None:
            monkeypatch.setattr("benchmark.registry.load_method_class", lambda name: method)

        return register

    def test_a_sound_method(
        self, method: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        method(Sound)
        status, out, _ = self.run(monkeypatch, capsys, "mine")
        assert status == 0
        assert len(out.splitlines()) == len(CHECKS) + 1
        assert out.splitlines()[-1].endswith(f"{len(CHECKS)} checks passed, 0 failed, 0 not tried")

    def test_a_broken_method_is_one_crossed_line_and_status_1(
        self, method: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        method(CannotFit)
        status, out, _ = self.run(monkeypatch, capsys, "mine")
        assert status == 1
        crossed = [line for line in out.splitlines() if line.startswith("✗")]
        assert crossed == ["✗ fit trains: with 3 classes: RuntimeError: no training today"]

    def test_json(
        self, method: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        method(Transposed)
        status, out, _ = self.run(monkeypatch, capsys, "mine", "--json")
        rows = json.loads(out)
        assert status == 1
        assert all(row.keys() == {"check", "passed", "reason"} for row in rows)
        assert [row["check"] for row in rows if row["passed"] is False] == [
            "images need not be square"
        ]

    def test_an_unknown_name_is_one_line_and_status_2(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, out, err = self.run(monkeypatch, capsys, "camm")
        assert (status, out) == (2, "")
        assert err == "error: no method 'camm': did you mean 'cam'?\n"
