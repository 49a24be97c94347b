"""AffinityNet: pairs, affinities, labels, loss and random walk against loops over cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.backbones import build_backbone
from benchmark.crf import CrfOptions, dense_crf
from benchmark.errors import BenchmarkError
from benchmark.method import Batch, Head
from benchmark.refinement import build_refinement
from methods.affinity import BASE, AffinityNet, AffinityNetwork, parted
from methods.nn.affinity import (
    IGNORED,
    affinities,
    affinity_loss,
    cell_labels,
    cell_means,
    offsets,
    pair_ends,
    pair_indices,
    random_walk,
)

HEIGHT, WIDTH = 4, 5


def slow_pairs(height: int, width: int, radius: int) -> set[tuple[int, int]]:
    """All unordered pairs of cells nearer than the radius, by comparing every two cells."""
    cells = [(y, x) for y in range(height) for x in range(width)]
    return {
        (i, j)
        for i, one in enumerate(cells)
        for j, two in enumerate(cells)
        if i < j and math.dist(one, two) < radius
    }


def features(height: int = HEIGHT, width: int = WIDTH, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)


# --- pairs and affinities -----------------------------------------------------------------------


def test_radius_5_has_34_offsets_of_one_half_plane() -> None:
    found = offsets(5, 60, 60)
    assert len(found) == len(set(found)) == 34
    assert all((-down, -right) not in found for down, right in found)
    assert (0, 4) in found
    assert (4, -2) in found
    assert not {(0, 0), (0, 5), (4, 3), (3, 4)} & set(found)


@pytest.mark.parametrize(
    ("height", "width", "radius"),
    [(4, 5, 5), (4, 5, 2), (7, 9, 5), (1, 6, 5), (6, 1, 5), (2, 2, 5), (1, 1, 5), (3, 3, 1)],
)
def test_pairs_are_all_pairs_nearer_than_the_radius_once(
    height: int, width: int, radius: int
) -> None:
    first, second = pair_indices(height, width, radius)
    found = list(zip(first.tolist(), second.tolist(), strict=True))
    assert len(found) == len(set(found))
    assert {(min(pair), max(pair)) for pair in found} == slow_pairs(height, width, radius)
    assert len({(min(pair), max(pair)) for pair in found}) == len(found)


@pytest.mark.parametrize(("height", "width"), [(4, 5), (1, 6), (6, 1), (1, 1)])
def test_affinities_equal_a_loop(height: int, width: int) -> None:
    values = features(height, width)
    first, second = pair_indices(height, width, 5)
    found = affinities(values, 5)
    assert found.shape == (2, len(first))
    flat = values.flatten(2).numpy()
    for image in range(2):
        for pair, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            distance = sum(abs(flat[image, d, i] - flat[image, d, j]) for d in range(3)) / 3
            assert float(found[image, pair]) == pytest.approx(math.exp(-distance))


def test_the_ends_of_pairs_are_what_stands_in_their_cells() -> None:
    grid = torch.randint(9, (2, 4, 5), generator=torch.manual_seed(0))
    places = pair_indices(4, 5, 3)
    for ends, place in zip(pair_ends(grid, 3), places, strict=True):
        assert torch.equal(ends, grid.flatten(1)[:, place])


def test_affinities_are_at_least_single_precision() -> None:
    assert affinities(features().bfloat16(), 5).dtype == torch.float32


def test_affinities_gradient() -> None:
    values = features(3, 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: affinities(x, 3), (values,))


# --- labels -------------------------------------------------------------------------------------


def slow_cell(objects: np.ndarray, backgrounds: np.ndarray) -> int:
    def vote(labels: np.ndarray) -> int | None:
        inside = [label for label in labels.ravel().tolist() if label >= 0]
        return min(inside, key=lambda label: (-inside.count(label), label)) if inside else None

    if vote(objects) is None:
        return IGNORED
    if vote(backgrounds) == 0:
        return 0
    return vote(objects) or IGNORED


def test_cell_labels_equal_a_loop() -> None:
    rng = np.random.default_rng(0)
    objects = rng.choice([0, 0, 3, 7], (2, 12, 15))
    backgrounds = np.where(rng.random((2, 12, 15)) < 0.5, 0, 3)
    outside = np.zeros((2, 12, 15), bool)
    outside[0, 7:], outside[1, :, :4] = True, True
    objects[outside] = backgrounds[outside] = -1
    found = cell_labels(torch.from_numpy(objects), torch.from_numpy(backgrounds), (4, 5), 8)
    seen = set()
    for image in range(2):
        for y in range(4):
            for x in range(5):
                cell = (image, slice(3 * y, 3 * y + 3), slice(3 * x, 3 * x + 3))
                expected = slow_cell(objects[cell], backgrounds[cell])
                assert int(found[image, y, x]) == expected
                seen.add(expected)
    assert seen == {IGNORED, 0, 3, 7}


def test_cell_labels_by_hand() -> None:
    objects = torch.tensor([[[5, 0, 0, -1, 5]]])
    backgrounds = torch.tensor([[[5, 0, 5, -1, 0]]])
    # an object; sure background; doubtful; outside; background wins where both are sure
    found = cell_labels(objects, backgrounds, (1, 5), 6)
    assert found.tolist() == [[[5, 0, IGNORED, IGNORED, 0]]]


def test_an_image_wholly_outside_is_ignored() -> None:
    nothing = torch.full((1, 4, 4), -1)
    assert (cell_labels(nothing, nothing, (2, 2), 3) == IGNORED).all()


# --- means over cells ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "cells"),
    [((12, 15), (4, 5)), ((7, 11), (3, 4)), ((5, 9), (5, 2)), ((6, 4), (1, 3)), ((3, 2), (5, 7))],
)
def test_means_over_cells_and_their_gradients_are_adaptive_poolings(
    size: tuple[int, int], cells: tuple[int, int]
) -> None:
    generator = torch.manual_seed(0)
    maps = torch.randn(2, 3, *size, dtype=torch.float64, generator=generator).requires_grad_()
    upstream = torch.randn(2, 3, *cells, dtype=torch.float64, generator=generator)
    found = cell_means(maps, torch.Size(cells))
    expected = torch.nn.functional.adaptive_avg_pool2d(maps, cells)
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)
    (gradient,) = torch.autograd.grad(found, maps, upstream)
    (wanted,) = torch.autograd.grad(expected, maps, upstream)
    torch.testing.assert_close(gradient, wanted, atol=1e-13, rtol=0)


def test_means_over_cells_keep_full_precision_under_autocast() -> None:
    maps = torch.randn(1, 2, 7, 9, generator=torch.manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = cell_means(maps, torch.Size((3, 4)))
    expected = torch.nn.functional.adaptive_avg_pool2d(maps.double(), (3, 4))
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)


def test_maps_that_have_the_cells_are_their_own_means() -> None:
    maps = torch.randn(1, 2, 3, 4)
    assert cell_means(maps, torch.Size((3, 4))) is maps


def test_two_labels_travel_as_one_number() -> None:
    objects, backgrounds = torch.tensor([0, 20, 0, 127]), torch.tensor([0, 20, 20, 127])
    codes = torch.cat([objects * BASE + backgrounds, torch.tensor([-1])])
    one, two = parted(codes)
    assert one.tolist() == [*objects.tolist(), -1]
    assert two.tolist() == [*backgrounds.tolist(), -1]
    assert int(codes.max()) < 2**15


# --- loss ---------------------------------------------------------------------------------------


def slow_loss(affinity: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    kinds: dict[str, list[float]] = {"background": [], "object": [], "different": []}
    for a, i, j in zip(affinity.ravel(), first.ravel(), second.ravel(), strict=True):
        if -1 in (i, j):
            continue
        if i != j:
            kinds["different"].append(-math.log(1 + 1e-5 - a))
        else:
            kinds["object" if i else "background"].append(-math.log(a + 1e-5))
    mean = {kind: sum(found) / len(found) if found else 0.0 for kind, found in kinds.items()}
    return mean["background"] / 4 + mean["object"] / 4 + mean["different"] / 2


@pytest.mark.parametrize(
    "choices", [[-1, 0, 2, 9], [0], [4], [-1], [0, 4], [-1, 4]], ids=lambda choices: str(choices)
)
def test_loss_equals_a_loop_whichever_pairs_there_are(choices: list[int]) -> None:
    rng = np.random.default_rng(1)
    labels = torch.from_numpy(rng.choice(choices, (2, HEIGHT * WIDTH)))
    first, second = pair_indices(HEIGHT, WIDTH, 5)
    found = affinities(features(), 5)
    loss = affinity_loss(found, labels[:, first], labels[:, second])
    ends = labels[:, first].numpy(), labels[:, second].numpy()
    assert float(loss) == pytest.approx(slow_loss(found.numpy(), *ends), rel=1e-9)
    if choices == [-1]:
        assert float(loss) == 0


def test_loss_without_any_pair_is_0_with_a_gradient_of_0() -> None:
    values = features(1, 1).requires_grad_()
    found = affinities(values, 5)
    labels = torch.zeros(2, 0, dtype=torch.long)
    loss = affinity_loss(found, labels, labels)
    loss.backward()
    assert loss.item() == 0
    assert values.grad is not None
    assert not values.grad.any()


def test_loss_gradient_also_of_equal_features() -> None:
    """An affinity of 1 between different cells is the loss's worst case, and finite."""
    affinity = torch.tensor([[0.3, 0.9, 0.2, 0.999]], dtype=torch.float64, requires_grad=True)
    first, second = torch.tensor([[0, 2, 0, -1]]), torch.tensor([[0, 2, 2, 3]])
    assert torch.autograd.gradcheck(lambda x: affinity_loss(x, first, second), (affinity,))
    certain = torch.ones(1, 4, requires_grad=True)
    loss = affinity_loss(certain, first, second)
    loss.backward()
    assert math.isfinite(loss.item())
    assert certain.grad is not None
    assert bool(torch.isfinite(certain.grad).all())
    assert certain.grad[0, 3] == 0


# --- random walk --------------------------------------------------------------------------------


def test_random_walk_of_two_cells_by_hand() -> None:
    """Affinity ½, β 1: the matrix is [[2/3, 1/3], [1/3, 2/3]], whose square is [5/9, 4/9]."""
    scores = torch.tensor([[[1.0, 0.0]], [[0.3, 0.9]]], dtype=torch.float64)
    half = torch.tensor([0.5], dtype=torch.float64)
    one_step = random_walk(scores, half, radius=5, beta=1, doublings=0)
    assert one_step.flatten().tolist() == pytest.approx([2 / 3, 1 / 3, 0.5, 0.7])
    two_steps = random_walk(scores, half, radius=5, beta=1, doublings=1)
    assert two_steps[0].flatten().tolist() == pytest.approx([5 / 9, 4 / 9])
    # β 3 takes ½ to ⅛, and the two weights to 8/9 and 1/9.
    powered = random_walk(scores, half, radius=5, beta=3, doublings=0)
    assert powered[0].flatten().tolist() == pytest.approx([8 / 9, 1 / 9])


@pytest.mark.parametrize(("beta", "doublings"), [(8.0, 8), (1.0, 0), (2.0, 3)])
def test_random_walk_equals_dense_matrices(beta: float, doublings: int) -> None:
    """Sec. 3.3 as written: normalise the columns of aff^β, square the matrix, multiply."""
    count = HEIGHT * WIDTH
    affinity = affinities(features(batch=1), 3)[0]
    first, second = pair_indices(HEIGHT, WIDTH, 3)
    matrix = np.eye(count)
    for a, i, j in zip(affinity.tolist(), first.tolist(), second.tolist(), strict=True):
        matrix[i, j] = matrix[j, i] = a**beta
    transition = np.array(
        [[matrix[i, j] / sum(matrix[:, j]) for j in range(count)] for i in range(count)]
    )
    for _ in range(doublings):
        transition = transition @ transition
    scores = torch.rand(3, HEIGHT, WIDTH, generator=torch.manual_seed(0), dtype=torch.float64)
    expected = (scores.reshape(3, count).numpy() @ transition).reshape(3, HEIGHT, WIDTH)
    found = random_walk(scores, affinity, 3, beta, doublings)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_random_walk_keeps_what_is_constant_and_never_leaves_the_range() -> None:
    affinity = affinities(features(6, 7, 1), 5)[0]
    constant = torch.full((1, 6, 7), 0.3)
    torch.testing.assert_close(random_walk(constant, affinity, 5, 8, 8), constant)
    scores = torch.rand(2, 6, 7, generator=torch.manual_seed(0))
    found = random_walk(scores, affinity, 5, 8, 4)
    assert bool((found.amin((1, 2)) >= scores.amin((1, 2)) - 1e-6).all())
    assert bool((found.amax((1, 2)) <= scores.amax((1, 2)) + 1e-6).all())


def test_random_walk_of_one_cell_and_of_strangers_changes_nothing() -> None:
    alone = torch.tensor([[[0.4]]])
    assert random_walk(alone, torch.empty(0), 5, 8, 8).item() == pytest.approx(0.4)
    scores = torch.rand(2, 3, 3, generator=torch.manual_seed(0))
    strangers = torch.zeros(len(pair_indices(3, 3, 5)[0]))
    torch.testing.assert_close(random_walk(scores, strangers, 5, 8, 8), scores)


# --- the refinement -----------------------------------------------------------------------------


def network(name: str = "vgg16", **options: object) -> AffinityNetwork:
    torch.manual_seed(0)
    slim = {"mobilenet_v2": {}, "resnet": {"depth": 18, "base_channels": 8}}
    width = slim.get(name, {"width": 0.0625})
    backbone = build_backbone(name, **{**width, "output_stride": 8, **options})
    found = AffinityNet().network(backbone, Head(0.125))
    assert isinstance(found, AffinityNetwork)
    return found


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2", "resnet", "resnet38"])
def test_every_backbone_gives_three_levels(name: str) -> None:
    found = network(name).eval()
    images = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        levels = found.backbone.levels(images)
        assert tuple(level.shape[1] for level in levels) == found.backbone.level_channels
        torch.testing.assert_close(levels[-1], found.backbone(images))
        assert found(images).shape == (1, 8 + 16 + 32, 4, 6)


def test_finer_levels_are_averaged_to_the_cells_of_the_last() -> None:
    found = network(output_stride=16).eval()
    with torch.no_grad():
        levels = found.backbone.levels(torch.randn(1, 3, 32, 32))
        assert [level.shape[2] for level in levels] == [4, 2, 2]
        assert found(torch.randn(1, 3, 32, 32)).shape[2:] == (2, 2)


def test_layers_and_their_initial_weights() -> None:
    with torch.device("meta"):
        backbone = build_backbone("resnet38")
    full = AffinityNetwork(backbone, Head())
    shapes = [tuple(layer.weight.shape[:2]) for layer in (*full.levels, full.mixed)]
    assert shapes == [(64, 512), (128, 1024), (256, 4096), (448, 448)]
    assert all(layer.bias is None for layer in (*full.levels, full.mixed))
    # Kaiming: sqrt(2 / fan in). Xavier: uniform with variance gain² · 2 / (fan in + fan out).
    assert float(full.levels[1].weight.std()) == pytest.approx(math.sqrt(2 / 1024), rel=0.02)
    assert float(full.mixed.weight.std()) == pytest.approx(4 * math.sqrt(2 / 896), rel=0.02)


def test_targets_equal_the_rule_worked_by_hand() -> None:
    """Without pairwise terms the CRF changes no argmax, and only the scores decide."""
    options = {"crf": {"gaussian_weight": 0.0, "bilateral_weight": 0.0}}
    refiner = build_refinement("affinity", options)
    image = np.zeros((1, 5, 3), np.uint8)
    maps = np.array([[[1.0, 0.5, 0.3, 0.1, 0.0]], [[0.0, 0.0, 0.4, 0.0, 1.0]]], np.float32)
    # (1 - top)⁴: 0, .0625, .1296, .6561, 0; (1 - top)³²: 0, 2e-10, 8e-8, .034, 0.
    codes = refiner.targets(image, maps, np.array([3, 9]))
    one, two = divmod(codes[0].astype(int), BASE)
    assert one.tolist() == [3, 3, 9, 0, 9]
    assert two.tolist() == [3, 3, 9, 3, 9]
    assert codes.dtype == np.int16


def test_targets_normalise_each_map_and_pass_the_releases_crf() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    maps = rng.random((1, 12, 16), dtype=np.float32) ** 2
    maps[0, 0, 0] = 1
    codes = AffinityNet().targets(image, maps / 2, np.array([5]))
    for index, alpha in enumerate((4, 32)):
        unary = np.stack([(1 - maps[0]) ** alpha, maps[0]])
        marginals = dense_crf(image, unary, CrfOptions(10, 3, 3, 10, 80, 13))
        expected = np.where(marginals[1] > marginals[0], 5, 0)
        assert np.array_equal(divmod(codes, BASE)[index], expected)


def test_constants_are_the_releases() -> None:
    options = AffinityNet.Options()
    assert (options.radius, options.beta, options.doublings) == (5, 8, 8)
    assert (options.object_alpha, options.background_alpha, options.walk_alpha) == (4, 32, 16)
    assert options.crf == CrfOptions(10, 3, 3, 10, 80, 13)


def test_the_crfs_constants_are_the_releases_but_for_those_given() -> None:
    refiner = build_refinement("affinity", {"crf": {"iterations": 2, "bilateral_sd_rgb": 5}})
    assert refiner.options.crf == CrfOptions(2, 3, 3, 10, 80, 5)
    for crf, message in (
        ({"iteration": 2}, "refinement 'affinity': option 'crf.iteration'"),
        ({"iterations": "few"}, "refinement 'affinity': option 'crf.iterations'"),
        (7, "refinement 'affinity': option 'crf'"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            build_refinement("affinity", {"crf": crf})


def test_targets_of_an_image_without_class_and_of_an_empty_map() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    none = AffinityNet().targets(image, np.zeros((0, 2, 3), np.float32), np.array([], int))
    assert none.shape == (4, 6)
    assert not none.any()
    assert not AffinityNet().targets(image, np.zeros((1, 2, 3), np.float32), np.array([7])).any()


def test_more_classes_than_a_number_holds_are_refused() -> None:
    image, maps = np.zeros((1, 1, 3), np.uint8), np.ones((1, 1, 1), np.float32)
    assert AffinityNet().targets(image, maps, np.array([127])).item() == 127 * BASE + 127
    with pytest.raises(BenchmarkError, match="fewer than 128 classes"):
        AffinityNet().targets(image, maps, np.array([128]))


def training_batch() -> Batch:
    rng = np.random.default_rng(2)
    objects = torch.from_numpy(rng.choice([0, 2], (2, 4, 4))).repeat_interleave(8, 1)
    codes = (objects * (BASE + 1)).repeat_interleave(8, 2)
    codes[0, 24:] = -1
    images = torch.randn(2, 3, 32, 32, generator=torch.manual_seed(1))
    return Batch(images, torch.zeros(2, 3), seeds=codes)


def test_the_loss_is_that_of_labels_and_features_of_the_batch() -> None:
    found, batch = network().eval(), training_batch()
    loss = AffinityNet().losses(found, batch)["affinity"]
    assert batch.seeds is not None
    with torch.no_grad():
        values = found(batch.images)
    labels = (batch.seeds[:, ::8, ::8] // BASE).flatten(1)
    first, second = pair_indices(4, 4, 5)
    affinity = affinities(values, 5).double().numpy()
    expected = slow_loss(affinity, labels[:, first].numpy(), labels[:, second].numpy())
    assert (labels[0, 12:] == -1).all()
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_loss_reaches_all_layers_and_the_backbone_but_not_what_is_frozen() -> None:
    found = network(frozen_blocks=2)
    AffinityNet().losses(found, training_batch())["affinity"].backward()
    reached = {
        name
        for name, parameter in found.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
    }
    assert {"levels.0.weight", "levels.1.weight", "levels.2.weight", "mixed.weight"} <= reached
    assert "backbone.features.10.weight" in reached
    assert "backbone.features.5.weight" not in reached


def test_few_steps_separate_what_the_labels_tell_apart() -> None:
    found, batch = network(), training_batch()
    optimiser = torch.optim.Adam(found.parameters(), lr=2e-3)
    history = []
    for _ in range(30):
        loss = AffinityNet().losses(found, batch)["affinity"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.7 * history[0]


def test_refine_is_background_mean_over_cells_and_walk() -> None:
    refiner, found = AffinityNet(), network().eval()
    image = torch.randn(1, 3, 24, 32, generator=torch.manual_seed(1))
    maps = torch.rand(2, 24, 32, generator=torch.manual_seed(2)) / 2
    with torch.no_grad():
        refined, background = refiner.refine(found, image, maps)
        affinity = affinities(found(image), 5)[0]
    scores = (maps / maps.amax((1, 2), keepdim=True)).double().numpy()
    stacked = np.concatenate([(1 - scores.max(axis=0, keepdims=True)) ** 16, scores])
    cells = np.array(
        [
            [
                [plane[8 * y : 8 * y + 8, 8 * x : 8 * x + 8].mean() for x in range(4)]
                for y in range(3)
            ]
            for plane in stacked
        ]
    )
    matrix = np.eye(12)
    first, second = pair_indices(3, 4, 5)
    matrix[first, second] = matrix[second, first] = affinity.double().numpy() ** 8
    transition = np.linalg.matrix_power(matrix / matrix.sum(axis=0), 256)
    expected = (cells.reshape(3, 12) @ transition).reshape(3, 3, 4)
    np.testing.assert_allclose(background.numpy(), expected[0], atol=1e-5)
    np.testing.assert_allclose(refined.numpy(), expected[1:], atol=1e-5)


def test_refine_of_an_image_without_class_or_with_an_empty_map() -> None:
    found = network().eval()
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        refined, background = AffinityNet().refine(found, image, torch.zeros(0, 16, 16))
        assert refined.shape == (0, 2, 2)
        torch.testing.assert_close(background, torch.ones(2, 2))
        refined, background = AffinityNet().refine(found, image, torch.zeros(1, 16, 16))
    assert not refined.any()
    torch.testing.assert_close(background, torch.ones(2, 2))


def test_recipe_and_unknown_options() -> None:
    recipe = AffinityNet().training()
    assert (recipe.iterations, recipe.batch_size) == (8 * 1322, 8)
    assert (recipe.learning_rate, recipe.momentum, recipe.crop) == (0.1, 5e-4, 448)
    with pytest.raises(BenchmarkError, match=r"refinement 'affinity'.*did you mean 'radius'"):
        build_refinement("affinity", {"radus": 3})
    with pytest.raises(BenchmarkError, match="no refinement 'afinity': did you mean 'affinity'"):
        build_refinement("afinity", {})
