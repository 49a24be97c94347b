"""The training loop: schedule, groups, resume; and the maps that are read off a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.attention import (
    LabelledImages,
    Trainer,
    attention_maps,
    build_optimiser,
    check_maps,
    class_scores,
    fuse,
    learning_rate,
    parameter_groups,
)
from benchmark.backbones import build_backbone
from benchmark.errors import BenchmarkError
from benchmark.method import Head, InferenceRecipe, Method, TrainingRecipe
from benchmark.progress import SilentProgress
from benchmark.registry import build_method

RECIPE = TrainingRecipe(
    iterations=6, batch_size=3, learning_rate=0.01, side=(32, 40), crop=32, test_size=32
)


def images(number: int = 7) -> LabelledImages:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (40, 50, 3), dtype=np.uint8) for _ in range(number)]
    labels = rng.random((number, 3)) < 0.5
    labels[:, 0] |= ~labels.any(axis=1)
    return LabelledImages(pictures, labels)


def build(name: str = "seenet") -> tuple[Method, nn.Module]:
    torch.manual_seed(0)
    method = build_method(name, {"dropout": 0.5} if name != "acol" else {})
    return method, method.network(build_backbone("vgg16", width=0.125), 3, Head(0.05))


def trainer(scratch: Path, recipe: TrainingRecipe = RECIPE, seed: int = 0) -> Trainer:
    return Trainer(
        images(), recipe, seed=seed, scratch=scratch, progress=SilentProgress(), label="test"
    )


def trained(scratch: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    method, network = build()
    torch.manual_seed(1)
    trainer(scratch, seed=seed).run(network, method.losses)
    return network.state_dict()


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], two[key]) for key in one)


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    first = trained(tmp_path / "a")
    assert same(first, trained(tmp_path / "b"))
    assert not same(first, trained(tmp_path / "c", seed=1))


def test_an_interrupted_training_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    whole = trained(tmp_path / "whole")
    monkeypatch.setattr("benchmark.attention.CHECKPOINT_SECONDS", -1.0)
    method, network = build()
    torch.manual_seed(1)
    broken = trainer(tmp_path)
    plain, steps = broken._step, []

    def step(*arguments: object) -> float:
        if len(steps) == 4:
            raise KeyboardInterrupt
        steps.append(1)
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(broken, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        broken.run(network, method.losses)
    method, network = build()
    torch.manual_seed(99)
    resumed = trainer(tmp_path)
    seen: list[int] = []
    begin = resumed.batches
    monkeypatch.setattr(
        resumed, "batches", lambda start, source: (seen.append(start), begin(start, source))[1]
    )
    resumed.run(network, method.losses)
    assert seen == [4]
    assert same(whole, network.state_dict())


def test_a_loss_that_is_not_finite_stops_at_once_and_names_the_step(tmp_path: Path) -> None:
    _, network = build()

    def losses(network: nn.Module, batch: object) -> dict[str, torch.Tensor]:
        total = torch.stack([parameter.sum() for parameter in network.parameters()]).sum()
        return {"bad": total * float("nan")}

    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(BenchmarkError, match="nan at step 1"):
        trainer(tmp_path).run(network, losses)
    assert same(before, network.state_dict())


def test_every_image_is_seen_once_an_epoch(tmp_path: Path) -> None:
    loop = trainer(tmp_path)
    for epoch in range(2):
        seen = [loop._order(epoch)[position] for position in range(7)]
        assert sorted(seen) == list(range(7))
    assert list(loop._order(0)) != list(loop._order(1))


def test_the_papers_schedule_by_hand() -> None:
    """SeeNet Sec. 5.1: 1e-3, divided by 10 after 15,000 of 25,000 iterations."""
    recipe = TrainingRecipe()
    rates = [learning_rate(recipe, step) for step in (0, 14_999, 15_000, 24_999)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
    warm = TrainingRecipe(warm_up=3, drops=())
    assert [learning_rate(warm, step) for step in range(5)] == pytest.approx(
        [2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3]
    )


def test_parameter_groups_rate_heads_and_biases_apart() -> None:
    _, network = build("acol")
    groups = parameter_groups(network, TrainingRecipe(head_rate=10.0, weight_decay=5e-4))
    found = {(group["rate"], group["weight_decay"]): len(group["params"]) for group in groups}
    assert found == {(1.0, 5e-4): 13, (2.0, 0.0): 13, (10.0, 5e-4): 6, (20.0, 0.0): 6}


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_optimiser_follows_the_recipe(kind: str) -> None:
    _, network = build()
    optimiser = build_optimiser(network, TrainingRecipe(optimiser=kind, nesterov=kind == "sgd"))
    assert type(optimiser).__name__.lower() == kind


def test_frozen_parameters_are_left_out() -> None:
    method = build_method("cam", {})
    network = method.network(build_backbone("vgg16", width=0.125, frozen_blocks=5), 3, Head(0.05))
    groups = parameter_groups(network, TrainingRecipe())
    assert sum(len(group["params"]) for group in groups) == 4


def test_maps_are_the_maximum_over_the_image_and_its_mirror_image() -> None:
    method, network = build("cam")
    data = images(2)
    maps, background = attention_maps(method, network, data, 32)
    assert background is None
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in data.images]
    flipped, _ = attention_maps(method, network, LabelledImages(mirrored, data.labels), 32)
    flipped = flipped[..., ::-1]
    np.testing.assert_allclose(maps, flipped, atol=1e-5)
    assert maps.shape == (2, 3, 2, 2)
    assert not maps[~data.labels].any()


def test_class_scores_do_not_depend_on_the_batch_size() -> None:
    method, network = build("cam")
    data = images()
    together, alone = (class_scores(method, network, data, 32, size) for size in (7, 2))
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    ("fusion", "normalise", "expected"),
    [
        ("maximum", "none", [[0, 0.5, 1], [0.25, 0.25, 0.25]]),
        ("sum", "none", [[0, 0.5, 1.5], [0.5, 0.5, 0.5]]),
        ("maximum", "max", [[0, 0.5, 1], [1, 1, 1]]),
        ("sum", "max", [[0, 1 / 3, 1], [1, 1, 1]]),
        ("maximum", "min_max", [[0, 0.5, 1], [0, 0, 0]]),
        ("sum", "min_max", [[0, 1 / 3, 1], [0, 0, 0]]),
    ],
)
def test_views_are_fused_and_normalised_as_the_recipe_says(
    fusion: str, normalise: str, expected: list[list[float]]
) -> None:
    """Two views of one image with two classes, three cells each, worked by hand."""
    views = torch.tensor([[[0, 0, 0.5], [0.25, 0.25, 0.25]], [[0, 0.5, 1], [0.25, 0.25, 0.25]]])
    recipe = InferenceRecipe(fusion=fusion, normalise=normalise)  # type: ignore[arg-type]
    found = fuse([view[None, :, None] for view in views], recipe)
    torch.testing.assert_close(found[0, :, 0], torch.tensor(expected))


def test_min_max_takes_negative_maps_each_class_and_image_by_itself() -> None:
    maps = torch.tensor([[[[-4.0, -2.0]], [[1.0, 5.0]]], [[[-7.0, 3.0]], [[0.0, 0.0]]]])
    found = fuse([maps], InferenceRecipe(normalise="min_max"))
    assert found.tolist() == [[[[0, 1]], [[0, 1]]], [[[0, 1]], [[0, 0]]]]
    zero = torch.zeros(1, 1, 2, 2)
    assert not fuse([zero], InferenceRecipe(normalise="max")).any()


def test_maps_that_are_not_numbers_are_told_after_normalising_too() -> None:
    for bad in (float("nan"), float("inf")):
        maps = fuse([torch.tensor([[[[0.0, bad]]]])], InferenceRecipe(normalise="min_max"))
        with pytest.raises(BenchmarkError, match=r"leaves \[0, 1\]"):
            check_maps(build_method("cam", {}), maps)
