"""SeeNet, ACoL and CAM: structure and gradient flow; every method learns.

The contract that every method keeps is tests/test_conformance.py's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.backbones import build_backbone
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Head, Method
from benchmark.registry import build_method, load_method_class, method_entry_points
from methods.nn.heads import conv_head, init_gaussian, scaled
from methods.seenet import SeeNet, SeeNetwork, attention_zones

CLASSES = 4


def build(name: str, **options: Any) -> tuple[Method, nn.Module]:
    torch.manual_seed(0)
    method = build_method(name, options)
    backbone = build_backbone("vgg16", width=0.125, output_stride=8)
    return method, method.network(backbone, CLASSES, Head(0.125, init_gain=2.0))


def batch(size: int = 3) -> Batch:
    saliency = torch.rand(size, 48, 48, generator=torch.manual_seed(2))
    images = torch.randn(size, 3, 48, 48, generator=torch.manual_seed(1))
    labels = torch.zeros(size, CLASSES)
    labels[0, [0, 2]] = 1
    labels[1:, 1] = 1
    return Batch(images, labels, saliency)


def reached(loss: Tensor, network: nn.Module) -> set[str]:
    """Return the top-level parts of the network that the loss's gradient reaches."""
    network.zero_grad(set_to_none=True)
    loss.backward()
    return {
        name.split(".")[0]
        for name, parameter in network.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
    }


@pytest.mark.parametrize("name", sorted(method_entry_points()))
def test_few_steps_lower_the_loss(name: str) -> None:
    method, network = build(name)
    data = batch()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    history = []
    for _ in range(80):
        loss = torch.stack(list(method.losses(network, data).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(float(loss.detach()))
    assert min(history[-5:]) < 0.9 * history[0]


class TestSeeNet:
    def test_branch_losses_reach_their_own_head_alone(self) -> None:
        method, network = build("seenet")
        for name in ("a", "b", "c"):
            loss = method.losses(network, batch())[name]
            assert reached(loss, network) == {"backbone", name}

    def test_target_of_the_background_branch_is_zero(self) -> None:
        method, network = build("seenet")
        data = batch()
        _, _, score_c = network(data.images, data.labels)
        probability = torch.sigmoid(score_c.mean(dim=(2, 3)).double())
        expected = -torch.log(1 - probability).mean()
        loss = method.losses(network, data)["c"]
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)

    def test_masks_of_a_batch_with_several_labels(self) -> None:
        _, network = build("seenet")
        assert isinstance(network, SeeNetwork)
        scores = torch.zeros(2, CLASSES, 1, 5)
        scores[0, 0] = torch.tensor([[10.0, 5.0, 0.0, -4.0, 0.0]])  # present
        scores[0, 2] = torch.tensor([[0.0, 0.02, 0.0, 0.0, 1.0]])  # present, its own maximum is 1
        scores[0, 1] = 99.0  # absent: must not matter
        scores[1, 1] = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])  # min-max: 0, .25, .5, .75, 1
        labels = batch(2).labels
        zones = attention_zones(scores, labels)
        expected = torch.tensor([[[[1.0, 0.5, 0.0, 0.0, 1.0]]], [[[0.0, 0.25, 0.5, 0.75, 1.0]]]])
        torch.testing.assert_close(zones, expected, atol=1e-6, rtol=1e-6)
        mask_b = torch.tensor([[[[0.0, 1.0, -1.0, -1.0, 0.0]]], [[[-1.0, 1.0, 1.0, 0.0, 0.0]]]])
        assert torch.equal(network.mask_b(scores, labels), mask_b)
        mask_c = torch.tensor([[[[0.0, 0.0, 1.0, 1.0, 0.0]]], [[[1.0, 1.0, 0.0, 0.0, 0.0]]]])
        assert torch.equal(network.mask_c(scores, labels), mask_c)

    def test_without_sign_flipping_the_background_of_b_is_zeroed(self) -> None:
        _, network = build("seenet", flip_sign=False)
        assert isinstance(network, SeeNetwork)
        scores = torch.tensor([[[[0.0, 1.0, 2.0, 3.0, 4.0]]]])
        mask = network.mask_b(scores, torch.ones(1, 1))
        assert mask.tolist() == [[[[0.0, 1.0, 1.0, 0.0, 0.0]]]]

    def test_masks_carry_no_gradient(self) -> None:
        _, network = build("seenet")
        assert isinstance(network, SeeNetwork)
        scores = torch.randn(1, CLASSES, 3, 3, requires_grad=True)
        assert not network.mask_b(scores, batch(1).labels).requires_grad
        assert not network.mask_c(scores, batch(1).labels).requires_grad

    def test_background_branch_defaults_to_the_mean_of_both_thresholds(self) -> None:
        scores = torch.rand(1, CLASSES, 8, 8, generator=torch.manual_seed(3))
        masks = []
        for value in (None, 0.375):
            _, network = build("seenet", background_branch=value)
            assert isinstance(network, SeeNetwork)
            masks.append(network.mask_c(scores, batch(1).labels))
        assert torch.equal(*masks)
        assert 0 < float(masks[0].mean()) < 1

    @pytest.mark.parametrize("convs", [2, 3])
    def test_head_has_two_or_three_convolutions(self, convs: int) -> None:
        _, network = build("seenet", head_convs=convs)
        kinds = [layer.kernel_size for layer in network.a if isinstance(layer, nn.Conv2d)]
        assert kinds == [(3, 3)] * convs + [(1, 1)]

    def test_full_width_parameter_count(self) -> None:
        """VGG-16's 14,714,688, and per head 3 x (512 x 512 x 9 + 512) + 512 x 20 + 20."""
        network = SeeNet().network(build_backbone("vgg16"), 20, Head())
        head = 3 * (512 * 512 * 9 + 512) + 512 * 20 + 20
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count == 14_714_688 + 3 * head

    def test_224_pixels_give_14_cells(self) -> None:
        backbone = build_backbone("vgg16", width=0.125, **SeeNet.backbone_options)
        network = SeeNet().network(backbone, 2, Head(0.125)).eval()
        with torch.no_grad():
            maps = SeeNet().attention(network, Batch(torch.randn(1, 3, 224, 224), torch.ones(1, 2)))
        assert maps.shape == (1, 2, 14, 14)

    def test_attention_is_the_maximum_of_both_branches_maps(self) -> None:
        method, network = build("seenet")
        network.eval()
        data = batch()
        with torch.no_grad():
            maps = method.attention(network, data).numpy()
            score_a, score_b, _ = network(data.images, data.labels)
        for image, present in enumerate(data.labels.numpy() > 0):
            for index in np.flatnonzero(present):
                one, two = (np.maximum(s[image, index].numpy(), 0) for s in (score_a, score_b))
                expected = np.maximum(one / (one.max() + 1e-8), two / (two.max() + 1e-8))
                np.testing.assert_allclose(maps[image, index], expected, atol=1e-5)


class TestAcol:
    def test_losses_reach_their_own_head_alone(self) -> None:
        method, network = build("acol")
        losses = method.losses(network, batch())
        assert reached(losses["first"], network) == {"backbone", "first"}
        losses = method.losses(network, batch())
        assert reached(losses["second"], network) == {"backbone", "second"}

    def test_second_head_does_not_see_what_the_first_found(self) -> None:
        """With everything erased but the cells below the threshold, altering these alone counts."""
        _, network = build("acol")
        seen: list[Tensor] = []
        network.second.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        data = batch()
        with torch.no_grad():
            first, _ = network(data.images, data.labels)
            features = network.features(data.images)
        for image in range(3):
            maps = first[image][data.labels[image] > 0].numpy()
            low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
            erased = ((maps - low) / (high - low + 1e-8)).max(axis=0) >= 0.6
            assert erased.any()
            assert not erased.all()
            assert not seen[0][image][:, torch.from_numpy(erased)].any()
            kept = torch.from_numpy(~erased)
            assert torch.equal(seen[0][image][:, kept], features[image][:, kept])


class TestOptions:
    def test_unknown_option_suggests_the_near_name(self) -> None:
        with pytest.raises(BenchmarkError, match="did you mean 'erase'"):
            build_method("seenet", {"erased": 0.7})

    def test_bad_value_names_the_option(self) -> None:
        with pytest.raises(BenchmarkError, match="option 'erase'"):
            build_method("seenet", {"erase": 7})

    def test_unknown_method_suggests_the_near_name(self) -> None:
        with pytest.raises(BenchmarkError, match="no method 'senet': did you mean 'seenet'"):
            build_method("senet", {})


def test_gaussian_initialisation_is_the_released_one_at_the_released_width() -> None:
    torch.manual_seed(0)
    head = conv_head(512, 512, 20, convs=1)
    init_gaussian(head)
    assert float(head[0].weight.std()) == pytest.approx(0.01, rel=0.01)
    slim = conv_head(128, 128, 20, convs=1)
    init_gaussian(slim)
    assert float(slim[0].weight.std()) == pytest.approx(0.02, rel=0.02)


def test_width_never_leaves_fewer_than_eight_channels() -> None:
    assert (scaled(512, Head(0.25)), scaled(512, Head(0.001))) == (128, 8)


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("acol", [2, 2, 2, 1, 1]),  # acol's release, vgg_v1.py: pools 4 and 5 keep the size
        ("sec", [2, 2, 2]),  # SEC's classifier has no pools 4 and 5
        ("sgan", [2, 2, 2]),  # nor has SGAN's
    ],
)
def test_the_backbone_has_the_papers_pools(name: str, strides: list[int]) -> None:
    options = load_method_class(name).backbone_options
    backbone = build_backbone("vgg16", width=0.125, **options)
    pools = [layer for layer in backbone.modules() if isinstance(layer, nn.MaxPool2d)]
    assert [pool.stride for pool in pools] == strides
