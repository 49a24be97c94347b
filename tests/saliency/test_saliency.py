"""Saliency files, and the network that stands in for DSS."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.backbones import build_backbone
from benchmark.data.scenes import foreign_images
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.plan import make_plan
from benchmark.profiles import Saliency, load_profile
from benchmark.progress import SilentProgress
from benchmark.saliency.files import read_saliency, write_saliency
from benchmark.saliency.network import SaliencyNetwork, saliency_maps, train_saliency
from benchmark.saliency.recipe import SaliencyRecipe
from benchmark.stages import STAGES
from benchmark.store import Stage, Store
from benchmark.tables import load_table
from benchmark.user_files import UserFiles, file_digest, shipped_weights
from benchmark.weights import load_backbone, load_state_dict


def test_a_map_comes_back_within_half_a_grey_level(tmp_path: Path) -> None:
    saliency = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    write_saliency(tmp_path / "a.png", saliency, (6, 9))
    found = read_saliency(tmp_path, "a", (6, 9))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, saliency, atol=0.5 / 255 + 1e-6)


def test_mistakes_in_a_users_folder_are_told(tmp_path: Path) -> None:
    Image.new("RGB", (9, 6)).save(tmp_path / "rgb.png")
    Image.new("L", (5, 6)).save(tmp_path / "small.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no")
    for name, message in (
        ("missing", "every image needs a saliency map"),
        ("rgb", "mode RGB: save saliency as 8-bit grey"),
        ("small", r"is \(5, 6\) pixels, its image \(9, 6\)"),
        ("broken", "not a readable PNG"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            read_saliency(tmp_path, name, (6, 9))


def test_the_network_learns_objects_from_background() -> None:
    torch.manual_seed(0)
    network = SaliencyNetwork(build_backbone("vgg16", width=0.125, output_stride=8), 16)
    recipe = SaliencyRecipe(images=24, size=48, iterations=60, batch_size=8, learning_rate=5e-3)
    data = foreign_images(recipe.images, recipe.size, 3)
    with SilentProgress().task("saliency") as task:
        train_saliency(network, data, recipe, 0, task)
    maps = np.stack(saliency_maps(network, list(data.images), 48))
    assert maps.shape == (24, 48, 48)
    assert 0 <= maps.min() <= maps.max() <= 1
    assert maps[data.masks].mean() > maps[~data.masks].mean() + 0.15


@pytest.mark.parametrize("late", [0, 1])
def test_a_saliency_loss_that_is_not_finite_is_named_with_its_step(
    late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights turn infinite in the first step; the second step's loss tells."""
    monkeypatch.setattr("benchmark.feeding.device", lambda: torch.device("cuda" if late else "cpu"))
    network = SaliencyNetwork(build_backbone("vgg16", width=0.125, output_stride=8), 16)
    recipe = SaliencyRecipe(images=4, size=48, iterations=4, batch_size=2, learning_rate=math.inf)
    data = foreign_images(recipe.images, recipe.size, 3)
    with (
        SilentProgress().task("saliency") as task,
        pytest.raises(BenchmarkError, match=r"^the loss is nan at step 2: lower [^\n]+$"),
    ):
        train_saliency(network, data, recipe, 0, task)


@pytest.mark.parametrize(("iterations", "counted"), [(3, range(3)), (30, range(10, 30))])
def test_the_loss_that_is_told_is_the_mean_of_the_last_20_steps(
    iterations: int, counted: range
) -> None:
    network = SaliencyNetwork(build_backbone("vgg16", width=0.125, output_stride=8), 16)
    recipe = SaliencyRecipe(images=4, size=32, iterations=iterations, batch_size=2)
    notes: list[float] = []

    class Noted:
        def advance(self, steps: int = 1, note: str = "") -> None:
            notes.append(float(note.removeprefix("loss ")))

    told = train_saliency(network, foreign_images(4, 32, 3), recipe, 0, Noted())
    assert len(notes) == iterations
    # The notes have three decimals.
    assert told == pytest.approx(np.mean([notes[step] for step in counted]), abs=5e-4)


class Scripted(nn.Module):
    """Gives the maps it is told to, view by view (the image, its mirror image), and keeps views."""

    def __init__(self, *maps: list[float]) -> None:
        super().__init__()
        self.maps = list(maps)
        self.seen: list[Tensor] = []

    def forward(self, views: Tensor) -> Tensor:
        self.seen.append(views.clone())
        row = torch.tensor(self.maps.pop(0))[None, None, None].expand(len(views), 1, 4, 4)
        return torch.logit(row)


PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
FIRST, SECOND, THIRD = [0.72, 0.68, 0.1, 0.9], [0.3, 0.85, 0.75, 0.2], [0.1, 0.1, 0.95, 0.05]


def both_ways(*rows: list[float]) -> list[list[float]]:
    return [view for row in rows for view in (row, row[::-1])]


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        (1, [0.72, 0.68, 0.1, 0.9]),
        (2, [0.72, 0.85, 0.75, 0.9]),
        (3, [0.72, 0.85, 0.95, 0.9]),
    ],
)
def test_each_pass_looks_at_what_the_ones_before_left(passes: int, expected: list[float]) -> None:
    """Columns 0 and 3 reach 0.7 in the first pass, column 1 alone reaches 0.8 in the second."""
    network: Any = Scripted(*both_ways(FIRST, SECOND, THIRD)[: 2 * passes])
    (found,) = saliency_maps(network, [PICTURE], 4, passes)
    np.testing.assert_allclose(found, np.tile(np.float32(expected), (4, 1)), atol=1e-5)
    erased: set[int] = set()
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    for number, gone in enumerate([(), (0, 3), (1,)][:passes]):
        erased |= set(gone)
        expected_view = np.empty((3, 4, 4))
        for channel, y, x in np.ndindex(3, 4, 4):
            value = mean[channel] if x in erased else PICTURE[y, x, channel] / 255
            expected_view[channel, y, x] = (value - mean[channel]) / std[channel]
        straight, mirrored = network.seen[2 * number : 2 * number + 2]
        np.testing.assert_allclose(straight[0], expected_view, atol=1e-5)
        np.testing.assert_allclose(mirrored[0], expected_view[:, :, ::-1], atol=1e-5)


def test_images_are_erased_each_by_itself() -> None:
    torch.manual_seed(0)
    network = SaliencyNetwork(build_backbone("vgg16", width=0.0625, output_stride=8), 8)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (20, 30, 3), dtype=np.uint8) for _ in range(2)]
    middle = np.median(saliency_maps(network, pictures, 16))
    with torch.no_grad():  # about half of the cells shall reach 0.7
        network.fuse[-1].bias += float(np.log(0.7 / 0.3) - np.log(middle / (1 - middle)))
    once = np.stack(saliency_maps(network, pictures, 16))
    assert all(0.1 < (image >= 0.7).mean() < 0.9 for image in once)
    together = saliency_maps(network, pictures, 16, 2)
    alone = [saliency_maps(network, [picture], 16, 2)[0] for picture in pictures]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert (np.stack(together) >= once).all()
    assert np.abs(together - once).max() > 0


def saliency_stages(passes: int | None) -> list[Stage]:
    profile = load_profile("scenes")
    if passes is not None:
        settings = {**profile.saliency.model_dump(), "passes": passes}
        changed = {"saliency": Saliency.model_validate(settings)}
        profile = profile.model_copy(update=changed)
    plan = make_plan(load_table("seenet_table1"), profile, UserFiles(), (0,))
    return [stage for stage in plan.stages if stage.name == "saliency"]


def test_passes_are_in_a_stages_config_only_where_there_are_more_than_one() -> None:
    default, one, two = (saliency_stages(passes) for passes in (None, 1, 2))
    assert default
    assert [stage.key for stage in default] == [stage.key for stage in one]
    for before, after in zip(one, two, strict=True):
        assert dict(after.config) == {**before.config, "passes": 2}
        assert after.inputs == before.inputs  # the same network, not trained again


def test_several_passes_need_our_own_network() -> None:
    assert Saliency(kind="folder", passes=1).passes == 1
    for kind in ("folder", "none"):
        with pytest.raises(ValidationError, match="only saliency of kind 'network'"):
            Saliency(kind=kind, passes=2)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="passes"):
        Saliency(kind="network", passes=0)


def shipped_network() -> SaliencyNetwork:
    settings = load_profile("scenes").saliency
    assert settings.trained is not None
    backbone = build_backbone("vgg16", width=0.25, **settings.options)
    network = SaliencyNetwork(backbone)
    path = shipped_weights(settings.trained)
    load_backbone(network, load_state_dict(path), str(path))
    return network


def test_the_shipped_network_finds_objects_that_it_has_not_seen() -> None:
    data = foreign_images(40, 96, 1)  # another seed than the training images'
    maps = np.stack(saliency_maps(shipped_network(), list(data.images), 96))
    found = maps >= 0.5
    shared = (found & data.masks).sum() / (found | data.masks).sum()
    everything = data.masks.mean()  # the IoU of marking all pixels
    assert shared > max(0.6, 1.5 * everything)


def test_a_profile_with_a_shipped_network_trains_none() -> None:
    stages = {stage.name: stage for stage in saliency_stages(None)[0].inputs.values()}
    shipped = stages["shipped_saliency_network"]
    assert not shipped.inputs
    assert shipped.config["sha256"] == file_digest(shipped_weights("saliency_slim"))


def test_the_shipped_network_is_checked_and_kept(tmp_path: Path) -> None:
    (saliency_stage, *_) = saliency_stages(None)
    shipped = saliency_stage.inputs["saliency_network"]
    store = Store(tmp_path / "store")
    execute([shipped], store, STAGES, SilentProgress(), announce=print)
    kept = load_state_dict(store.folder(shipped) / "saliency.safetensors")
    expected = shipped_network().state_dict()
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[key], expected[key]) for key in kept)

    other = replace(shipped, config={**shipped.config, "options": {"width": 0.5}})
    with pytest.raises(BenchmarkError, match="weights are of another width or network"):
        execute([other], store, STAGES, SilentProgress(), announce=print)
