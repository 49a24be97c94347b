"""SGAN: its network and variants, losses, seeds, maps, and training in two phases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.attention import Trainer, learning_rate, parameter_groups
from benchmark.backbones import build_backbone
from benchmark.data.augment import View
from benchmark.errors import BenchmarkError
from benchmark.feeding import LossReader
from benchmark.method import Batch, Head, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress
from methods.sgan import (
    SGAN,
    SelfAttention,
    SganNetwork,
    context_map,
    initial_seeds,
    on_cells,
    resized_seeds,
    seed_cells,
    seed_loss,
)

CLASSES = 4
VARIANTS = ("SGAN", "SGAN-SEED", "SGAN-SAL-SEED", "Baseline")


def build(head: Head | None = None, **options: Any) -> tuple[SGAN, SganNetwork]:
    torch.manual_seed(0)
    method = SGAN(SGAN.Options(**options))
    backbone = build_backbone("vgg16", width=0.125, output_stride=8)
    network = method.network(backbone, CLASSES, head or Head(0.125))
    assert isinstance(network, SganNetwork)
    return method, network


def batch(size: int = 3, shape: tuple[int, int] = (48, 48)) -> Batch:
    generator = torch.Generator().manual_seed(1)
    labels = torch.zeros(size, CLASSES)
    labels[0, [0, 2]] = 1
    labels[1:, 1] = 1
    seeds = torch.randint(-1, CLASSES, (size, *shape), generator=generator)
    saliency = torch.rand(size, *shape, generator=generator)
    return Batch(torch.randn(size, 3, *shape, generator=generator), labels, saliency, seeds)


def reached(loss: Tensor, network: nn.Module) -> set[str]:
    """Return the parameters that the loss's gradient reaches, the backbone's as one."""
    network.zero_grad(set_to_none=True)
    loss.backward()
    return {
        "backbone" if name.startswith("backbone.") else name
        for name, parameter in network.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
    }


CLASSIFICATION = {f"classification.{place}" for place in ("0.weight", "0.bias", "3.weight")}
SEGMENTATION = {"segmentation.weight", "segmentation.bias"}
SIMILARITY = {"attention.key.weight", "attention.query.weight"}


# --- the network --------------------------------------------------------------------------------


def test_at_the_start_the_attention_changes_nothing() -> None:
    for variant in ("SGAN", "SGAN-SEED", "SGAN-SAL-SEED"):
        _, network = build(variant=variant)
        features = torch.randn(2, 64, 5, 6)
        assert network.attention is not None
        assert torch.equal(network.attention(features, torch.rand(2, 40, 48)), features)


def slow_attention(module: SelfAttention, features: np.ndarray, salient: np.ndarray) -> np.ndarray:
    """P Eqs. 1 to 4 with the released normalisation, cell by cell, for one image (C, h, w)."""
    weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
    cells = features.reshape(features.shape[0], -1).T
    sides = salient.reshape(-1)
    keys, queries = (
        [weights[f"{name}.weight"][:, :, 0, 0] @ cell + weights[f"{name}.bias"] for cell in cells]
        for name in ("key", "query")
    )
    enhanced = np.zeros_like(cells)
    for i, key in enumerate(keys):
        if sides[i]:
            row = [
                float(key @ queries[j]) / np.sqrt(len(key)) if sides[j] else 0.0
                for j in range(len(cells))
            ]
            lifted = [value - min(row) if sides[j] else 0.0 for j, value in enumerate(row)]
            context = [value / (sum(lifted) + 1e-5) for value in lifted]
        else:
            context = [0.0 if side else 1 / (~sides).sum() for side in sides]
        total = sum(weight * cell for weight, cell in zip(context, cells, strict=True))
        enhanced[i] = weights["gamma"] * total + cells[i]
    return enhanced.T.reshape(features.shape)


def test_enhanced_features_equal_the_loops() -> None:
    options = SGAN.Options()
    torch.manual_seed(0)
    module = SelfAttention(6, 8, options).double()
    nn.init.constant_(module.gamma, 0.7)
    features = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    saliency = torch.rand(2, 4, 5, dtype=torch.float64)
    saliency[1] = 1
    with torch.no_grad():
        enhanced = module(features, saliency).numpy()
    for image in range(2):
        salient = saliency[image].numpy() > 0.06
        salient[[0, -1]] = False
        salient[:, [0, -1]] = False
        expected = slow_attention(module, features[image].numpy(), salient)
        np.testing.assert_allclose(enhanced[image], expected, rtol=1e-9)


@pytest.mark.parametrize("normalisation", ["row_sum", "shifted", "softmax"])
def test_the_attention_has_the_right_gradient(normalisation: Any) -> None:
    torch.manual_seed(2)
    module = SelfAttention(3, 4, SGAN.Options(normalisation=normalisation, ring=False)).double()
    nn.init.constant_(module.gamma, 0.7)
    # Positive keys and queries keep away from Eq. 3's pole, where a row's sum is 0.
    for parameter in (*module.key.parameters(), *module.query.parameters()):
        nn.init.uniform_(parameter, 0.1, 1.0)
    features = torch.rand(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    saliency = torch.tensor([[[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: module(x, saliency), features)
    parameters = dict(module.named_parameters())
    names = tuple(parameters)

    def of_parameters(*values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        enhanced: Tensor = torch.func.functional_call(module, given, (features.detach(), saliency))
        return enhanced

    assert torch.autograd.gradcheck(of_parameters, tuple(parameters.values()))


@pytest.mark.parametrize("normalisation", ["row_sum", "shifted", "softmax"])
def test_similarities_are_scaled_by_the_root_of_the_key_width(normalisation: Any) -> None:
    module = SelfAttention(2, 16, SGAN.Options(normalisation=normalisation, ring=False))
    for convolution in (module.key, module.query):
        nn.init.zeros_(convolution.weight)
        nn.init.ones_(convolution.bias)
        with torch.no_grad():
            convolution.weight[:, 0] = 1
    features = torch.tensor([[[[0.0, 0.5]], [[0.0, 0.0]]]])  # keys 1 and 1.5 in 16 channels
    with torch.no_grad():
        row = module.context(features, torch.ones(1, 1, 2))[0, 0].tolist()
    # The first cell's similarities are 16 and 24; over sqrt(16) they are 4 and 6.
    expected = {"row_sum": [0.4, 0.6], "shifted": [0, 1], "softmax": [1 / (1 + np.e**2), 0]}
    expected["softmax"][1] = 1 - expected["softmax"][0]
    assert row == pytest.approx(expected[normalisation], abs=1e-5)


def test_all_positions_attend_without_saliency() -> None:
    """SGAN-SAL-SEED is SGAN where everything is salient, the ring included."""
    _, free = build(variant="SGAN-SAL-SEED")
    _, guided = build(variant="SGAN-SEED", ring=False)
    for network in (free, guided):
        assert network.attention is not None
        nn.init.constant_(network.attention.gamma, 0.5)
    images, half = batch().images, torch.zeros(3, 48, 48)
    half[:, :24] = 1
    with torch.no_grad():
        unguided = free.eval()(images, None)[0]
        torch.testing.assert_close(unguided, guided.eval()(images, torch.ones(3, 48, 48))[0])
        assert not torch.allclose(unguided, guided(images, half)[0], rtol=1e-3)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_all_or_nothing_is_salient_maps_and_gradients_are_finite(value: float) -> None:
    method, network = build()
    assert network.attention is not None
    nn.init.constant_(network.attention.gamma, 0.5)
    data = replace(batch(), saliency=torch.full((3, 48, 48), value))
    torch.stack(list(method.losses(network, data).values())).sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()
    with torch.no_grad():
        assert torch.isfinite(method.attention(network.eval(), data)).all()


def test_parts_of_the_variants() -> None:
    parts = {}
    for variant in VARIANTS:
        method, network = build(variant=variant)
        has = (network.attention is not None, network.segmentation is not None)
        parts[variant] = (*has, method.needs_saliency)
    assert parts == {
        "SGAN": (True, True, True),
        "SGAN-SEED": (True, False, True),
        "SGAN-SAL-SEED": (True, False, False),
        "Baseline": (False, False, False),
    }
    _, without = build(seed_weight=0.0)
    assert without.segmentation is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_missing_saliency_is_told_where_it_is_needed(variant: str) -> None:
    method, network = build(variant=variant)
    data = replace(batch(), saliency=None)
    if method.needs_saliency:
        with pytest.raises(BenchmarkError, match=f"^{variant} needs saliency maps: give"):
            method.attention(network, data)
    else:
        assert method.attention(network, data).shape == (3, CLASSES, 6, 6)


def test_the_baseline_is_its_classifier_on_the_backbone() -> None:
    _, network = build(variant="Baseline")
    network.eval()
    images = batch().images
    with torch.no_grad():
        found, _ = network(images, None)
        convolution, _, _, classifier = network.classification
        hidden = convolution(network.backbone(images)).clamp(min=0)
        weights = classifier.weight[:, :, 0, 0]
        expected = torch.einsum("cd,bdhw->bchw", weights, hidden)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_drop_out_takes_whole_channels() -> None:
    _, network = build(variant="Baseline")
    seen: list[Tensor] = []
    network.classification[3].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(batch().images, None)
    zero = (seen[0] == 0).flatten(2).float().mean(dim=2)
    assert 0.3 < float((zero == 1).float().mean()) < 0.8
    network.eval()(batch().images, None)
    kept = zero < 1
    torch.testing.assert_close(seen[0][kept], 2 * seen[1][kept])


def test_the_classifier_has_a_bias_only_where_the_profile_starts_one() -> None:
    _, network = build()
    assert network.classification[-1].bias is None
    _, network = build(Head(0.125, classifier_bias=-2.5))
    assert network.classification[-1].bias.tolist() == [-2.5] * CLASSES


def test_widths_follow_the_profile() -> None:
    _, network = build(Head(0.25))
    assert network.attention is not None
    assert network.attention.key.out_channels == network.attention.query.out_channels == 64
    assert network.classification[0].out_channels == 256


def test_full_width_parameter_count() -> None:
    """VGG-16, 256 keys and queries, γ, 3×3 to 1,024, 1×1 to 20, and the segmentation's 1×1."""
    backbone = build_backbone("vgg16", **SGAN.backbone_options)
    network = SGAN().network(backbone, 20, Head())
    attention = 2 * (512 * 256 + 256) + 1
    branches = (512 * 1024 * 9 + 1024) + 1024 * 20 + (512 * 20 + 20)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 14_714_688 + attention + branches


def test_half_precision_gives_finite_losses_and_gradients() -> None:
    method, network = build()
    with torch.autocast("cpu", torch.bfloat16):
        loss = torch.stack(list(method.losses(network, batch()).values())).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


def test_similarities_are_those_of_float32_where_the_layers_compute_in_bfloat16() -> None:
    """With signs that cancel in a row's sum bfloat16 would be off by tenths (``row_sum``)."""
    torch.manual_seed(0)
    _, network = build(normalisation="row_sum", variant="SGAN-SAL-SEED")
    assert network.attention is not None
    features = torch.randn(1, network.attention.key.in_channels, 5, 5)
    expected = network.attention.context(features, None)
    with torch.autocast("cpu", torch.bfloat16):
        found = network.attention.context(features, None)
    torch.testing.assert_close(found, expected)


# --- losses -------------------------------------------------------------------------------------


def slow_seed_loss(scores: np.ndarray, seeds: np.ndarray) -> tuple[float, int]:
    """Return the sum of -log Φ over the labelled cells of one image, and their number."""
    total, number = 0.0, 0
    for y, x in np.ndindex(*seeds.shape):
        if seeds[y, x] >= 0:
            exponentials = [np.exp(score) for score in scores[:, y, x]]
            total -= np.log(exponentials[seeds[y, x]] / sum(exponentials))
            number += 1
    return total, number


def test_seed_loss_is_eq_5_over_the_batch_or_image_by_image() -> None:
    scores = torch.randn(3, CLASSES, 4, 5, dtype=torch.float64)
    seeds = torch.randint(-1, CLASSES, (3, 4, 5))
    seeds[1, 1:] = -1
    seeds[2] = -1
    parts = [slow_seed_loss(scores[i].numpy(), seeds[i].numpy()) for i in range(3)]
    whole = sum(total for total, _ in parts) / sum(number for _, number in parts)
    assert seed_loss(scores, seeds, "batch").item() == pytest.approx(whole, rel=1e-12)
    each = sum(total / number for total, number in parts[:2]) / 3
    assert seed_loss(scores, seeds, "image").item() == pytest.approx(each, rel=1e-12)
    assert whole != pytest.approx(each, rel=1e-3)


@pytest.mark.parametrize("mean", ["batch", "image"])
def test_without_seeds_the_seed_loss_is_0_and_its_gradient_too(mean: Any) -> None:
    scores = torch.randn(2, CLASSES, 3, 3, requires_grad=True)
    loss = seed_loss(scores, torch.full((2, 3, 3), -1), mean)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_of_one_class_alone_the_seed_loss_is_0() -> None:
    assert seed_loss(torch.randn(1, 1, 2, 2), torch.zeros(1, 2, 2).long(), "batch").item() == 0


def test_losses_are_those_of_the_paper() -> None:
    """Eq. 6 as printed, with labels of -1 and 1, and λ = 0.15 times Eq. 5."""
    method, network = build()
    network.eval()
    data = batch()
    with torch.no_grad():
        losses = method.losses(network, data)
        cam, segmentation = network(data.images, data.saliency)
    assert data.seeds is not None
    tau = 1 / (1 + np.exp(-cam.double().mean(dim=(2, 3)).numpy()))
    y = 2 * data.labels.double().numpy() - 1
    expected = -np.log(y * (tau - 0.5) + 0.5).mean()
    assert losses["classification"].item() == pytest.approx(expected, rel=1e-5)
    # Cells of 8 pixels: their centres lie between pixels 3 and 4, and the latter counts.
    cells = data.seeds[:, 4::8, 4::8].numpy()
    scores = segmentation.double().numpy()
    parts = [slow_seed_loss(scores[i], cells[i]) for i in range(3)]
    expected = 0.15 * sum(total for total, _ in parts) / sum(number for _, number in parts)
    assert losses["seed"].item() == pytest.approx(expected, rel=1e-5)
    assert set(losses) == {"classification", "seed"}


def test_a_batch_without_seeds_has_a_seed_loss_of_0_that_can_be_trained() -> None:
    method, network = build()
    losses = method.losses(network, replace(batch(), seeds=None))
    assert losses["seed"].item() == 0
    losses["seed"].backward()


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_other_variants_have_no_seed_loss(variant: str) -> None:
    method, network = build(variant=variant)
    assert set(method.losses(network, batch())) == {"classification"}


def test_each_loss_reaches_its_own_branch_alone() -> None:
    """At γ = 0 keys and queries change nothing yet; γ itself learns first."""
    method, network = build()
    losses = method.losses(network, batch())
    start = {"backbone", "attention.gamma"}
    assert reached(losses["classification"], network) == start | CLASSIFICATION
    losses = method.losses(network, batch())
    assert reached(losses["seed"], network) == start | SEGMENTATION


def test_once_gamma_has_left_0_keys_and_queries_learn() -> None:
    method, network = build()
    assert network.attention is not None
    nn.init.constant_(network.attention.gamma, 0.5)
    for name in ("classification", "seed"):
        assert reached(method.losses(network, batch())[name], network) >= SIMILARITY


def test_no_gradient_flows_into_the_saliency() -> None:
    method, network = build()
    saliency = torch.rand(3, 48, 48, requires_grad=True)
    losses = method.losses(network, replace(batch(), saliency=saliency))
    torch.stack(list(losses.values())).sum().backward()
    assert saliency.grad is None


# --- maps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("maps", ["sum", "cam"])
def test_maps_are_the_positive_logits_over_their_maximum(maps: str) -> None:
    method, network = build(maps=maps)
    network.eval()
    data = batch(shape=(32, 56))
    with torch.no_grad():
        found = method.attention(network, data).numpy()
        cam, segmentation = (part.numpy() for part in network(data.images, data.saliency))
    assert found.shape == (3, CLASSES, 4, 7)
    scores = cam + segmentation if maps == "sum" else cam
    for image, present in enumerate(data.labels.numpy() > 0):
        for index in range(CLASSES):
            positive = np.maximum(scores[image, index], 0) * present[index]
            expected = positive / positive.max() if positive.any() else positive
            np.testing.assert_allclose(found[image, index], expected, atol=1e-5)
    assert found.any()


def test_class_scores_are_the_mean_of_the_cam() -> None:
    method, network = build()
    network.eval()
    data = batch()
    with torch.no_grad():
        scores = method.class_scores(network, data.images, data.saliency).numpy()
        cam = network(data.images, data.saliency)[0].numpy()
    np.testing.assert_allclose(scores, cam.mean(axis=(2, 3)), rtol=1e-4, atol=1e-6)


def test_maps_are_read_from_one_view() -> None:
    recipe = SGAN().inference()
    assert (recipe.scales, recipe.flip) == ((1.0,), False)


def test_the_context_map_is_the_column_of_the_pixels_cell() -> None:
    _, network = build()
    data = batch(shape=(32, 56))
    assert data.saliency is not None
    saliency = torch.ones(32, 56)
    found = context_map(network, data.images[0], saliency, (17, 30))  # of cell (2, 3) of 4 by 7
    assert found.shape == (4, 7)
    assert network.attention is not None
    with torch.no_grad():
        features = network.backbone(data.images[:1])
        keys, queries = network.attention.key(features), network.attention.query(features)
        scores = torch.einsum("di,dj->ij", keys[0].flatten(1), queries[0].flatten(1)).numpy()
    inside = [y * 7 + x for y in (1, 2) for x in range(1, 6)]
    for y, x in np.ndindex(4, 7):
        i = y * 7 + x
        if i not in inside:
            assert found[y, x] == 0
            continue
        row = scores[i] / np.sqrt(keys.shape[1])
        # The ring is masked, so that the minimum of the row is at most 0.
        low = min(0.0, min(row[j] for j in inside))
        lifted = {j: row[j] - low for j in inside}
        expected = lifted[2 * 7 + 3] / (sum(lifted.values()) + 1e-5)
        assert float(found[y, x]) == pytest.approx(expected, rel=1e-4)


def test_the_context_map_needs_an_attention_and_a_pixel_of_the_image() -> None:
    _, network = build()
    image = batch().images[0]
    for pixel in ((48, 0), (0, 48), (-1, 0)):
        with pytest.raises(BenchmarkError, match="outside the image of 48 by 48"):
            context_map(network, image, torch.ones(48, 48), pixel)
    _, network = build(variant="Baseline")
    with pytest.raises(BenchmarkError, match="Baseline has no context"):
        context_map(network, image, None, (0, 0))
    _, network = build(variant="SGAN-SAL-SEED")
    assert context_map(network, image, None, (47, 47)).shape == (6, 6)


# --- initial seeds ------------------------------------------------------------------------------


def test_seed_cells_by_hand() -> None:
    cam = torch.zeros(1, 3, 1, 6)
    cam[0, 0] = torch.tensor([[10.0, 3.0, 3.1, 5.0, 0.0, -9.0]])  # over its maximum: 1 .3 .31 .5
    cam[0, 1] = 99.0  # absent
    cam[0, 2] = torch.tensor([[0.0, 0.0, 0.0, 0.6, 1.0, -1.0]])
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    assert seed_cells(cam, labels, 0.3).tolist() == [[[0, -1, 0, 2, 2, -1]]]


def test_without_a_positive_score_or_a_class_there_is_no_seed() -> None:
    assert (seed_cells(torch.full((1, 2, 3, 3), -1.0), torch.ones(1, 2), 0.3) == -1).all()
    assert (seed_cells(torch.rand(1, 2, 3, 3), torch.zeros(1, 2), 0.3) == -1).all()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shape", [(375, 500), (500, 333), (112, 500)])
def test_seeds_come_back_to_the_cells_that_they_are_from(
    shape: tuple[int, int], mirrored: bool
) -> None:
    """41 cells, to the image's size, to a training view of 321 pixels, to 41 cells."""
    cells = torch.randint(-1, 20, (1, 41, 41), generator=torch.Generator().manual_seed(0))
    full = resized_seeds(cells, shape)[0].numpy().astype(np.int16)
    view = View((0, 0, *shape), (321, 321), (0, 0), 321, mirrored)
    seen = view.of(full, nearest=True, padding=-1)
    back = on_cells(torch.from_numpy(seen)[None].long(), torch.zeros(1, 20, 41, 41))
    assert torch.equal(back.flip(2) if mirrored else back, cells)


# --- training -----------------------------------------------------------------------------------


def test_the_papers_recipe() -> None:
    """Sec. IV-A2: 8,000 iterations of 15 images, 1e-3 divided by 10 every 2,000."""
    recipe = SGAN().training()
    rates = [learning_rate(recipe, step) for step in (0, 1_999, 2_000, 4_000, 6_000, 7_999)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-6])
    assert (recipe.batch_size, recipe.iterations) == (15, 8_000)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 5e-4)
    assert (recipe.view, recipe.crop, recipe.flip, recipe.colour) == ("warp", 321, True, 0.0)
    poly = SGAN(SGAN.Options(schedule="poly")).training()
    assert learning_rate(poly, 4_000) == pytest.approx(1e-3 * 0.5**0.9)


def test_gamma_learns_ten_times_as_fast_as_the_backbone_and_decays() -> None:
    _, network = build()
    assert network.attention is not None
    for group in parameter_groups(network, SGAN().training()):
        if any(parameter is network.attention.gamma for parameter in group["params"]):
            assert (group["rate"], group["weight_decay"]) == (10.0, 5e-4)
            break
    else:
        pytest.fail("gamma is in no group")


RECIPE = TrainingRecipe(
    iterations=3, batch_size=3, learning_rate=0.01, head_rate=10.0, view="warp", crop=32,
    test_size=32, colour=0.0,
)  # fmt: skip
# Multiples of 4, so that no pixel's centre lies on the edge between two of 4 cells.
SIZES = ((40, 52), (52, 40), (32, 32), (36, 60), (44, 44), (64, 32))


def images(saliency: bool = True) -> LabelledImages:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in SIZES]
    labels = rng.random((len(SIZES), CLASSES)) < 0.5
    labels[:, 0] |= ~labels.any(axis=1)
    maps = [rng.integers(0, 255, size, dtype=np.uint8) for size in SIZES]
    return LabelledImages(pictures, labels, maps if saliency else None)


class Watched(Trainer):
    """Notes what it is asked to train, with which seeds, and every step; stops when told to."""

    def __init__(self, scratch: Path, stop_after: int | None = None, saliency: bool = True) -> None:
        super().__init__(
            images(saliency),
            RECIPE,
            seed=0,
            scratch=scratch,
            progress=SilentProgress(),
            label="test",
        )
        self.stop_after = stop_after
        self.runs: list[tuple[str, Any, Any]] = []
        self.steps: list[tuple[str, int]] = []
        self.states: list[dict[str, Tensor]] = []

    def run(self, network: nn.Module, losses: Any, **options: Any) -> None:
        name = options.get("name", "attention")
        self.runs.append((name, network, options.get("seeds")))
        self.states.append(copied(network))
        super().run(network, losses, **options)

    def _step(
        self,
        network: Any,
        losses: Any,
        optimiser: Any,
        step: int,
        batch: Batch,
        reader: LossReader,
    ) -> None:
        if self.stop_after is not None and len(self.steps) == self.stop_after:
            raise KeyboardInterrupt
        self.steps.append((self.runs[-1][0], step))
        super()._step(network, losses, optimiser, step, batch, reader)


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.startswith(prefix)}


def test_fit_trains_a_classifier_then_the_network_with_its_seeds(tmp_path: Path) -> None:
    method, network = build()
    before = copied(network)
    trainer = Watched(tmp_path)
    method.fit(network, trainer)
    (first, seeder, none), (second, trained, seeds) = trainer.runs
    assert (first, second, none) == ("seeder", "attention", None)
    assert trained is network
    # Both start at the same backbone, and the first run leaves the network alone.
    assert same(part(trainer.states[0], "backbone."), part(before, "backbone."))
    assert same(trainer.states[1], before)
    after = network.state_dict()
    assert all(not torch.equal(after[name], before[name]) for name in SEGMENTATION)
    assert not torch.equal(after["attention.gamma"], before["attention.gamma"])
    assert not same(part(after, "backbone."), part(before, "backbone."))
    # The classifier shares nothing with the network, which alone is trained by the second run.
    assert not {id(p) for p in seeder.parameters()} & {id(p) for p in network.parameters()}
    kept = torch.load(tmp_path / "seeder.pt", weights_only=True)["network"]
    assert same(kept, seeder.state_dict())
    assert not same(kept, trainer.states[0])
    check_seeds(seeder, trainer, seeds)


def check_seeds(seeder: SganNetwork, trainer: Trainer, seeds: list[np.ndarray]) -> None:
    """Compare with seeds found pixel by pixel from the classifier's logits on the warped images."""
    seeder.eval()
    found = set()
    assert len(seeds) == len(SIZES)
    for index, (places, data) in enumerate(trainer.whole_images(batch=1)):
        assert list(places) == [index]
        with torch.no_grad():
            cam = seeder(data.images, None)[0][0].numpy()
        present = np.flatnonzero(trainer.data.labels[index])
        assert (seeds[index].shape, seeds[index].dtype) == (SIZES[index], np.int16)
        height, width = SIZES[index]
        for y, x in np.ndindex(height, width):
            cell = cam[:, int((y + 0.5) * 4 / height), int((x + 0.5) * 4 / width)]
            relative = {c: cell[c] / cam[c].max() for c in present if cam[c].max() > 0}
            above = [share for share in relative.values() if share > 0.3]
            seed = int(seeds[index][y, x])
            found.add(seed)
            if above:
                # Where two classes have their maximum in one cell, either may win.
                assert relative[seed] == pytest.approx(max(above), abs=1e-6)
            else:
                assert seed == -1
    assert len(found) > 2  # unlabelled, and more than one class


@pytest.mark.parametrize("stop_after", [2, 3, 5])
def test_fit_goes_on_where_it_was_interrupted_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    """Within the classifier's training; before the network's first step; within the network's."""
    (tmp_path / "whole").mkdir()
    method, whole = build()
    torch.manual_seed(1)
    undisturbed = Watched(tmp_path / "whole")
    method.fit(whole, undisturbed)
    monkeypatch.setattr("benchmark.attention.CHECKPOINT_SECONDS", -1.0)
    method, network = build()
    torch.manual_seed(1)
    with pytest.raises(KeyboardInterrupt):
        method.fit(network, Watched(tmp_path, stop_after=stop_after))
    method, network = build()
    torch.manual_seed(99)
    resumed = Watched(tmp_path)
    method.fit(network, resumed)
    assert resumed.steps == undisturbed.steps[stop_after:]
    for again, once in zip(resumed.runs[1][2], undisturbed.runs[1][2], strict=True):
        np.testing.assert_array_equal(again, once)
    assert same(network.state_dict(), whole.state_dict())


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_variants_without_a_seed_loss_are_trained_at_once(tmp_path: Path, variant: str) -> None:
    method, network = build(variant=variant)
    trainer = Watched(tmp_path, saliency=method.needs_saliency)
    method.fit(network, trainer)
    assert [(name, seeds) for name, _, seeds in trainer.runs] == [("attention", None)]


def test_the_classifier_that_gives_seeds_learns_at_the_rates_of_backbone_and_head() -> None:
    _, network = build()
    groups = parameter_groups(network.seeder(), TrainingRecipe(head_rate=10.0))
    found = {(group["rate"], len(group["params"])) for group in groups}
    assert found == {(1.0, 13), (2.0, 13), (10.0, 2), (20.0, 1)}


def test_seeds_do_not_depend_on_the_batch_nor_on_drop_out(tmp_path: Path) -> None:
    _, network = build()
    seeder, trainer = network.seeder().train(), Watched(tmp_path)
    first, again = (initial_seeds(seeder, trainer, 0.3) for _ in range(2))
    assert not seeder.training
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
