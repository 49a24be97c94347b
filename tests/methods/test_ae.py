"""Adversarial erasing: what is erased, in training and at inference, and the steps' training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.attention import Trainer, parameter_groups
from benchmark.backbones import build_backbone
from benchmark.batches import to_tensor
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Head, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress
from benchmark.registry import build_method
from methods.ae import (
    AdversarialErasing,
    ErasedImages,
    ErasingNetwork,
    erased,
    erased_image,
    mined,
)

MEAN = [124, 116, 104]
"""ImageNet's mean colour, in whole grey levels."""


class Channels(nn.Module):
    """A classifier that scores class c by a weighted sum of the image's channels."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("cd,ndij->ncij", self.weights, images)


def mined_by_loops(
    classifiers: Sequence[Channels], images: np.ndarray, labels: np.ndarray, threshold: float
) -> np.ndarray:
    """One image, one cell, one class at a time; maps are as large as the images."""
    size, _, height, width = images.shape
    cells = [(i, j) for i in range(height) for j in range(width)]
    result = np.zeros((size, labels.shape[1], height, width))
    for n in range(size):
        image = images[n].copy()
        for classifier in classifiers:
            weights = classifier.weights.numpy()
            gone = set()
            for c in np.flatnonzero(labels[n]):
                scores = {(i, j): max(0.0, float(weights[c] @ image[:, i, j])) for i, j in cells}
                top = max(scores.values())
                for (i, j), score in scores.items():
                    share = score / top if top > 0 else 0.0
                    result[n, c, i, j] = max(result[n, c, i, j], share)
                    if share > threshold:
                        gone.add((i, j))
            for i, j in gone:
                image[:, i, j] = 0
    return result


def classifiers() -> list[Channels]:
    return [
        Channels([[1.0, 0.0, 0.2], [0.0, 1.0, 0.0]]),
        Channels([[0.3, 0.5, 0.0], [-1.0, 0.2, 1.0]]),
        Channels([[0.0, -0.4, 1.0], [1.0, 1.0, 1.0]]),
    ]


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("threshold", [0.2, 0.7])
def test_mined_equals_the_loops(steps: int, threshold: float) -> None:
    images = torch.randn(4, 3, 3, 5, generator=torch.manual_seed(2))
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    found = mined(classifiers()[:steps], Batch(images, labels), threshold)
    expected = mined_by_loops(classifiers()[:steps], images.numpy(), labels.numpy(), threshold)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert not found[3].any()
    if steps > 1:
        without = mined_by_loops(classifiers()[:1], images.numpy(), labels.numpy(), threshold)
        assert np.abs(expected - without).max() > 0.1


def test_what_was_found_is_gone_from_the_next_steps_view() -> None:
    """Cells 8, 4, 1: the first two are above half of 8 · 0.4; the second classifier sees 1 only."""
    images = torch.tensor([[[[8.0, 4.0, 1.0]]] * 3]).reshape(1, 3, 1, 3)
    seen: list[Tensor] = []
    later = Channels([[1.0, 0.0, 0.0]])
    later.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch = Batch(images, torch.ones(1, 1))
    found = mined([Channels([[1.0, 0.0, 0.0]]), later, later], batch, 0.4)
    assert [view[0, 0, 0].tolist() for view in seen] == [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert found[0, 0, 0].tolist() == pytest.approx([1.0, 0.5, 1.0])
    assert images[0, 0, 0].tolist() == [8.0, 4.0, 1.0]


def test_without_evidence_or_class_nothing_is_erased() -> None:
    seen: list[Tensor] = []
    last = Channels([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, 2, 2) + 0.5
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    # Class 0 scores below 0 everywhere; class 1 above, but is in no image.
    first = Channels([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    mined([first, last], Batch(images, labels), 0.0)
    assert torch.equal(seen[0], images)


def test_the_map_is_resized_before_it_is_compared() -> None:
    """Bilinear with half-pixel centres: columns 1 and 0 become 1, 0.75, 0.25 and 0."""
    images = torch.ones(1, 3, 2, 4)
    found = torch.tensor([[[[1.0, 0.0]]]])
    for threshold, kept in ((0.2, [0, 0, 0, 1]), (0.25, [0, 0, 1, 1]), (0.8, [0, 1, 1, 1])):
        view = erased(images, found, threshold)
        assert view[0].tolist() == [[kept, kept]] * 3
        picture = np.full((2, 4, 3), 9, np.uint8)
        grey = erased_image(picture, found[0, 0].numpy(), threshold)
        assert grey.dtype == np.uint8
        assert [[cell.tolist() for cell in row] for row in grey] == [
            [[9] * 3 if keep else MEAN for keep in kept]
        ] * 2
        assert (picture == 9).all()


def test_the_mean_colour_is_0_after_normalisation() -> None:
    """Training erases grey levels, inference normalised values: the same to half a level."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (12, 18, 3), dtype=np.uint8)
    found = rng.random((3, 5), dtype=np.float32)
    grey = to_tensor([erased_image(picture, found, 0.5)])
    value = erased(to_tensor([picture]), torch.from_numpy(found)[None, None], 0.5)
    np.testing.assert_allclose(grey.numpy(), value.numpy(), atol=0.5 / 255 / 0.224 + 1e-6)
    assert 0 < float((value == 0).float().mean()) < 1


def test_erased_images_are_made_one_at_a_time() -> None:
    pictures = [np.full((2, 3, 3), 9, np.uint8), np.full((4, 2, 3), 8, np.uint8)]
    found = [np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)]
    lazy = ErasedImages(pictures, found, 0.2)
    assert len(lazy) == 2
    np.testing.assert_array_equal(lazy[0], pictures[0])
    np.testing.assert_array_equal(lazy[np.int64(1)], np.broadcast_to(MEAN, (4, 2, 3)))


# --- the network --------------------------------------------------------------------------------

CLASSES = 3


def build(**options: Any) -> tuple[AdversarialErasing, ErasingNetwork]:
    torch.manual_seed(0)
    method = build_method("ae", options)
    backbone = build_backbone("vgg16", width=0.125, frozen_blocks=1)
    network = method.network(backbone, CLASSES, Head(0.05, init_gain=3.0))
    assert isinstance(method, AdversarialErasing)
    assert isinstance(network, ErasingNetwork)
    return method, network


def data(number: int = 6) -> LabelledImages:
    rng = np.random.default_rng(0)
    pictures = [
        rng.integers(0, 256, (40 + index, 50 - index, 3), dtype=np.uint8) for index in range(number)
    ]
    labels = rng.random((number, CLASSES)) < 0.5
    labels[:, 0] |= ~labels.any(axis=1)
    return LabelledImages(pictures, labels)


def whole_batch() -> Batch:
    images = torch.randn(2, 3, 32, 48, generator=torch.manual_seed(1))
    return Batch(images, torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_every_step_has_a_backbone_and_a_head_of_its_own(steps: int) -> None:
    _, network = build(steps=steps)
    assert len(network.classifiers()) == steps
    state = network.state_dict()
    assert len({value.data_ptr() for value in state.values()}) == len(state) == steps * (26 + 4)
    for classifier in network.classifiers()[1:]:
        one, other = network.classifiers()[0].state_dict(), classifier.state_dict()
        for key in one:
            same = torch.equal(one[key], other[key])
            assert same == (key.startswith("backbone") or key.endswith("bias")), key
        frozen = [p for p in classifier.backbone.parameters() if not p.requires_grad]
        assert len(frozen) == 4


def test_every_classifier_starts_where_the_profile_says() -> None:
    network = build_method("ae", {}).network(
        build_backbone("vgg16", width=0.125), CLASSES, Head(0.05, classifier_bias=-2.5)
    )
    assert [set(one.head[-1].bias.tolist()) for one in network.classifiers()] == [{-2.5}] * 3


def test_training_leaves_the_erased_colour_as_it_is() -> None:
    assert build_method("ae", {}).training().colour == 0


def test_more_steps_do_not_change_how_the_first_ones_start() -> None:
    few, many = build(steps=2)[1].state_dict(), build(steps=4)[1].state_dict()
    assert all(torch.equal(value, many[key]) for key, value in few.items())


def test_every_parameters_name_says_backbone_or_head() -> None:
    _, network = build()
    for classifier in network.classifiers():
        names = {name.split(".")[0] for name, _ in classifier.named_parameters()}
        assert names == {"backbone", "head"}
        rates = {group["rate"] for group in parameter_groups(classifier, RECIPE)}
        assert rates == {1.0, 2.0, 10.0, 20.0}
    parts = [set(name.split(".")) for name, _ in network.named_parameters()]
    assert all(("backbone" in part) != ("head" in part) for part in parts)


def test_of_one_step_the_attention_is_plain_cams() -> None:
    method, network = build(steps=1)
    torch.manual_seed(0)
    cam = build_method("cam", {})
    plain = cam.network(build_backbone("vgg16", width=0.125), CLASSES, Head(0.05)).eval()
    plain.load_state_dict(network.state_dict())
    network.eval()
    with torch.no_grad():
        ours, theirs = (m.attention(n, whole_batch()) for m, n in ((method, network), (cam, plain)))
    torch.testing.assert_close(ours, theirs)
    assert float(ours.max()) == pytest.approx(1)


def test_later_steps_only_add() -> None:
    method, network = build(steps=4)
    network.eval()
    with torch.no_grad():
        found = [mined(network.classifiers()[:k], whole_batch(), 0.2) for k in (1, 2, 3, 4)]
        assert torch.equal(method.attention(network, whole_batch()), found[3])
    for before, after in pairwise(found):
        assert bool((after >= before).all())
    assert float((found[1] - found[0]).max()) > 0.1


def test_losses_and_scores_are_the_first_classifiers() -> None:
    method, network = build(dropout=0.0)
    images, labels = whole_batch().images, whole_batch().labels
    pooled = network.head(network.backbone(images)).double().mean(dim=(2, 3))
    scores = method.class_scores(network, images, None)
    np.testing.assert_allclose(scores.detach(), pooled.detach(), rtol=1e-5, atol=1e-6)
    share = torch.sigmoid(pooled).detach().numpy()
    expected = -np.where(labels.numpy() > 0, np.log(share), np.log(1 - share)).mean()
    loss = method.losses(network, whole_batch())["classification"]
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    touched = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert touched == {"backbone", "head"}


@pytest.mark.parametrize("bad", [{"steps": 0}, {"steps": 5}, {"threshold": 1.2}, {"start": "no"}])
def test_options_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BenchmarkError, match=next(iter(bad))):
        build_method("ae", bad)


# --- training -----------------------------------------------------------------------------------

RECIPE = TrainingRecipe(
    iterations=3,
    batch_size=2,
    learning_rate=0.01,
    head_rate=10.0,
    side=(32, 40),
    crop=32,
    test_size=32,
)


class Watched(Trainer):
    """A trainer that remembers what every step began with, and may be killed."""

    def __init__(self, scratch: Path, kill: tuple[str, int] | None = None) -> None:
        super().__init__(
            data(), RECIPE, seed=0, scratch=scratch, progress=SilentProgress(), label="test"
        )
        self.kill = kill
        self.began: dict[str, dict[str, Tensor]] = {}
        self.images: dict[str, list[np.ndarray]] = {}
        self.taken: dict[str, int] = {}
        self.reads = 0

    def run(self, network: nn.Module, losses: Any, **given: Any) -> None:
        self.name = given["name"]
        self.began[self.name] = {k: v.clone() for k, v in network.state_dict().items()}
        self.images[self.name] = list(given["images"])
        self.taken[self.name] = 0
        super().run(network, losses, **given)

    def _step(self, *arguments: Any) -> None:
        if self.kill == (self.name, self.taken[self.name]):
            raise KeyboardInterrupt
        self.taken[self.name] += 1
        super()._step(*arguments)

    def whole_images(self, batch: int = 32) -> Any:
        self.reads += 1
        return super().whole_images(4)  # two batches, the second one smaller


def fitted(
    scratch: Path, kill: tuple[str, int] | None = None, seed: int = 1, **options: Any
) -> tuple[AdversarialErasing, ErasingNetwork, Watched]:
    method, network = build(**{"dropout": 0.5, **options})
    watched = Watched(scratch, kill)
    torch.manual_seed(seed)
    method.fit(network, watched)
    return method, network, watched


def test_each_step_trains_on_what_the_earlier_ones_left(tmp_path: Path) -> None:
    _, network, watched = fitted(tmp_path)
    assert watched.taken == {"step1": 3, "step2": 3, "step3": 3}
    network.eval()
    for number in (2, 3):
        shares = []
        for index, (picture, labels) in enumerate(zip(data().images, data().labels, strict=True)):
            view = to_tensor([_warped(picture)])
            known = torch.from_numpy(labels[None]).float()
            with torch.no_grad():
                found = mined(network.classifiers()[: number - 1], Batch(view, known), 0.2)
            region = _region(found[0].amax(dim=0), picture.shape[:2])
            expected = np.where(region[..., None], MEAN, picture)
            given = watched.images[f"step{number}"][index]
            assert given.dtype == np.uint8
            # Rounding may decide otherwise about a pixel at the threshold itself.
            assert (given != expected).any(axis=2).mean() < 0.005
            shares.append(region.mean())
        assert np.mean(shares) > 0.05
    for given, picture in zip(watched.images["step1"], data().images, strict=True):
        np.testing.assert_array_equal(given, picture)


def _warped(picture: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.resize(picture, (32, 32), interpolation=cv2.INTER_LINEAR)


def _region(found: Tensor, size: tuple[int, ...]) -> np.ndarray:
    resized = nn.functional.interpolate(found[None, None], size, mode="bilinear")
    return (resized[0, 0] > 0.2).numpy()


@pytest.mark.parametrize("start", ["initial", "previous"])
def test_where_a_step_starts_from_and_that_it_changes_no_other(tmp_path: Path, start: str) -> None:
    _, initial = build(dropout=0.5)
    _, network, watched = fitted(tmp_path, start=start)
    trained = [classifier.state_dict() for classifier in network.classifiers()]
    untrained = [classifier.state_dict() for classifier in initial.classifiers()]
    for number in (2, 3):
        origin = (trained[number - 2]) if start == "previous" else untrained[number - 1]
        began = watched.began[f"step{number}"]
        assert all(torch.equal(began[key], origin[key]) for key in origin)
    for number in (1, 2, 3):
        saved = torch.load(tmp_path / f"step{number}.pt", weights_only=True)["network"]
        assert all(torch.equal(value, trained[number - 1][key]) for key, value in saved.items())
        began, after = watched.began[f"step{number}"], trained[number - 1]
        changed = {key for key in began if not torch.equal(began[key], after[key])}
        assert "head.0.weight" in changed and "backbone.features.28.weight" in changed
        assert not any(
            key.startswith(("backbone.features.0", "backbone.features.2.")) for key in changed
        )


@pytest.mark.parametrize("start", ["initial", "previous"])
@pytest.mark.parametrize("kill", [("step1", 2), ("step2", 0), ("step2", 2), ("step3", 1)])
def test_a_killed_training_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: tuple[str, int], start: str
) -> None:
    (tmp_path / "whole").mkdir()
    _, whole, _ = fitted(tmp_path / "whole", start=start)
    monkeypatch.setattr("benchmark.attention.CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, kill, start=start)
    _, resumed, watched = fitted(tmp_path, seed=99, start=start)
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.state_dict().items())
    place = int(kill[0][-1])
    left = {f"step{k}": 0 if k < place else 3 - kill[1] * (k == place) for k in (1, 2, 3)}
    assert watched.taken == left


def test_one_step_erases_nothing(tmp_path: Path) -> None:
    _, _, watched = fitted(tmp_path, steps=1)
    assert watched.taken == {"step1": 3}
    assert watched.reads == 0


def test_the_first_steps_of_a_longer_training_are_the_shorter_one(tmp_path: Path) -> None:
    """Without drop-out nothing but the step's own name and images decides."""
    networks = []
    for steps in (2, 3):
        folder = tmp_path / str(steps)
        folder.mkdir()
        networks.append(fitted(folder, steps=steps, dropout=0.0)[1])
    few, many = (network.state_dict() for network in networks)
    assert all(torch.equal(value, many[key]) for key, value in few.items())
