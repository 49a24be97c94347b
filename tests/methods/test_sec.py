"""SEC's classifier, its class activation maps and its gradient saliency."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter
from torch import Tensor, nn

from benchmark.attention import attention_maps
from benchmark.backbones import build_backbone
from benchmark.method import Batch, Head, LabelledImages
from methods.sec import SEC, SecNetwork, background_layer, median3, share_above

CLASSES = 3


def build(classifier_bias: float = 0.0, **backbone: Any) -> tuple[SEC, SecNetwork]:
    torch.manual_seed(0)
    method = SEC()
    options = {"width": 0.125, **SEC.backbone_options, **backbone}
    network = method.network(
        build_backbone("vgg16", **options), CLASSES, Head(0.05, 4.0, classifier_bias)
    )
    assert isinstance(network, SecNetwork)
    return method, network.eval()


def images(size: tuple[int, int] = (41, 57), batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


# --- the network --------------------------------------------------------------------------------


def test_published_classifier() -> None:
    """fc6_CAM and fc7_CAM 3x3x1024 with biases, the classifier without one."""
    network = SEC().network(build_backbone("vgg16"), 20, Head())
    kinds = [type(layer) for layer in network.head]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.Dropout, nn.Conv2d, nn.Dropout, nn.Conv2d]
    assert network.head[5].bias is None
    assert (network.head[2].p, network.head[4].p) == (0.5, 0.5)
    head = 512 * 1024 * 9 + 1024 + 1024 * 1024 * 9 + 1024 + 1024 * 20
    assert sum(p.numel() for p in network.parameters()) == 14_714_688 + head
    for layer in (network.head[0], network.head[3], network.head[5]):
        assert float(layer.weight.detach().std()) == pytest.approx(0.005, rel=0.05)
    assert not network.head[0].bias.any() and not network.head[3].bias.any()


def test_321_pixels_give_41_cells() -> None:
    _, network = build(width=1 / 32)
    with torch.no_grad():
        assert network(torch.randn(1, 3, 321, 321)).shape == (1, CLASSES, 41, 41)


def test_the_profile_may_start_the_classifier_elsewhere() -> None:
    _, network = build(classifier_bias=-2.5)
    assert network.head[5].bias.tolist() == [-2.5] * CLASSES


def test_recipes_of_the_paper() -> None:
    recipe = SEC().training()
    assert (recipe.batch_size, recipe.iterations, recipe.drops) == (15, 8000, (0.5,))
    assert (recipe.learning_rate, recipe.weight_decay, recipe.momentum) == (1e-3, 5e-4, 0.9)
    assert (recipe.view, recipe.crop, recipe.test_size) == ("warp", 321, 321)
    assert not recipe.flip and not recipe.colour
    assert not SEC().inference().flip and SEC().inference().scales == (1.0,)


def test_loss_is_the_mean_binary_cross_entropy() -> None:
    method, network = build()
    labels = torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    scores = network(images()).mean(dim=(2, 3)).detach().double().numpy()
    probability = 1 / (1 + np.exp(-scores))
    expected = -np.where(labels.numpy() == 1, np.log(probability), np.log(1 - probability)).mean()
    loss = method.losses(network, Batch(images(), labels))["classification"]
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_attention_by_loop() -> None:
    method, network = build()
    labels = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    with torch.no_grad():
        maps = method.attention(network, Batch(images(), labels)).numpy()
        scores = network(images()).double().numpy()
    for image, c in np.ndindex(2, CLASSES):
        positive = np.maximum(scores[image, c], 0)
        expected = positive / (positive.max() + 1e-8) * float(labels[image, c])
        np.testing.assert_allclose(maps[image, c], expected, atol=1e-5)
    assert maps.any()


# --- the background -----------------------------------------------------------------------------


def looped_share_above(maps: np.ndarray) -> np.ndarray:
    found = np.empty(maps.shape)
    for place in np.ndindex(maps.shape):
        cells = maps[place[0]].ravel()
        found[place] = sum(other > maps[place] for other in cells) / len(cells)
    return found


def test_gradient_is_the_one_by_the_rectified_conv4_1() -> None:
    """The network cut in two after relu4_1, the nineteenth layer."""
    _, network = build()
    features = network.backbone.features
    with torch.no_grad():
        middle = features[:19](images())
    assert middle.shape[1] == 64 and float(middle.min()) == 0
    middle.requires_grad_()
    scores = network.head(features[19:](middle * 1)).mean(dim=(2, 3))
    (expected,) = torch.autograd.grad(scores.sum(), middle)
    torch.testing.assert_close(network.gradient(images()), expected)


def test_gradient_is_the_slope_of_the_scores() -> None:
    """Finite differences in float64, the features altered by a hook of the test's own."""
    _, network = build()
    network.double()
    views = images().double()
    found = network.gradient(views)
    place = tuple(int(i) for i in np.unravel_index(int(found.abs().argmax()), found.shape))

    def total(step: float) -> float:
        def alter(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            changed = output.clone()
            changed[place] += step
            return changed

        hook = network.backbone.features[18].register_forward_hook(alter)
        with torch.no_grad():
            value = float(network(views).mean(dim=(2, 3)).sum())
        hook.remove()
        return value

    slope = (total(1e-6) - total(-1e-6)) / 2e-6
    assert float(found[place]) == pytest.approx(slope, rel=1e-4)


def test_background_by_loop() -> None:
    method, network = build()
    data = Batch(images(), torch.zeros(2, CLASSES))
    with torch.no_grad():
        found = method.background(network, data).numpy()
    gradient = network.gradient(images()).numpy()
    saliency = np.abs(gradient).max(axis=1)
    smooth = np.stack([median_filter(plane, 3, mode="nearest") for plane in saliency])
    np.testing.assert_allclose(found, looped_share_above(smooth), atol=1e-6)
    assert found.shape == (2, 6, 8)
    assert found.min() >= 0 and found.max() < 1
    assert found.std() > 0.1


def test_background_by_hand() -> None:
    """Ranks of a 1x5 map: two cells of five are above 3, all others above the least."""
    maps = torch.tensor([[[5.0, 1.0, 3.0, 3.0, 4.0]]])
    expected = torch.tensor([[[0.0, 0.8, 0.4, 0.4, 0.2]]])
    torch.testing.assert_close(share_above(maps), expected)
    assert not share_above(torch.full((2, 3, 4), 7.0)).any()


def test_tenth_of_the_cells_that_is_least_salient() -> None:
    maps = torch.rand(2, 10, 10, generator=torch.Generator().manual_seed(0))
    chosen = share_above(maps) >= 0.9
    assert chosen.sum(dim=(1, 2)).tolist() == [10, 10]
    for plane, mask in zip(maps, chosen, strict=True):
        assert float(plane[mask].max()) < float(plane[~mask].min())


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 2), (6, 7)])
def test_median_is_scipys(size: tuple[int, int]) -> None:
    maps = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    expected = np.stack([median_filter(plane, 3, mode="nearest") for plane in maps.numpy()])
    assert np.array_equal(median3(maps).numpy(), expected)


def test_background_does_not_depend_on_the_rest_of_the_batch_or_on_frozen_blocks() -> None:
    method, network = build()
    together = method.background(network, Batch(images(), torch.zeros(2, CLASSES)))
    network.requires_grad_(False)
    alone = method.background(network, Batch(images()[:1], torch.ones(1, CLASSES)))
    torch.testing.assert_close(together[:1], alone, atol=0.03, rtol=0)


def test_background_leaves_no_trace() -> None:
    method, network = build()
    views = images()
    method.background(network, Batch(views, torch.zeros(2, CLASSES)))
    assert all(p.grad is None for p in network.parameters())
    assert not views.requires_grad
    assert not background_layer(network.backbone)._forward_hooks


def test_other_backbones_give_their_last_features() -> None:
    backbone = build_backbone("mobilenet_v2", output_stride=16, last_conv=False)
    assert background_layer(backbone) is backbone
    network = SEC().network(backbone, CLASSES, Head(0.05)).eval()
    found = SEC().background(network, Batch(images((33, 33)), torch.zeros(2, CLASSES)))
    assert found.shape == (2, 3, 3)


def test_maps_and_background_through_the_inference() -> None:
    """Without gradients, as the stage asks for them."""
    method, network = build()
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40, 50, 3)).astype(np.uint8) for _ in range(2)]
    labels = np.array([[True, False, True], [False, False, False]])
    maps, background = attention_maps(method, network, LabelledImages(pictures, labels), 41)
    assert maps.shape == (2, CLASSES, 6, 6) and not maps[1].any()
    assert background is not None and background.shape == (2, 6, 6)
    assert (background >= 0).all() and (background <= 1).all()
