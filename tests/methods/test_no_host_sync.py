"""No training step has a GPU wait for the host, or lacks an algorithm that is deterministic there.

On torch's device "meta", which has shapes and no values: what reads one fails. A value that goes
the other way, from the host to the device, has the host wait for all that the device still has to
do, unless it is sent as ``benchmark.device.sent`` sends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmark.attention import build_optimiser
from benchmark.backbones import build_backbone
from benchmark.batches import Look, ResidentSource, Source, normalised
from benchmark.data.augment import draw_view
from benchmark.method import Batch, Head
from benchmark.refinement import GROUP, build_refinement
from benchmark.registry import build_method, method_entry_points, plugin_points
from benchmark.segmentation.losses import (
    balanced_seed_loss,
    constrain_loss,
    expand_loss,
    floored_softmax,
    seed_loss,
)

CLASSES = 3
HEAD = Head(width=0.125, init_gain=4.0)
LABELS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
META = torch.device("meta")

Losses = Callable[[Any, Batch], dict[str, Tensor]]

UNDETERMINED = {
    "_adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "bincount",
    "cumsum",
    "grid_sampler_2d_backward",
    "histc",
    "max_unpool2d",
    "median",
    "nll_loss_forward",
    "put",
    "reflection_pad2d_backward",
    "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
}
"""What ``torch.use_deterministic_algorithms`` says raises RuntimeError on a GPU.

So does ``nll_loss2d_forward`` where it sums; ``cumsum`` of integers does not.
"""


class Computing(TorchDispatchMode):
    """Refuses what would have the host wait, or lacks a deterministic algorithm on a GPU."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        of_host = [value for value in given if value.device.type == "cpu" and value.ndim]
        on_device = [value for value in tree_leaves(found) if _is_on_meta(value)]
        if of_host and (on_device or any(map(_is_on_meta, given))):
            assert kwargs.get("non_blocking"), (
                f"{func} waits until the device has the host's values"
            )
        name = func.overloadpacket.__name__
        of_counts = name == "cumsum" and not given[0].is_floating_point()
        if on_device and not of_counts:
            assert name not in UNDETERMINED, f"{func} has no deterministic algorithm"
        if on_device and name == "nll_loss2d_forward":
            assert args[3] == 0, f"{func} has none where it sums"
        return found


class Making(TorchFunctionMode):
    """Refuses tensors made on the device of the host's numbers, which ``Computing`` cannot see."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor):
            assert found.device != META, f"{func} waits until the device has the host's values"
        return found


def _is_on_meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device == META


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """On any device but a CPU torch then takes other algorithms, meta too."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def batch(step: int = 0) -> Batch:
    return Batch(
        torch.randn(3, 3, 48, 48, device=META),
        LABELS.to(META),
        torch.rand(3, 48, 48, device=META),
        torch.zeros(3, 48, 48, dtype=torch.long, device=META),
        step,
        LABELS,
    )


def take_a_step(network: nn.Module, losses: Losses, data: Batch, recipe: Any) -> None:
    """Take a step as a trainer does; AssertionError or RuntimeError where it would wait."""
    network.to(META).train()
    optimiser = build_optimiser(network, recipe)
    with Making(), Computing():
        loss = torch.stack(list(losses(network, data).values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def backbone(output_stride: int = 8) -> nn.Module:
    return build_backbone("vgg16", width=0.125, output_stride=output_stride)


VARIANTS: list[tuple[str, dict[str, Any], int]] = [
    *((name, {}, 0) for name in sorted(method_entry_points())),
    *(
        ("eader", options, step)
        for options in (
            {},
            {"attention": "cam"},
            {"normalisation": "classes"},
            {"shared_weights": True},
        )
        for step in (0, 200)  # 200: the adversary's turn
    ),
    ("gain", {"classes": "one"}, 0),
    ("gain", {"second_order": False}, 0),
    ("gain", {"head_convs": 0}, 0),
    *(("sgan", {"variant": name}, 0) for name in ("SGAN-SEED", "SGAN-SAL-SEED", "Baseline")),
    *(("sgan", {"normalisation": name}, 0) for name in ("row_sum", "softmax")),
    ("sgan", {"non_salient": "similarity"}, 0),
    ("sgan", {"seed_mean": "image"}, 0),
]


@pytest.mark.parametrize(("name", "options", "step"), VARIANTS)
def test_a_step_of_a_method_never_waits(name: str, options: dict[str, Any], step: int) -> None:
    method = build_method(name, options)
    network = method.network(backbone(), CLASSES, HEAD)
    take_a_step(network, method.losses, batch(step), method.training())


@pytest.mark.parametrize("output_stride", [8, 16])  # with 16 the levels' sizes differ
@pytest.mark.parametrize("name", sorted(plugin_points(GROUP)))
def test_a_step_of_a_refinement_never_waits(name: str, output_stride: int) -> None:
    refiner = build_refinement(name, {})
    network = refiner.network(backbone(output_stride), HEAD)
    take_a_step(network, refiner.losses, batch(), refiner.training())


def test_the_losses_of_cues_never_wait() -> None:
    """But for the CRF and the growth of seeds, which are the host's."""
    scores = torch.randn(3, CLASSES + 1, 6, 6, device=META, requires_grad=True)
    with Making(), Computing():
        probabilities = floored_softmax(scores)
        labels = torch.zeros(3, 6, 6, dtype=torch.long, device=META)
        losses = [
            seed_loss(probabilities, labels),
            balanced_seed_loss(probabilities, labels),
            expand_loss(probabilities, LABELS.to(META, non_blocking=True)),
            constrain_loss(probabilities, torch.rand_like(probabilities), (0.05, 20.0)),
        ]
        torch.stack(losses).sum().backward()


def test_views_cut_on_the_device_never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("benchmark.device", "benchmark.batches", "benchmark.data.resident"):
        monkeypatch.setattr(f"{module}.device", lambda: META)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(3)]
    planes = [image[..., 0] for image in images]
    seeds = [plane.astype(np.int16) for plane in planes]
    source = ResidentSource(Source(images, LABELS.bool().numpy(), planes, seeds), [(40, 50)] * 3)
    looks = [
        Look(index, draw_view(image.shape, rng, kind="area", side=(1, 1), crop=48, flip=True), None)
        for index, image in enumerate(images)
    ]
    normalised(torch.empty(1, 1, 1, 3, device=META))  # its constants are sent once
    with Making(), Computing():
        cut = source.batch(looks, 0)
    assert (cut.images.shape, cut.images.device) == ((3, 3, 48, 48), META)
    assert cut.labels_on_host is not None and cut.labels_on_host.device.type == "cpu"


def plain(network: nn.Module, data: Batch) -> Tensor:
    found: Tensor = network(data.images)
    return found


def of_an_item(network: nn.Module, data: Batch) -> Tensor:
    return plain(network, data).mean() * data.labels.sum().item()


def of_a_branch(network: nn.Module, data: Batch) -> Tensor:
    scores = plain(network, data).mean()
    return scores if data.labels.any() else -scores


def of_places(network: nn.Module, data: Batch) -> Tensor:
    return plain(network, data)[data.labels.nonzero()[:, 0]].mean()


def of_chosen(network: nn.Module, data: Batch) -> Tensor:
    return plain(network, data)[data.labels.any(dim=1)].mean()


def of_a_highest(network: nn.Module, data: Batch) -> Tensor:
    return plain(network, data).mean() * functional.one_hot(data.labels.long()).sum()


def of_the_hosts(network: nn.Module, data: Batch) -> Tensor:
    return plain(network, data).mean() * torch.ones(3).to(META).sum()


def of_the_hosts_places(network: nn.Module, data: Batch) -> Tensor:
    return plain(network, data)[torch.tensor([0, 2])].mean()


def of_numbers(network: nn.Module, data: Batch) -> Tensor:
    return plain(network, data).mean() * torch.tensor(2.0, device=META)


def of_adaptive_windows(network: nn.Module, data: Batch) -> Tensor:
    return functional.adaptive_avg_pool2d(plain(network, data), 5).mean()


def of_sums_in_any_order(network: nn.Module, data: Batch) -> Tensor:
    seeds = torch.zeros(3, 46, 46, dtype=torch.long, device=META)
    return functional.cross_entropy(plain(network, data), seeds)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (of_an_item, "cannot be called on meta tensors"),
        (of_a_branch, "cannot be called on meta tensors"),
        (of_places, "nonzero"),
        (of_chosen, "nonzero"),
        (of_a_highest, "cannot be called on meta tensors"),
        (of_the_hosts, "waits until the device has the host's values"),
        (of_the_hosts_places, "waits until the device has the host's values"),
        (of_numbers, "waits until the device has the host's values"),
        (of_adaptive_windows, "_adaptive_avg_pool2d_backward.* has no deterministic algorithm"),
        (of_sums_in_any_order, "nll_loss2d_forward.* has none where it sums"),
    ],
)
def test_what_waits_or_sums_in_any_order_is_caught(
    loss: Callable[[nn.Module, Batch], Tensor], words: str
) -> None:
    recipe = build_method("cam", {}).training()
    data = batch()
    take_a_step(nn.Conv2d(3, 4, 3), lambda *given: {"one": plain(*given).mean()}, data, recipe)
    with pytest.raises((AssertionError, RuntimeError), match=words):
        take_a_step(nn.Conv2d(3, 4, 3), lambda *given: {"one": loss(*given)}, data, recipe)


@pytest.mark.parametrize("name", ["gain", "eader"])
def test_a_batch_without_labels_on_the_host_is_caught(name: str) -> None:
    method = build_method(name, {})
    data = replace(batch(), labels_on_host=None)
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        take_a_step(
            method.network(backbone(), CLASSES, HEAD), method.losses, data, method.training()
        )
