"""EADER: its losses against NumPy, whose weights each phase moves, and the turns they take."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attention import Trainer, attention_maps, build_optimiser
from benchmark.backbones import build_backbone
from benchmark.batches import whole_images
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Head, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress
from benchmark.registry import build_method
from methods.eader import EADER, EaderNetwork, constant

CLASSES = 3
LABELS = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
PAIRS = [(0, 0), (0, 2), (2, 1)]
LOCALISER, ADVERSARY = 0, 200


class Smooth(nn.Sequential):
    """Positive features (B, 4, H / 4, W / 4) without a kink, optionally with a batch norm."""

    channels = 4
    output_stride = 4

    def __init__(self, norm: bool = False) -> None:
        middle = [nn.BatchNorm2d(4)] if norm else []
        super().__init__(nn.Conv2d(3, 4, 4, stride=4), *middle, nn.Softplus())


def build(norm: bool = False, **options: Any) -> tuple[EADER, EaderNetwork]:
    torch.manual_seed(0)
    method = build_method("eader", options)
    network = method.network(Smooth(norm), CLASSES, Head(classifier_bias=-0.5))
    assert isinstance(method, EADER)
    assert isinstance(network, EaderNetwork)
    nn.init.normal_(network.head[0].weight)
    return method, network.double()


def batch(step: int = LOCALISER, labels: Tensor = LABELS) -> Batch:
    generator = torch.manual_seed(1)
    images = torch.randn(len(labels), 3, 8, 12, dtype=torch.float64, generator=generator)
    return Batch(images, labels.double(), step=step)


def sigmoid(value: Any) -> Any:
    return 1 / (1 + np.exp(-value))


def cross_entropy(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    probability = sigmoid(logits)
    return float(-np.where(targets == 1, np.log(probability), np.log(1 - probability)).mean())


def reference_map(
    features: NDArray[np.float64], weights: NDArray[np.float64], clipped: bool
) -> NDArray[np.float64]:
    found = np.zeros(features.shape[1:])
    for weight, plane in zip(weights, features, strict=True):
        found += weight * plane
    return np.maximum(found, 0) if clipped else found


def reference_spread(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = plane.min(), plane.max()
    return (plane - low) / (high - low) if high > low else np.zeros_like(plane)


def reference(network: EaderNetwork, data: Batch, clipped: bool = True) -> dict[str, Any]:
    """Return logits, and of every pair the attention's area and the adversary's logits."""
    with torch.no_grad():
        features = network.backbone(data.images).numpy()
    weights, bias = (p.detach().numpy() for p in network.head.parameters())
    weights = weights[:, :, 0, 0]
    areas, found = [], []
    for image, label in PAIRS:
        plane = reference_map(features[image], weights[label], clipped)
        plane = cv2.resize(plane, (12, 8), interpolation=cv2.INTER_LINEAR)
        attention = reference_spread(plane)
        areas.append(attention.mean())
        erased = data.images[image].numpy() * (1 - sigmoid(100 * (attention - 0.5)))
        with torch.no_grad():
            seen = network.opponent.backbone(torch.from_numpy(erased)[None])
            found.append(network.opponent.head(seen.mean(dim=(2, 3), keepdim=True)).flatten())
    assert sum(0 < area < 1 for area in areas) >= 2
    logits = features.mean(axis=(2, 3)) @ weights.T + bias
    return {"logits": logits, "areas": areas, "found": torch.stack(found).numpy()}


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.named_parameters()}


def changed(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {n for n, value in module.named_parameters() if not torch.equal(before[n], value)}


def reached(loss: Tensor, network: nn.Module) -> set[str]:
    """Return the top-level parts of the network that the loss's gradient reaches."""
    network.zero_grad(set_to_none=True)
    loss.backward(retain_graph=True)
    return {
        name.split(".")[0]
        for name, parameter in network.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
    }


class TestLosses:
    @pytest.mark.parametrize("attention", ["grad_cam", "cam"])
    @pytest.mark.parametrize(("normalisation", "count"), [("pairs", 3), ("classes", 9)])
    def test_localiser(self, attention: str, normalisation: str, count: int) -> None:
        """Over 3 pairs (released code), or 3 images times 3 classes (slides)."""
        options = {"alpha": 0.3, "beta": 0.2, "normalisation": normalisation}
        method, network = build(attention=attention, **options)
        data = batch()
        expected = reference(network, data, clipped=attention == "grad_cam")
        probability = [sigmoid(expected["found"][k, label]) for k, (_, label) in enumerate(PAIRS)]
        losses = {name: loss.item() for name, loss in method.losses(network, data).items()}
        assert losses == pytest.approx(
            {
                "localisation": cross_entropy(expected["logits"], LABELS.numpy()),
                "area": 0.2 * sum(expected["areas"]) / count,
                "mining": 0.3 * sum(probability) / count,
            },
            rel=1e-9,
        )

    def test_adversary_against_all_labels_of_the_image_the_erased_one_too(self) -> None:
        method, network = build()
        data = batch(ADVERSARY)
        targets = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 0]])
        expected = cross_entropy(reference(network, data)["found"], targets)
        losses = {name: loss.item() for name, loss in method.losses(network, data).items()}
        assert losses == pytest.approx({"adversary": expected}, rel=1e-9)

    @pytest.mark.parametrize("attention", ["grad_cam", "cam"])
    def test_gradients_of_the_localiser(self, attention: str) -> None:
        """Of a linear head, Grad-CAM's weights do not depend on the backbone: it is exact there."""
        method, network = build(attention=attention, alpha=1.0, beta=1.0, omega=10.0)
        data = batch()
        inputs = [network.backbone[0].weight]
        if attention == "cam":
            inputs.append(network.head[0].weight)

        def total(*_: Tensor) -> Tensor:
            return torch.stack(list(method.losses(network, data).values())).sum()

        assert torch.autograd.gradcheck(total, inputs, fast_mode=True)

    def test_without_alpha_the_adversary_is_not_asked(self) -> None:
        method, network = build(alpha=0.0)
        assert network.adversary is not None
        network.adversary.register_forward_pre_hook(lambda *_: pytest.fail("asked"))
        assert set(method.losses(network, batch())) == {"localisation", "area"}

    @pytest.mark.parametrize("step", [LOCALISER, ADVERSARY])
    @pytest.mark.parametrize("normalisation", ["pairs", "classes"])
    def test_no_label_at_all_leaves_live_zeros(self, step: int, normalisation: str) -> None:
        method, network = build(normalisation=normalisation)
        losses = method.losses(network, batch(step, torch.zeros(1, CLASSES)))
        extra = [value for name, value in losses.items() if name != "localisation"]
        assert [value.item() for value in extra] == [0.0] * len(extra)
        torch.stack(list(losses.values())).sum().backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients and all(bool(torch.isfinite(g).all()) for g in gradients)

    def test_a_constant_map_erases_nothing(self) -> None:
        method, network = build()
        nn.init.zeros_(network.backbone[0].weight)
        data = batch()
        losses = method.losses(network, data)
        assert losses["area"].item() == 0
        assert network.adversary is not None
        with torch.no_grad():
            logits = network.adversary(data.images).mean(dim=(2, 3)).numpy()
        probability = [sigmoid(logits[pair]) for pair in PAIRS]
        assert losses["mining"].item() == pytest.approx(0.05 * np.mean(probability), rel=1e-9)
        torch.stack(list(losses.values())).sum().backward()
        assert bool(torch.isfinite(network.backbone[0].weight.grad).all())


class TestGradientFlow:
    def test_mining_reaches_the_localiser_through_the_adversary(self) -> None:
        method, network = build()
        losses = method.losses(network, batch())
        assert reached(losses["mining"], network) == {"backbone"}
        assert reached(losses["area"], network) == {"backbone"}
        assert reached(losses["localisation"], network) == {"backbone", "head"}

    def test_with_cam_the_maps_reach_the_head_too(self) -> None:
        method, network = build(attention="cam")
        losses = method.losses(network, batch())
        assert reached(losses["mining"], network) == {"backbone", "head"}
        assert reached(losses["area"], network) == {"backbone", "head"}

    def test_the_adversarys_loss_reaches_the_adversary_alone(self) -> None:
        for attention in ("grad_cam", "cam"):
            method, network = build(attention=attention)
            losses = method.losses(network, batch(ADVERSARY))
            assert reached(losses["adversary"], network) == {"adversary"}

    def test_each_phase_moves_its_own_network_even_with_momentum_and_decay(self) -> None:
        method, network = build()
        assert network.adversary is not None
        recipe = TrainingRecipe(learning_rate=0.1, weight_decay=0.1)
        optimiser = build_optimiser(network, recipe)
        own = {n for n, _ in network.named_parameters() if not n.startswith("adversary.")}
        other = {n for n, _ in network.named_parameters()} - own
        for step, expected in ((0, own), (199, own), (200, other), (399, other), (400, own)):
            before = state(network)
            loss = torch.stack(list(method.losses(network, batch(step)).values())).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            assert changed(before, network) == expected

    def test_what_is_frozen_stays_frozen_and_the_rest_learns(self) -> None:
        torch.manual_seed(0)
        method = build_method("eader", {})
        backbone = build_backbone("vgg16", width=0.125, frozen_blocks=2)
        network = method.network(backbone, CLASSES, Head())
        before = [parameter.requires_grad for parameter in network.parameters()]
        images = torch.randn(1, 3, 32, 48)
        for step in (LOCALISER, ADVERSARY):
            method.losses(network, Batch(images, torch.ones(1, CLASSES), step=step))
            assert [parameter.requires_grad for parameter in network.parameters()] == before
        assert before.count(False) == 2 * 8

    def test_constant_restores_after_an_error(self) -> None:
        layer = nn.Linear(2, 2)
        layer.bias.requires_grad_(False)

        def fail() -> None:
            with constant(layer):
                assert not layer.weight.requires_grad
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert (layer.weight.requires_grad, layer.bias.requires_grad) == (True, False)

    def test_batch_norms_of_both_networks_see_both_phases(self) -> None:
        for step in (LOCALISER, ADVERSARY):
            method, network = build(norm=True)
            before = copy.deepcopy(dict(network.named_buffers()))
            method.losses(network, batch(step))
            means = {n: b for n, b in network.named_buffers() if n.endswith("running_mean")}
            assert len(means) == 2
            assert not any(torch.equal(before[name], mean) for name, mean in means.items())


class TestSchedule:
    def test_two_hundred_steps_each_the_localiser_first(self) -> None:
        method = EADER()
        turns = [method.trains_localiser(step) for step in range(800)]
        assert turns == ([True] * 200 + [False] * 200) * 2

    def test_other_lengths(self) -> None:
        method = EADER(EADER.Options(localiser_steps=1, adversary_steps=2))
        assert [method.trains_localiser(step) for step in range(4)] == [True, False, False, True]
        method = EADER(EADER.Options(localiser_steps=7, adversary_steps=0))
        assert all(method.trains_localiser(step) for step in range(50))

    def test_in_a_shorter_schedule_the_turns_are_shorter_in_proportion(self) -> None:
        def turns(iterations: int, **options: int) -> tuple[int, int]:
            made = EADER(EADER.Options(**options)).in_schedule_of(iterations).options
            return made.localiser_steps, made.adversary_steps

        assert EADER().training().iterations == 6620
        assert turns(6620) == (200, 200)
        assert turns(400) == (12, 12)  # 200 * 400 / 6620 = 12.08
        assert turns(400, localiser_steps=400, adversary_steps=100) == (24, 6)
        assert turns(10) == (1, 1)
        assert turns(400, adversary_steps=0)[1] == 0
        assert turns(20_000) == (200, 200)

    def test_most_of_the_localisers_turns_follow_one_of_the_adversarys_in_any_schedule(
        self,
    ) -> None:
        for iterations in (220, 400, 6620):
            method = EADER().in_schedule_of(iterations)
            turns = [method.trains_localiser(step) for step in range(iterations)]
            first = turns.index(False)
            assert sum(turns[first:]) > 0.8 * sum(turns)

    def test_the_training_takes_the_turns_of_its_own_schedule(self) -> None:
        steps: list[bool] = []

        class Recorder:
            recipe = TrainingRecipe(iterations=331)

            def run(self, network: nn.Module, losses: Any) -> None:
                method = losses.__self__
                steps.extend(method.trains_localiser(step) for step in range(40))

        method, network = build()
        method.fit(network, Recorder())  # type: ignore[arg-type]
        assert steps == ([True] * 10 + [False] * 10) * 2

    @pytest.mark.parametrize(
        ("option", "value"),
        [("localiser_steps", 0), ("adversary_steps", -1), ("omega", 0), ("beta", -1.0)],
    )
    def test_senseless_values_are_refused(self, option: str, value: float) -> None:
        with pytest.raises(BenchmarkError, match=f"option '{option}'"):
            build_method("eader", {option: value})

    def test_ten_epochs_of_trainaug(self) -> None:
        recipe = EADER().training()
        assert recipe.iterations == 6_620
        assert 10 * 10_582 <= recipe.iterations * recipe.batch_size < 10 * (10_582 + 16)


class TestNetworks:
    def test_the_adversary_starts_as_a_copy_with_a_head_of_its_own(self) -> None:
        _, network = build()
        assert network.adversary is not None
        one, two = network.backbone[0].weight, network.adversary.backbone[0].weight
        assert torch.equal(one, two) and one is not two
        assert not torch.equal(network.head[0].weight, network.adversary.head[0].weight)
        assert network.adversary.head[0].bias.tolist() == [-0.5] * CLASSES
        names = {name for name, _ in network.named_parameters()}
        assert {"backbone.0.weight", "adversary.backbone.0.weight"} < names

    def test_shared_weights_are_one_network_that_learns_at_every_step(self) -> None:
        method, network = build(shared_weights=True)
        assert {name.split(".")[0] for name in network.state_dict()} == {"backbone", "head"}
        for step in (LOCALISER, ADVERSARY):
            data = batch(step)
            losses = method.losses(network, data)
            found = reference(network, data)["found"]
            mean = np.mean([sigmoid(found[k, label]) for k, (_, label) in enumerate(PAIRS)])
            assert losses["mining"].item() == pytest.approx(0.05 * mean, rel=1e-9)
            assert reached(losses["mining"], network) == {"backbone", "head"}

    def test_class_scores_are_the_localisers(self) -> None:
        method, network = build()
        data = batch()
        expected = reference(network, data)["logits"]
        scores = method.class_scores(network, data.images, None)
        np.testing.assert_allclose(scores.detach().numpy(), expected, rtol=1e-9)


class TestAttention:
    @pytest.mark.parametrize("attention", ["grad_cam", "cam"])
    def test_maps_by_hand(self, attention: str) -> None:
        method, network = build(attention=attention)
        data = batch()
        with torch.no_grad():
            maps = method.attention(network, data).numpy()
            features = network.backbone(data.images).numpy()
        expected = np.zeros((3, CLASSES, 2, 3))
        weights = network.head[0].weight[:, :, 0, 0].detach().numpy()
        for image, label in PAIRS:
            plane = reference_map(features[image], weights[label], attention == "grad_cam")
            expected[image, label] = reference_spread(plane)
        np.testing.assert_allclose(maps, expected, atol=1e-9)
        assert maps.max() == 1

    def test_a_constant_map_is_zero(self) -> None:
        method, network = build()
        nn.init.zeros_(network.backbone[0].weight)
        assert not method.attention(network, batch()).any()


RECIPE = TrainingRecipe(
    iterations=6, batch_size=3, learning_rate=0.01, side=(32, 40), crop=32, test_size=32
)


def pictures() -> LabelledImages:
    rng = np.random.default_rng(0)
    labels = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=bool)
    return LabelledImages(
        [rng.integers(0, 255, (40, 50, 3), dtype=np.uint8) for _ in labels], labels
    )


def prepared() -> tuple[EADER, nn.Module]:
    torch.manual_seed(0)
    turn = round(2 * 6620 / RECIPE.iterations)  # 2 steps in the schedule that is run here
    method = build_method("eader", {"localiser_steps": turn, "adversary_steps": turn})
    assert isinstance(method, EADER)
    assert method.in_schedule_of(RECIPE.iterations).options.localiser_steps == 2
    return method, method.network(build_backbone("vgg16", width=0.125), CLASSES, Head())


def trainer(scratch: Path) -> Trainer:
    scratch.mkdir(exist_ok=True)
    return Trainer(
        pictures(), RECIPE, seed=0, scratch=scratch, progress=SilentProgress(), label="test"
    )


@pytest.mark.parametrize("done", [1, 2, 3, 4])
def test_an_interruption_at_and_around_a_change_of_turns_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    method, whole = prepared()
    method.fit(whole, trainer(tmp_path / "whole"))
    monkeypatch.setattr("benchmark.attention.CHECKPOINT_SECONDS", -1.0)
    method, network = prepared()
    losses, calls = method.in_schedule_of(RECIPE.iterations).losses, []

    def interrupted(network: Any, batch: Batch) -> dict[str, Tensor]:
        if len(calls) == done:
            raise KeyboardInterrupt
        calls.append(batch.step)
        return losses(network, batch)

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "broken").run(network, interrupted)
    method, network = prepared()
    method.fit(network, trainer(tmp_path / "broken"))
    expected = whole.state_dict()
    assert all(torch.equal(expected[name], value) for name, value in network.state_dict().items())


def test_trained_networks_give_maps_of_present_classes(tmp_path: Path) -> None:
    method, network = prepared()
    before = state(network)
    method.fit(network, trainer(tmp_path))
    assert changed(before, network) == set(before)
    maps, background = attention_maps(method, network, pictures(), 48)
    assert background is None
    assert maps.shape == (5, CLASSES, 3, 3)
    assert not maps[~pictures().labels].any()
    assert maps.max() == 1


def test_inside_psa_maps_may_be_read_off_psas_views() -> None:
    """The same network, summed over PSA's scales and mirror images instead of its one view."""
    method = build_method("eader", {"views": "psa"})
    assert method.inference() == build_method("psa", {}).inference()
    assert build_method("eader", {}).inference().scales == (1.0,)
    torch.manual_seed(0)
    network = method.network(build_backbone("vgg16", width=0.0625), 3, Head(0.05))
    data = pictures()
    found, _ = attention_maps(method, network, data, 48)
    single = build_method("eader", {})
    summed: list[Tensor] = []
    for scale in (2.0, 1.5, 1.0, 0.5):
        view = whole_images(data, round(48 * scale))
        for flip in (False, True):
            images = view.images.flip(3) if flip else view.images
            seen = single.attention(network, Batch(images, view.labels))
            seen = seen.flip(3) if flip else seen
            size = (6, 6)  # of the largest view: 96 pixels at stride 16
            summed.append(nn.functional.interpolate(seen, size, mode="bilinear"))
    total = torch.stack(summed).sum(dim=0)
    highest = total.amax(dim=(2, 3), keepdim=True)
    expected = (total / torch.where(highest > 0, highest, 1.0)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
