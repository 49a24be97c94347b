"""The training loop: schedule, groups, resume; and the maps that are read off a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.attention import (
    Trainer,
    attention_maps,
    build_optimiser,
    check_maps,
    class_scores,
    compile_backbones,
    fuse,
    learning_rate,
    parameter_groups,
    resume,
    save,
)
from benchmark.backbones import IMAGENET_MEAN, IMAGENET_STD, build_backbone
from benchmark.errors import BenchmarkError
from benchmark.method import (
    Batch,
    Head,
    InferenceRecipe,
    LabelledImages,
    Method,
    Paper,
    TrainingRecipe,
)
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
    method = build_method(name, {"dropout": 0.5} if name in ("cam", "seenet") else {})
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


class FakeDevices:
    """CUDA devices as far as their random states go: a state is a byte tensor of one number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.states = [torch.tensor([place], dtype=torch.uint8) for place in range(count)]
        for name in ("is_available", "device_count", "get_rng_state_all", "set_rng_state_all"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr("benchmark.attention.device", lambda: torch.device("cpu"))

    def is_available(self) -> bool:
        return bool(self.states)

    def device_count(self) -> int:
        return len(self.states)

    def get_rng_state_all(self) -> list[torch.Tensor]:
        return [state.clone() for state in self.states]

    def set_rng_state_all(self, states: list[torch.Tensor]) -> None:
        assert len(states) <= len(self.states)
        for place, state in enumerate(states):
            assert state.device.type == "cpu"
            self.states[place] = state.clone()


@pytest.mark.parametrize(("saved_on", "resumed_on"), [(2, 2), (2, 1), (1, 2), (2, 0), (0, 2)])
def test_a_checkpoint_gives_every_device_its_random_state_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved_on: int, resumed_on: int
) -> None:
    network = nn.Linear(1, 1)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    before = FakeDevices(monkeypatch, saved_on)
    for state in before.states:
        state += 100
    save(tmp_path / "x.pt", network, optimiser, 5)
    after = FakeDevices(monkeypatch, resumed_on)
    assert resume(tmp_path / "x.pt", network, optimiser) == 5
    both = min(saved_on, resumed_on)
    expected = [100, 101][:both] + [0, 1][both:resumed_on]
    assert [int(state) for state in after.states] == expected


def test_padding_keeps_the_mean_colour_while_the_image_is_recoloured(tmp_path: Path) -> None:
    """A 40 x 50 picture resized to 20 x 25 lies somewhere in a square of 32 pixels."""
    recipe = replace(RECIPE, view="longer_side", side=(25, 25), colour=0.3, flip=False)
    white = LabelledImages([np.full((40, 50, 3), 255, np.uint8)] * 3, images(3).labels)
    loop = Trainer(white, recipe, seed=0, scratch=tmp_path, progress=SilentProgress(), label="test")
    mean = torch.tensor([124, 116, 104]) / 255 - torch.tensor(IMAGENET_MEAN)
    mean = (mean / torch.tensor(IMAGENET_STD)).view(3, 1, 1)
    darkest = []
    for _, batch in loop.batches(0):
        padded = torch.isclose(batch.images, mean, atol=1e-4).all(dim=1)
        assert padded.sum(dim=(1, 2)).tolist() == [32 * 32 - 20 * 25] * 3
        darkest += [
            float(image[0, ~pad].min()) for image, pad in zip(batch.images, padded, strict=True)
        ]
    assert len(set(darkest)) > 1  # the white was recoloured


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
            check_maps(build_method("cam", {}), maps, (1, 1))


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (2, 1, 4, 4), (2, 3, 4), (2, 4, 4, 4)])
def test_maps_that_would_be_spread_over_images_or_classes_are_refused(
    shape: tuple[int, ...],
) -> None:
    method = build_method("cam", {})
    check_maps(method, torch.zeros(2, 3, 4, 4), (2, 3))
    with pytest.raises(BenchmarkError, match=r"not \(B, C, h, w\) for labels \(2, 3\)"):
        check_maps(method, torch.zeros(shape), (2, 3))


def test_the_poly_schedule_by_hand() -> None:
    recipe = TrainingRecipe(learning_rate=0.1, iterations=10, schedule="poly", drops=(0.1,))
    rates = [learning_rate(recipe, step) for step in (0, 5, 9)]
    assert rates == pytest.approx([0.1, 0.1 * 0.535887, 0.1 * 0.125893], rel=1e-5)
    warm = replace(recipe, warm_up=1)
    assert learning_rate(warm, 0) == pytest.approx(0.05)
    assert learning_rate(warm, 5) == pytest.approx(0.0535887, rel=1e-5)


class TestFusion:
    def resized(self, plane: np.ndarray, height: int, width: int) -> np.ndarray:
        """Bilinear with half-pixel centres and repeated edges, one cell at a time."""
        found = np.zeros((height, width))
        for row in range(height):
            for column in range(width):
                y = min(max((row + 0.5) * plane.shape[0] / height - 0.5, 0), plane.shape[0] - 1)
                x = min(max((column + 0.5) * plane.shape[1] / width - 0.5, 0), plane.shape[1] - 1)
                top, left = int(y), int(x)
                below, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
                upper = plane[top, left] * (1 - x + left) + plane[top, right] * (x - left)
                lower = plane[below, left] * (1 - x + left) + plane[below, right] * (x - left)
                found[row, column] = upper * (1 - y + top) + lower * (y - top)
        return found

    @pytest.mark.parametrize("fusion", ["maximum", "sum"])
    @pytest.mark.parametrize("normalise", ["none", "max"])
    def test_maps_of_several_scales(self, fusion: Any, normalise: Any) -> None:
        rng = np.random.default_rng(0)
        views = [rng.random((2, 3, *size)) for size in ((6, 8), (6, 8), (3, 4), (5, 2))]
        views = [view * (np.arange(3) != 1)[None, :, None, None] for view in views]  # one absent
        expected = np.zeros((2, 3, 6, 8))
        for image in range(2):
            for index in range(3):
                planes = [self.resized(view[image, index], 6, 8) for view in views]
                fused = np.max(planes, axis=0) if fusion == "maximum" else np.sum(planes, axis=0)
                if normalise == "max" and fused.max() > 0:
                    fused = fused / fused.max()
                expected[image, index] = fused
        found = fuse(
            [torch.from_numpy(view) for view in views],
            InferenceRecipe(fusion=fusion, normalise=normalise),
        )
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
        assert not found[:, 1].any()
        assert bool(torch.isfinite(found).all())


class Stub(Method):
    """Attention and background that tell which view was seen."""

    paper = Paper("Title", "Venue", "Reference")
    recipe = InferenceRecipe()

    def network(self, backbone: Any, num_classes: int, head: Head) -> nn.Module:
        return nn.Linear(1, 1)

    def losses(self, network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        return {"only": (network.weight * batch.images.mean()).sum()}

    def class_scores(
        self, network: Any, images: torch.Tensor, saliency: torch.Tensor | None
    ) -> torch.Tensor:
        raise AssertionError

    def attention(self, network: Any, batch: Batch) -> torch.Tensor:
        """Saliency in quarter cells, for every class, absent ones too."""
        assert batch.saliency is not None
        cells = nn.functional.avg_pool2d(batch.saliency[:, None], 4)
        return cells.expand(-1, batch.labels.shape[1], -1, -1)

    def background(self, network: Any, batch: Batch) -> torch.Tensor | None:
        """The size of the view over 100, in its left column; 0 elsewhere."""
        assert batch.saliency is not None
        size = batch.images.shape[2]
        found = torch.zeros(len(batch.images), size // 4, size // 4)
        found[:, :, 0] = size / 100
        return found

    def inference(self) -> InferenceRecipe:
        return self.recipe


def salient(number: int = 2) -> LabelledImages:
    """Images of which the left half is salient."""
    plane = np.zeros((16, 16), np.uint8)
    plane[:, :8] = 255
    picture = np.repeat(plane[..., None], 3, axis=2)
    labels = np.zeros((number, 3), bool)
    labels[:, 1] = True
    return LabelledImages([picture] * number, labels, [plane] * number)


class Shapes(Stub):
    """Attention as large as the view, whose shape is kept."""

    recipe = InferenceRecipe((1.0, 0.5), flip=False, fusion="sum", normalise="max")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def inference(self) -> InferenceRecipe:
        return self.recipe

    def attention(self, network: Any, batch: Batch) -> torch.Tensor:
        self.seen.append(tuple(batch.images.shape[2:]))
        return batch.images[:, :1].abs().expand(-1, batch.labels.shape[1], -1, -1)

    def background(self, network: Any, batch: Batch) -> torch.Tensor | None:
        return None


class TestMaps:
    def test_images_that_keep_their_shape_are_scaled_from_their_own_size(self) -> None:
        method, data = Shapes(), images(2)  # of 40 x 50 pixels
        maps, _ = attention_maps(method, nn.Linear(1, 1), data, 32, keep_shape=True)
        assert method.seen == [(40, 50), (20, 25)]
        assert maps.shape == (2, 3, 40, 50)
        method.seen.clear()
        attention_maps(method, nn.Linear(1, 1), data, 32)
        assert method.seen == [(32, 32), (16, 16)]

    def test_squares_of_the_test_size_give_the_same_maps_either_way(self) -> None:
        rng = np.random.default_rng(0)
        pictures = [rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(2)]
        data = LabelledImages(pictures, np.ones((2, 3), bool))
        method, network = build("psa")
        one, _ = attention_maps(method, network, data, 32, keep_shape=True)
        two, _ = attention_maps(method, network, data, 32)
        assert np.array_equal(one, two)

    def test_saliency_is_mirrored_with_the_image_and_absent_classes_are_0(self) -> None:
        method = Stub()
        maps, _ = attention_maps(method, nn.Linear(1, 1), salient(), 16)
        assert maps[:, 1].tolist() == [[[1.0, 1.0, 0.0, 0.0]] * 4] * 2
        assert not maps[:, [0, 2]].any()

    def test_background_is_the_mean_over_all_views(self) -> None:
        """Both mirror images of one scale: its value over 2 in the first and the last column."""
        _, background = attention_maps(Stub(), nn.Linear(1, 1), salient(1), 16)
        assert background is not None
        np.testing.assert_allclose(background, [[[0.08, 0, 0, 0.08]] * 4], atol=1e-6)

    def test_background_of_several_scales_is_resized_to_the_largest(self) -> None:
        method = Stub()
        method.recipe = InferenceRecipe(scales=(0.5, 1.0))
        _, background = attention_maps(method, nn.Linear(1, 1), salient(1), 16)
        assert background is not None
        # The small view's columns (0.08, 0) at four cells: 1, 3/4, 1/4 and 0 times 0.08; then
        # both views' sum (0.24, 0.06, 0.02, 0), its mirror image, and the mean of the four
        expected = [0.24 / 4, 0.08 / 4, 0.08 / 4, 0.24 / 4]
        np.testing.assert_allclose(background, [[expected] * 4], atol=1e-6)

    def test_no_background_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Stub, "background", Method.background)
        assert attention_maps(Stub(), nn.Linear(1, 1), salient(1), 16)[1] is None

    def test_a_sum_above_1_is_refused_unless_it_is_normalised(self) -> None:
        method = Stub()
        method.recipe = InferenceRecipe(scales=(1.0, 0.5), fusion="sum")
        with pytest.raises(BenchmarkError, match=r"attention of Stub leaves \[0, 1\]: 0 to 4"):
            attention_maps(method, nn.Linear(1, 1), salient(), 16)
        method.recipe = InferenceRecipe(scales=(1.0, 0.5), fusion="sum", normalise="max")
        maps, _ = attention_maps(method, nn.Linear(1, 1), salient(), 16)
        assert maps.max() == 1

    @pytest.mark.parametrize("value", [float("nan"), -0.1, 1.1])
    def test_maps_out_of_range_are_refused(
        self, monkeypatch: pytest.MonkeyPatch, value: float
    ) -> None:
        monkeypatch.setattr(
            Stub,
            "attention",
            lambda self, network, batch: torch.full((len(batch.labels), 3, 4, 4), value),
        )
        with pytest.raises(BenchmarkError, match=r"attention of Stub leaves"):
            attention_maps(Stub(), nn.Linear(1, 1), salient(), 16)

    def test_maps_of_too_few_images_are_refused_before_they_are_mirrored_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Stub, "attention", lambda self, network, batch: torch.zeros(1, 3, 4, 4))
        with pytest.raises(BenchmarkError, match=r"Stub is \(1, 3, 4, 4\), not \(B, C, h, w\)"):
            attention_maps(Stub(), nn.Linear(1, 1), salient(), 16)


class TestNamedRuns:
    def loop(self, scratch: Path, data: LabelledImages | None = None) -> Trainer:
        recipe = TrainingRecipe(
            iterations=3,
            batch_size=2,
            learning_rate=0.1,
            view="warp",
            crop=16,
            test_size=16,
            colour=0.0,
        )
        return Trainer(
            data or salient(3),
            recipe,
            seed=0,
            scratch=scratch,
            progress=SilentProgress(),
            label="test",
        )

    def seen(self, loop: Trainer, **options: Any) -> list[Batch]:
        batches: list[Batch] = []

        def losses(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
            batches.append(batch)
            return {"only": network.weight.sum()}

        loop.run(nn.Linear(1, 1), losses, **options)
        return batches

    def test_a_finished_run_is_loaded_and_not_trained_again(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        network = nn.Linear(1, 1)
        start = network.weight.item()
        method = Stub()
        self.loop(tmp_path).run(network, method.losses, name="first")
        assert network.weight.item() != start
        other = nn.Linear(1, 1)

        def untouched(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
            raise AssertionError

        self.loop(tmp_path).run(other, untouched, name="first")
        assert same(network.state_dict(), other.state_dict())

    def test_runs_of_other_names_have_checkpoints_of_their_own(self, tmp_path: Path) -> None:
        loop = self.loop(tmp_path)
        counts = [len(self.seen(loop, name=name)) for name in ("one", "two", "one")]
        assert counts == [3, 3, 0]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one.pt", "two.pt"]

    def test_random_state_after_a_loaded_run_is_that_after_the_run(self, tmp_path: Path) -> None:
        drawn = []
        for seed in (0, 7):
            torch.manual_seed(seed)
            self.seen(self.loop(tmp_path), name="one")
            drawn.append(torch.rand(1).item())
        assert drawn[0] == drawn[1]

    def test_batches_hold_saliency_cut_like_the_image_and_count_their_steps(
        self, tmp_path: Path
    ) -> None:
        batches = self.seen(self.loop(tmp_path))
        assert [batch.step for batch in batches] == [0, 1, 2]
        mirrored = set()
        for batch in batches:
            assert batch.seeds is None
            assert batch.saliency is not None
            assert batch.saliency.shape == (2, 16, 16)
            assert torch.equal(batch.saliency == 1, batch.images[:, 0] > 0)
            mirrored |= set(batch.saliency[:, 0, 0].tolist())
        assert mirrored == {0.0, 1.0}

    def test_other_images_take_the_place_of_the_training_images(self, tmp_path: Path) -> None:
        white = [np.full((16, 16, 3), 255, np.uint8)] * 3
        for batch in self.seen(self.loop(tmp_path), images=white):
            # (1 - mean) / standard deviation of ImageNet's red, green and blue
            expected = torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225])
            torch.testing.assert_close(
                batch.images, expected.view(1, 3, 1, 1).expand(2, 3, 16, 16), atol=1e-5, rtol=1e-5
            )
            assert batch.labels.tolist() == [[0, 1, 0]] * 2

    def test_seeds_are_cut_like_the_images(self, tmp_path: Path) -> None:
        plane = np.full((16, 16), -1, np.int16)
        plane[:, :8] = 2
        for batch in self.seen(self.loop(tmp_path), seeds=[plane] * 3):
            assert batch.seeds is not None
            assert batch.seeds.dtype == torch.int64
            assert torch.equal(batch.seeds == 2, batch.images[:, 0] > 0)
            assert set(batch.seeds.unique().tolist()) == {-1, 2}

    def test_whole_images_come_in_order_at_the_test_size(self, tmp_path: Path) -> None:
        found = list(self.loop(tmp_path, salient(5)).whole_images(batch=2))
        assert [list(places) for places, _ in found] == [[0, 1], [2, 3], [4]]
        for places, batch in found:
            assert batch.images.shape == (len(places), 3, 16, 16)
            assert batch.labels.shape == (len(places), 3)
            assert batch.saliency is not None
            assert batch.saliency[:, :, :8].min() == 1


def test_gradients_beyond_clip_are_shortened(tmp_path: Path) -> None:
    """A step of plain SGD is the rate times the gradient, whose norm is 3 here, or the bound."""
    for clip, expected in ((None, 3.0), (1.0, 1.0)):
        recipe = replace(
            RECIPE, iterations=1, momentum=0.0, weight_decay=0.0, learning_rate=1.0, clip=clip
        )
        network = nn.Linear(1, 1)
        before = network.weight.item()
        (tmp_path / str(clip)).mkdir()
        trainer(tmp_path / str(clip), recipe).run(
            network, lambda network, batch: {"only": 3 * network.weight.sum()}
        )
        assert before - network.weight.item() == pytest.approx(expected, rel=1e-4)


def test_a_compiled_backbone_learns_what_a_plain_one_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a compiler that changes nothing, and counts how often what it compiled is called."""
    calls: list[str] = []

    def compiler(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        def called(*arguments: torch.Tensor) -> Any:
            calls.append("backbone")
            return graph(*arguments)

        return called

    compile_module = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, "compile", lambda module: compile_module(module, backend=compiler)
    )
    found = []
    for compiled in (False, True):
        assert not calls
        recipe = replace(RECIPE, iterations=2, precision="float32", compile=compiled)
        method, network = build("cam")
        torch.manual_seed(1)
        scratch = tmp_path / str(compiled)
        scratch.mkdir()
        trainer(scratch, recipe).run(network, method.losses)
        found.append(network.state_dict())
    assert len(calls) == 2  # one a step
    plain, compiled_too = found
    assert plain.keys() == compiled_too.keys()
    for key, value in plain.items():
        torch.testing.assert_close(compiled_too[key], value, rtol=1e-4, atol=1e-6)


def test_every_backbone_of_a_network_is_compiled_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """EADER's adversary has its own."""
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    _, network = build("eader")
    compile_backbones(network)
    expected = [network.get_submodule("backbone"), network.get_submodule("adversary.backbone")]
    assert compiled == expected


def test_all_levels_of_a_compiled_backbone_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that read several levels never call the backbone itself."""
    monkeypatch.setattr(nn.Module, "compile", lambda module: None)
    called: list[object] = []

    def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda images: called.append(function) or function(images)

    monkeypatch.setattr(torch, "compile", compile_function)
    _, network = build("cam")
    backbone = network.get_submodule("backbone")
    levels = backbone.levels
    compile_backbones(network)
    assert "levels" not in network.state_dict()
    read: Any = backbone.levels
    assert len(read(torch.zeros(1, 3, 32, 32))) == 3
    assert called == [levels]
