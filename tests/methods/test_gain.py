"""GAIN: its losses and their gradients against references, and its variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.attention import Trainer, attention_maps
from benchmark.backbones import build_backbone
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Head, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress
from benchmark.registry import build_method
from methods.gain import GAIN, one_class_each
from methods.nn.grad_cam import Classifier

CLASSES = 3
LABELS = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
PAIRS = [(0, 0), (0, 2), (2, 1)]
SHARES = [1 / 2, 1 / 2, 1]  # of each pair in its image

Extremes = list[tuple[float, float]]


class Smooth(nn.Sequential):
    """Positive features (B, 4, H / 4, W / 4) without a kink."""

    channels = 4
    output_stride = 4

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 4, stride=4), nn.Softplus())


def build(**options: Any) -> tuple[GAIN, Classifier]:
    torch.manual_seed(0)
    method = build_method("gain", options)
    network = method.network(Smooth(), CLASSES, Head(0.01, init_gain=2.0, classifier_bias=-0.5))
    assert isinstance(method, GAIN)
    assert isinstance(network, Classifier)
    nn.init.normal_(network.head[-1].weight, mean=0.5)
    return method, network.double()


def batch(labels: Tensor = LABELS) -> Batch:
    generator = torch.manual_seed(1)
    images = torch.randn(len(labels), 3, 8, 12, dtype=torch.float64, generator=generator)
    return Batch(images, labels.double())


def sigmoid(value: Any) -> Any:
    return 1 / (1 + np.exp(-value))


def channel_weights(network: Classifier, features: Tensor, label: int) -> NDArray[np.float64]:
    """Return the spatial mean of the logit's Jacobian (D,) for one image's features (D, h, w)."""
    jacobian = torch.autograd.functional.jacobian(
        lambda f: network.head(f[None])[0, label].mean(), features
    )
    return jacobian.numpy().mean(axis=(1, 2))


def all_weights(network: Classifier, data: Batch) -> list[NDArray[np.float64]]:
    with torch.no_grad():
        features = network.backbone(data.images)
    return [channel_weights(network, features[image], label) for image, label in PAIRS]


def probabilities(
    network: Classifier,
    data: Batch,
    weights: list[NDArray[np.float64]],
    extremes: Extremes | None = None,
) -> tuple[list[float], Extremes]:
    """Return every pair's probability after erasing, with given or the maps' own extremes."""
    found, own = [], []
    with torch.no_grad():
        features = network.backbone(data.images).numpy()
    for index, (image, label) in enumerate(PAIRS):
        total = sum(w * plane for w, plane in zip(weights[index], features[image], strict=True))
        plane = cv2.resize(np.maximum(total, 0), (12, 8), interpolation=cv2.INTER_LINEAR)
        low, high = extremes[index] if extremes else (plane.min(), plane.max())
        own.append((low, high))
        attention = (plane - low) / (high - low) if high > low else np.zeros_like(plane)
        mask = sigmoid(8 * (attention - 0.5))
        image_left = data.images[image].numpy() * (1 - mask)
        with torch.no_grad():
            logits = network(torch.from_numpy(image_left)[None]).mean(dim=(2, 3))
        found.append(float(sigmoid(logits[0, label].item())))
    return found, own


def mining(found: list[float], images: int = 3) -> float:
    return sum(share * value for share, value in zip(SHARES, found, strict=True)) / images


@pytest.mark.parametrize("head_convs", [0, 2])
@pytest.mark.parametrize("second_order", [False, True])
def test_losses_by_numpy(head_convs: int, second_order: bool) -> None:
    method, network = build(head_convs=head_convs, second_order=second_order, alpha=0.7)
    data = batch()
    with torch.no_grad():
        probability = sigmoid(network(data.images).numpy().mean(axis=(2, 3)))
    entropy = -np.where(LABELS.numpy() == 1, np.log(probability), np.log(1 - probability)).mean()
    found, extremes = probabilities(network, data, all_weights(network, data))
    assert sum(high > low for low, high in extremes) >= 2
    losses = {name: loss.item() for name, loss in method.losses(network, data).items()}
    expected = {"classification": entropy, "mining": 0.7 * mining(found)}
    assert losses == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("second_order", [False, True])
def test_gradients_of_mining_by_finite_differences(second_order: bool) -> None:
    """With the extremes held, and the channel weights held too or followed."""
    method, network = build(second_order=second_order)
    data = batch()
    held = all_weights(network, data)
    _, extremes = probabilities(network, data, held)
    parameters = [network.backbone[0].weight, network.head[0].weight]
    gradients = torch.autograd.grad(method.losses(network, data)["mining"], parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        for place in gradient.abs().flatten().topk(2).indices.tolist():
            sides = []
            for step in (1e-5, -2e-5):
                with torch.no_grad():
                    parameter.view(-1)[place] += step
                weights = all_weights(network, data) if second_order else held
                sides.append(mining(probabilities(network, data, weights, extremes)[0]))
            with torch.no_grad():
                parameter.view(-1)[place] += 1e-5
            slope = (sides[0] - sides[1]) / 2e-5
            assert gradient.view(-1)[place].item() == pytest.approx(slope, rel=1e-4)


def test_second_order_terms_change_the_gradient_but_not_the_loss() -> None:
    gradients, values = [], []
    for second_order in (False, True):
        method, network = build(second_order=second_order)
        loss = method.losses(network, batch())["mining"]
        values.append(loss.item())
        gradients.append(torch.autograd.grad(loss, network.head[0].weight)[0])
    assert values[0] == values[1]
    assert not torch.allclose(*gradients, rtol=1e-2, atol=0)


def test_one_class_is_one_that_the_image_holds_and_each_is_drawn() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([one_class_each(LABELS.double()) for _ in range(60)])
    assert bool((drawn.sum(dim=2) == LABELS.any(dim=1)).all())
    assert not drawn[:, LABELS == 0].any()
    counts = drawn.sum(dim=0)
    assert counts[0, 0] > 15 and counts[0, 2] > 15 and counts[2, 1] == 60


def test_one_class_an_image_is_mined_where_the_option_says_so() -> None:
    method, network = build(classes="one")
    data = batch()
    found, _ = probabilities(network, data, all_weights(network, data))
    possible = [(found[0] + found[2]) / 3, (found[1] + found[2]) / 3]
    assert possible[0] != pytest.approx(possible[1], rel=1e-6)
    torch.manual_seed(0)
    values = {round(method.losses(network, data)["mining"].item(), 9) for _ in range(12)}
    assert values == {round(value, 9) for value in possible}


def test_both_streams_are_one_network() -> None:
    method, network = build()
    losses = method.losses(network, batch())
    for name in ("classification", "mining"):
        network.zero_grad(set_to_none=True)
        losses[name].backward(retain_graph=True)
        gradients = {key: value.grad for key, value in network.named_parameters()}
        assert all(grad is not None and grad.any() for grad in gradients.values())
    assert {key.split(".")[0] for key in network.state_dict()} == {"backbone", "head"}


def test_without_alpha_nothing_is_mined() -> None:
    method, network = build(alpha=0.0)
    assert set(method.losses(network, batch())) == {"classification"}


@pytest.mark.parametrize("classes", ["all", "one"])
def test_no_label_at_all_leaves_a_live_zero(classes: str) -> None:
    method, network = build(classes=classes)
    losses = method.losses(network, batch(torch.zeros(1, CLASSES)))
    assert losses["mining"].item() == 0
    torch.stack(list(losses.values())).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def test_a_constant_map_leaves_the_faintest_mask_and_finite_gradients() -> None:
    method, network = build()
    nn.init.zeros_(network.backbone[0].weight)
    data = batch()
    losses = method.losses(network, data)
    with torch.no_grad():
        logits = network(data.images * (1 - sigmoid(-4.0))).mean(dim=(2, 3)).numpy()
    expected = mining([float(sigmoid(logits[pair])) for pair in PAIRS])
    assert losses["mining"].item() == pytest.approx(expected, rel=1e-9)
    torch.stack(list(losses.values())).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def test_maps_by_numpy() -> None:
    method, network = build()
    data = batch()
    with torch.no_grad():
        maps = method.attention(network, data).numpy()
        features = network.backbone(data.images).numpy()
    expected = np.zeros((3, CLASSES, 2, 3))
    for weights, (image, label) in zip(all_weights(network, data), PAIRS, strict=True):
        plane = np.maximum(np.tensordot(weights, features[image], axes=1), 0)
        if plane.max() > plane.min():
            expected[image, label] = (plane - plane.min()) / (plane.max() - plane.min())
    np.testing.assert_allclose(maps, expected, atol=1e-9)
    assert maps.max() == 1


@pytest.mark.parametrize(("convs", "kinds"), [(0, [1]), (1, [3, 1]), (2, [3, 3, 1])])
def test_heads(convs: int, kinds: list[int]) -> None:
    _, network = build(head_convs=convs)
    layers = [layer for layer in network.head if isinstance(layer, nn.Conv2d)]
    assert [layer.kernel_size[0] for layer in layers] == kinds
    assert layers[-1].bias is not None and layers[-1].bias.tolist() == [-0.5] * CLASSES


def test_35_epochs_of_single_images() -> None:
    recipe = GAIN().training()
    assert (recipe.iterations, recipe.batch_size) == (370_370, 1)
    assert recipe.learning_rate == 1e-5


def test_senseless_values_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="option 'omega'"):
        build_method("gain", {"omega": 0})


def test_a_resumed_training_draws_the_classes_that_it_would_have_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    data = LabelledImages(
        [rng.integers(0, 255, (40, 50, 3), dtype=np.uint8) for _ in range(4)],
        np.array([[1, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=bool),
    )
    recipe = TrainingRecipe(
        iterations=4, batch_size=2, learning_rate=0.01, side=(32, 40), crop=32, test_size=32
    )

    def prepared(scratch: Path) -> tuple[Trainer, GAIN, nn.Module]:
        scratch.mkdir(exist_ok=True)
        torch.manual_seed(0)
        method = build_method("gain", {"classes": "one"})
        assert isinstance(method, GAIN)
        network = method.network(build_backbone("vgg16", width=0.125), CLASSES, Head(0.01))
        progress = SilentProgress()
        loop = Trainer(data, recipe, seed=0, scratch=scratch, progress=progress, label="test")
        return loop, method, network

    loop, method, whole = prepared(tmp_path / "whole")
    torch.manual_seed(1)
    method.fit(whole, loop)
    monkeypatch.setattr("benchmark.attention.CHECKPOINT_SECONDS", -1.0)
    loop, method, network = prepared(tmp_path / "broken")
    calls: list[int] = []

    def interrupted(network: Any, batch: Batch) -> dict[str, Tensor]:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(batch.step)
        return method.losses(network, batch)

    torch.manual_seed(1)
    with pytest.raises(KeyboardInterrupt):
        loop.run(network, interrupted)
    loop, method, network = prepared(tmp_path / "broken")
    torch.manual_seed(99)
    method.fit(network, loop)
    expected = whole.state_dict()
    assert all(torch.equal(expected[name], value) for name, value in network.state_dict().items())
    maps, _ = attention_maps(method, network, data, 32)
    assert maps.shape == (4, CLASSES, 2, 2)
    assert not maps[~data.labels].any()
