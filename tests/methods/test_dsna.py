"""DSNA against loops in float64 and numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.attention import build_optimiser, learning_rate
from benchmark.backbones import build_backbone
from benchmark.method import Batch, Head
from benchmark.registry import build_method
from methods.dsna import (
    DSNA,
    DsnaNetwork,
    EvenAttention,
    ExpansiveDetector,
    attended_scores,
    background_map,
    expansive_activation,
    merged_map,
    spatial_share,
)

CLASSES = 3


class Pixels(nn.Module):
    """A backbone whose features are the image itself."""

    channels = 3
    output_stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.gain


def build(**options: Any) -> tuple[DSNA, DsnaNetwork]:
    torch.manual_seed(0)
    method = build_method("dsna", options)
    assert isinstance(method, DSNA)
    network = method.network(Pixels(), CLASSES, Head(init_gain=100.0, classifier_bias=-0.5))
    assert isinstance(network, DsnaNetwork)
    return method, network.double()


def batch(size: int = 2, height: int = 4, width: int = 5) -> Batch:
    generator = torch.manual_seed(1)
    images = torch.randn(size, 3, height, width, generator=generator, dtype=torch.float64)
    labels = torch.zeros(size, CLASSES, dtype=torch.float64)
    labels[0, [0, 2]] = 1
    labels[1:, 1] = 1
    return Batch(images, labels)


def by_loops(network: DsnaNetwork, images: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, S and p of the decoupled network without drop-out, cell by cell."""
    w, b = (v.detach().numpy() for v in network.expansive.convolution.parameters())
    v, h = (v.detach().numpy() for v in network.discriminative[0].parameters())
    x = images.numpy()
    size, _, height, width = x.shape
    a = np.zeros((size, CLASSES, height, width))
    s, p = np.zeros_like(a), np.zeros((size, CLASSES))
    for n in range(size):
        for c in range(CLASSES):
            for i in range(height):
                for j in range(width):
                    dot = sum(w[c, d, 0, 0] * x[n, d, i, j] for d in range(3)) + b[c]
                    a[n, c, i, j] = math.log(1 + math.exp(dot)) + 0.1
                    s[n, c, i, j] = sum(v[c, d, 0, 0] * x[n, d, i, j] for d in range(3)) + h[c]
            a[n, c] /= a[n, c].sum()
            p[n, c] = sum(
                a[n, c, i, j] * s[n, c, i, j] for i in range(height) for j in range(width)
            )
    return a, s, p


def spread(plane: np.ndarray) -> np.ndarray:
    return (plane - plane.min()) / (plane.max() - plane.min())


class Skewed(nn.Module):
    """Scores that depend on the place alone."""

    def forward(self, features: Tensor) -> Tensor:
        size, _, height, width = features.shape
        ramp = torch.arange(height * width, dtype=features.dtype).reshape(height, width)
        return ramp.expand(size, CLASSES, height, width)


def plane(*rows: list[float]) -> Tensor:
    return torch.tensor([[rows]], dtype=torch.float64)


class TestEquations:
    def test_network_equals_the_loops(self) -> None:
        _, network = build()
        network.eval()
        data = batch()
        with torch.no_grad():
            found = network(data.images)
        for ours, reference in zip(found, by_loops(network, data.images), strict=True):
            np.testing.assert_allclose(ours.numpy(), reference, rtol=1e-12, atol=1e-12)

    def test_eq_7_by_hand(self) -> None:
        values = expansive_activation(torch.tensor([0.0, math.log(3.0), -100.0, 50.0]))
        assert values.tolist() == pytest.approx([math.log(2) + 0.1, math.log(4) + 0.1, 0.1, 50.1])

    def test_eq_6_by_hand(self) -> None:
        maps = torch.cat([plane([1, 2], [3, 4]), plane([5, 5], [5, 5])], dim=1)
        expected = torch.cat([plane([0.1, 0.2], [0.3, 0.4]), plane([0.25, 0.25], [0.25, 0.25])], 1)
        torch.testing.assert_close(spatial_share(maps), expected)

    def test_shares_of_bfloat16_values_are_full_precision(self) -> None:
        values = torch.rand(2, 3, 12, 12, generator=torch.manual_seed(0)).bfloat16()
        for shares in (spatial_share(values), EvenAttention(3)(values)):
            assert shares.dtype == torch.float32
            torch.testing.assert_close(shares.sum(dim=(2, 3)), torch.ones(2, 3), rtol=0, atol=1e-6)

    def test_eq_6_of_zeros_is_zeros(self) -> None:
        maps = torch.zeros(1, 1, 2, 2, requires_grad=True)
        shares = spatial_share(maps)
        assert not shares.any()
        shares.sum().backward()
        assert maps.grad is not None and bool(torch.isfinite(maps.grad).all())

    def test_eq_9_by_hand(self) -> None:
        """0.1 · 1 − 0.2 · 2 + 0.3 · 3 + 0.4 · 4, a sum and not a mean."""
        score = attended_scores(plane([0.1, 0.2], [0.3, 0.4]), plane([1, -2], [3, 4]))
        assert score.tolist() == [[pytest.approx(2.2)]]

    @pytest.mark.parametrize(("form", "divisor"), [("sum", 1), ("mean", CLASSES)])
    def test_eq_10_is_the_sum_over_classes_and_the_mean_over_images(
        self, form: str, divisor: int
    ) -> None:
        method, network = build(over_classes=form, dropout=0.0)
        data = batch()
        _, _, p = by_loops(network, data.images)
        total = 0.0
        for n in range(2):
            for c in range(CLASSES):
                y = float(data.labels[n, c])
                one, zero = 1 / (1 + math.exp(-p[n, c])), math.exp(-p[n, c])
                total -= y * math.log(one) + (1 - y) * math.log(zero / (1 + zero))
        loss = method.losses(network, data)
        assert list(loss) == ["classification"]
        assert loss["classification"].item() == pytest.approx(total / 2 / divisor, rel=1e-10)

    def test_eq_11_by_hand(self) -> None:
        """Scores log 3 and 0: softmax 3/4 and 1/4."""
        a = torch.cat([plane([1, 2], [3, 5]), plane([0, 0], [0, 8])], dim=1)
        s = torch.cat([plane([4, 0], [2, 0]), plane([-1, 1], [3, 3])], dim=1)
        merged = merged_map(a, s, torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64))
        first = [[0.25, 0.75 * 0.25], [0.75 * 0.5 + 0.25 * 0.5, 0.75]]
        second = [[0.0, 0.75 * 0.5], [0.75, 1.0]]
        np.testing.assert_allclose(merged[0].numpy(), [first, second], atol=1e-7)

    def test_eq_11_of_constant_maps(self) -> None:
        """A constant map counts as 0, so that the other one alone is left, weighted."""
        even, score = plane([7, 7], [7, 7]), torch.zeros(1, 2, dtype=torch.float64)
        ramp = plane([0, 1], [2, 4])
        both = merged_map(even.expand(1, 2, 2, 2), ramp.expand(1, 2, 2, 2), score)
        np.testing.assert_allclose(both[0, 0].numpy(), 0.5 * ramp[0, 0].numpy() / 4, atol=1e-7)
        assert not merged_map(even, even, torch.ones(1, 1)).any()

    def test_with_one_class_the_merged_map_is_the_expansive_one(self) -> None:
        merged = merged_map(plane([0, 1], [2, 4]), plane([9, 1], [5, 3]), torch.tensor([[-8.0]]))
        np.testing.assert_allclose(merged[0, 0].numpy(), [[0, 0.25], [0.5, 1]], atol=1e-7)

    def test_gradient_of_the_expansive_path(self) -> None:
        _, network = build(dropout=0.0)
        detector, scorer = network.expansive, network.discriminative
        names = [name for name, _ in detector.named_parameters()]

        def scores(features: Tensor, *values: Tensor) -> Tensor:
            expansive = functional_call(detector, dict(zip(names, values, strict=True)), features)
            return attended_scores(expansive, scorer(features))

        features = batch(1, 2, 3).images.requires_grad_()
        assert torch.autograd.gradcheck(scores, (features, *detector.parameters()))

    @pytest.mark.parametrize("still", ["expansive", "discriminative"])
    def test_each_detector_alone_teaches_the_backbone(self, still: str) -> None:
        """Nothing is detached: with one detector's weights at 0, the other's path is left."""
        method, network = build(dropout=0.0)
        convolution = (
            network.expansive.convolution if still == "expansive" else network.discriminative[0]
        )
        nn.init.zeros_(convolution.weight)
        if still == "discriminative":  # a constant S would leave the score as it is: skew it
            network.discriminative = Skewed()
        method.losses(network, batch())["classification"].backward()
        assert float(network.backbone.gain.grad.abs()) > 1e-6

    def test_loss_reaches_the_backbone_and_both_detectors(self) -> None:
        method, network = build()
        method.losses(network, batch())["classification"].backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name


class TestAttention:
    @pytest.mark.parametrize("chosen", ["merged", "expansive", "discriminative"])
    def test_is_the_chosen_map_by_loops(self, chosen: str) -> None:
        method, network = build(map=chosen)
        network.eval()
        data = batch()
        with torch.no_grad():
            maps = method.attention(network, data).numpy()
        a, s, p = by_loops(network, data.images)
        for n in range(2):
            for c in range(CLASSES):
                weight = math.exp(p[n, c]) / sum(math.exp(value) for value in p[n])
                weight = {"merged": weight, "expansive": 1.0, "discriminative": 0.0}[chosen]
                expected = weight * spread(a[n, c]) + (1 - weight) * spread(s[n, c])
                np.testing.assert_allclose(
                    maps[n, c], expected * float(data.labels[n, c]), atol=1e-5
                )
        assert maps[0, 0].any() and not maps[0, 1].any()

    def test_absent_classes_take_their_share_of_the_softmax(self) -> None:
        """With p̂ over the present classes alone, a lone class's map would ignore the others."""
        method, network = build()
        network.eval()
        data = batch()
        with torch.no_grad():
            before = method.attention(network, data)[1, 1]
            network.discriminative[0].bias[0] += 5  # class 0 is absent from image 1
            after = method.attention(network, data)[1, 1]
        assert not torch.allclose(before, after, atol=1e-3)

    def test_is_read_without_drop_out_and_trained_with_it(self) -> None:
        method, network = build()
        data = batch()
        with torch.no_grad():
            assert not torch.equal(*(method.attention(network, data) for _ in range(2)))
            network.eval()
            assert torch.equal(*(method.attention(network, data) for _ in range(2)))

    def test_one_forward_pass_of_the_whole_image(self) -> None:
        recipe = DSNA().inference()
        assert (recipe.scales, recipe.flip, recipe.normalise) == ((1.0,), False, "none")

    def test_224_pixels_give_14_cells(self) -> None:
        backbone = build_backbone("vgg16", width=0.125, **DSNA.backbone_options)
        network = DSNA().network(backbone, 2, Head()).eval()
        data = Batch(torch.randn(1, 3, 224, 224), torch.ones(1, 2))
        with torch.no_grad():
            assert DSNA().attention(network, data).shape == (1, 2, 14, 14)
            assert DSNA().background(network, data).shape == (1, 14, 14)


class TestBackground:
    def test_by_hand(self) -> None:
        """Channel sums 2, 4, 6, 12: normalised 0, 0.2, 0.4, 1."""
        features = torch.tensor([[[[1.0, 1.0], [2.0, 4.0]], [[1.0, 3.0], [4.0, 8.0]]]])
        np.testing.assert_allclose(background_map(features)[0], [[1, 0.8], [0.6, 0]], atol=1e-6)

    def test_each_image_has_its_own_range(self) -> None:
        method, network = build()
        data = batch()
        with torch.no_grad():
            found = method.background(network, data).numpy()
        for n in range(2):
            total = sum(data.images[n, d].numpy() for d in range(3))
            np.testing.assert_allclose(found[n], 1 - spread(total), atol=1e-7)

    def test_a_constant_sum_is_background(self) -> None:
        features = torch.stack([torch.full((2, 3), 5.0), torch.full((2, 3), -1.0)])[None]
        assert background_map(features).tolist() == [[[1.0] * 3] * 2]


class Masked(nn.Module):
    """A drop-out that drops the same cell always, and does not rescale."""

    def forward(self, values: Tensor) -> Tensor:
        keep = torch.ones_like(values)
        keep[..., 0, 0] = 0
        return values * keep


class TestDropOut:
    @pytest.mark.parametrize(("last", "dropped"), [(False, math.log(2) + 0.1), (True, 0.0)])
    def test_a_dropped_value_before_the_softplus_is_not_zero(
        self, last: bool, dropped: float
    ) -> None:
        detector = ExpansiveDetector(1, 1, 0.0, last).double()
        nn.init.constant_(detector.convolution.weight, 1.0)
        nn.init.zeros_(detector.convolution.bias)
        detector.after = Masked()
        shares = detector(plane([9, 1], [2, 3])).detach()[0, 0].numpy()
        z = np.array([[dropped, 0], [0, 0]])
        for i, j, value in ((0, 1, 1), (1, 0, 2), (1, 1, 3)):
            z[i, j] = math.log(1 + math.exp(value)) + 0.1
        np.testing.assert_allclose(shares, z / z.sum(), rtol=1e-12)

    def test_the_first_drop_out_acts_on_the_features(self) -> None:
        """The features of cell (0, 0) dropped, its value is the convolution's bias."""
        detector = ExpansiveDetector(1, 1, 0.0, False).double()
        nn.init.constant_(detector.convolution.weight, 1.0)
        nn.init.constant_(detector.convolution.bias, 0.5)
        detector.before = Masked()
        shares = detector(plane([9, 1], [2, 3])).detach()[0, 0].numpy()
        z = np.log1p(np.exp([[0.5, 1.5], [2.5, 3.5]])) + 0.1
        np.testing.assert_allclose(shares, z / z.sum(), rtol=1e-12)

    def test_default_rate_and_the_option_reach_both_and_only_the_expansive_detector(self) -> None:
        for options, rate in (({}, 0.5), ({"dropout": 0.7}, 0.7)):
            _, network = build(**options)
            assert (network.expansive.before.p, network.expansive.after.p) == (rate, rate)
            inside = [m for m in network.discriminative.modules() if isinstance(m, nn.Dropout)]
            assert not inside

    def test_is_element_wise(self) -> None:
        torch.manual_seed(0)
        detector = ExpansiveDetector(16, 4, 0.5, False)
        kept = detector.before(torch.ones(1, 16, 8, 8)) != 0
        assert 0.4 < float(kept.float().mean()) < 0.6
        assert all(0 < int(channel.sum()) < 64 for channel in kept[0])
        assert all(0 < int(cell.sum()) < 16 for cell in kept[0].flatten(1).T)

    @pytest.mark.parametrize(("last", "share"), [(False, 1 / 20), (True, 0.0)])
    def test_with_everything_dropped_the_attention_is_even_or_nothing(
        self, last: bool, share: float
    ) -> None:
        method, network = build(dropout=1.0, dropout_last=last)
        expansive, _, _ = network(batch().images)
        np.testing.assert_allclose(expansive.detach().numpy(), share, rtol=1e-12)
        method.losses(network, batch())["classification"].backward()
        for parameter in network.parameters():
            assert parameter.grad is None or bool(torch.isfinite(parameter.grad).all())


class TestSingleStream:
    def test_scores_are_the_mean_of_the_discriminative_map(self) -> None:
        method, network = build(decoupled=False, map="discriminative", dropout=0.0)
        data = batch()
        weight, bias = (v.detach().numpy() for v in network.discriminative[1].parameters())
        x = data.images.numpy()
        s = np.einsum("cd,ndij->ncij", weight[:, :, 0, 0], x) + bias[:, None, None]
        with torch.no_grad():
            scores = method.class_scores(network, data.images, None).numpy()
            maps = method.attention(network, data).numpy()
        np.testing.assert_allclose(scores, s.sum((2, 3)) / 20, rtol=1e-10)
        np.testing.assert_allclose(maps[1, 1], spread(s[1, 1]), atol=1e-7)

    def test_has_one_detector_between_two_drop_outs(self) -> None:
        _, network = build(decoupled=False, map="discriminative", dropout=0.3)
        kinds = [type(layer) for layer in network.discriminative]
        assert kinds == [nn.Dropout, nn.Conv2d, nn.Dropout]
        assert [network.discriminative[place].p for place in (0, 2)] == [0.3, 0.3]
        assert not list(network.expansive.parameters())

    def test_has_no_other_map(self) -> None:
        network = build(decoupled=False, map="discriminative")[1].eval()
        data = batch()
        with torch.no_grad():
            maps = [
                build_method("dsna", {"decoupled": False, "map": chosen}).attention(network, data)
                for chosen in ("discriminative", "merged", "expansive")
            ]
        assert torch.equal(maps[0], maps[1])
        assert torch.equal(maps[0], maps[2])


class TestTraining:
    def test_the_papers_schedule_by_hand(self) -> None:
        """20 epochs of 10,582 images in batches of 15; a tenth after 10 epochs."""
        recipe = DSNA().training()
        assert (recipe.iterations, recipe.batch_size) == (14_109, 15)
        half = 10 * 10_582 / 15
        assert learning_rate(recipe, math.floor(half) - 1) == pytest.approx(0.01)
        assert learning_rate(recipe, math.ceil(half)) == pytest.approx(0.001)
        _, network = build()
        groups = build_optimiser(network, recipe).param_groups
        rates = {round(group["rate"] * recipe.learning_rate, 6) for group in groups}
        assert rates == {0.01, 0.1}
        assert (recipe.momentum, recipe.weight_decay, recipe.crop) == (0.9, 5e-4, 224)

    def test_head_sets_the_spread_of_the_weights_and_the_scores_start(self) -> None:
        def weights(gain: float) -> list[float]:
            torch.manual_seed(0)
            backbone = build_backbone("vgg16", width=0.25)
            network = DSNA().network(backbone, 200, Head(init_gain=gain, classifier_bias=-2.5))
            assert isinstance(network, DsnaNetwork)
            convolution = network.expansive.convolution
            assert not convolution.bias.any()
            assert set(network.discriminative[0].bias.tolist()) == {-2.5}
            return [c.weight.std().item() for c in (convolution, network.discriminative[0])]

        assert weights(1.0) == pytest.approx([0.01, 0.01], rel=0.03)
        assert weights(3.0) == pytest.approx([0.03, 0.03], rel=0.03)

    def test_without_evidence_the_score_is_the_classifiers_bias(self) -> None:
        method, network = build()
        network.eval()
        scores = method.class_scores(network, torch.zeros(1, 3, 4, 4, dtype=torch.float64), None)
        np.testing.assert_allclose(scores.detach().numpy(), -0.5, rtol=1e-12)

    def test_full_width_parameter_count(self) -> None:
        """VGG-16's 14,714,688, and two 1×1 convolutions from 512 to 20."""
        network = DSNA().network(build_backbone("vgg16"), 20, Head())
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count == 14_714_688 + 2 * (512 * 20 + 20)
