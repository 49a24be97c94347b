"""Views cut on the device, where the images stay, beside those that OpenCV cuts on the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark import attention
from benchmark.attention import Trainer
from benchmark.batches import Source
from benchmark.data import resident
from benchmark.data.augment import View, ViewKind, draw_colours, draw_view, translated
from benchmark.data.resident import ResidentPlanes, fits_on_device
from benchmark.method import Batch, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress

KINDS: list[tuple[ViewKind, tuple[int, int], int]] = [
    ("shorter_side", (40, 90), 40),
    ("longer_side", (30, 80), 64),
    ("area", (0, 0), 48),
    ("warp", (0, 0), 32),
]


def drawn(
    kind: ViewKind, side: tuple[int, int], crop: int, shapes: list[tuple[int, ...]]
) -> tuple[list[int], list[View]]:
    """Return 60 random views of images of ``shapes``, and of which each is."""
    rng = np.random.default_rng(1)
    places = rng.integers(0, len(shapes), 60).tolist()
    views = [draw_view(shapes[p], rng, kind=kind, side=side, crop=crop, flip=True) for p in places]
    return places, views


def resident_planes(planes: list[np.ndarray]) -> ResidentPlanes:
    return ResidentPlanes(planes, [plane.shape[:2] for plane in planes])


def sizes(rng: np.random.Generator, number: int = 20) -> list[tuple[int, ...]]:
    return [tuple(rng.integers(20, 90, 2).tolist()) for _ in range(number)]


@pytest.mark.parametrize(("kind", "side", "crop"), KINDS)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_interpolated_views_are_those_of_the_host_but_for_a_rounding(
    kind: ViewKind, side: tuple[int, int], crop: int, channels: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 256, (*size, *channels), dtype=np.uint8) for size in sizes(rng)]
    places, views = drawn(kind, side, crop, [plane.shape for plane in planes])
    found = resident_planes(planes).views(places, views, padding=(7, 8, 9) if channels else 7)
    padding = np.array((7, 8, 9) if channels else 7)
    wanted = np.stack(
        [v.of(planes[p], padding=padding) for p, v in zip(places, views, strict=True)]
    )
    assert found.dtype == torch.uint8 and found.shape == wanted.shape
    apart = np.abs(found.numpy().astype(int) - wanted)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.2  # most are the very same
    assert len({view.mirrored for view in views}) == 2


@pytest.mark.filterwarnings("error")
def test_a_view_that_is_not_resized_is_the_very_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    image.flags.writeable = False  # as Pillow's are
    view = View((0, 0, 30, 40), (30, 40), (-2, 5), 36, True)
    found = resident_planes([image]).views([0], [view], padding=(1, 2, 3))
    assert np.array_equal(found[0].numpy(), view.of(image, padding=(1, 2, 3)))


@pytest.mark.parametrize(("kind", "side", "crop"), KINDS)
def test_nearest_neighbours_are_those_of_opencv(
    kind: ViewKind, side: tuple[int, int], crop: int
) -> None:
    rng = np.random.default_rng(0)
    planes = [rng.integers(-1, 20, size).astype(np.int16) for size in sizes(rng)]
    places, views = drawn(kind, side, crop, [plane.shape for plane in planes])
    found = resident_planes(planes).views(places, views, padding=-1, nearest=True)
    wanted = [v.of(planes[p], padding=-1, nearest=True) for p, v in zip(places, views, strict=True)]
    assert found.dtype == torch.int16
    assert np.array_equal(found.numpy(), np.stack(wanted))


def test_colours_change_what_is_seen_and_not_the_padding() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20, 24, 3), dtype=np.uint8) for _ in range(4)]
    views = [View((0, 0, 20, 24), (20, 24), (-4, -3), 32, mirrored) for mirrored in (False, True)]
    colours = [table for _ in views if (table := draw_colours(rng, 0.3)) is not None]
    found = resident_planes(images).views([2, 3], views, padding=(50, 60, 70), colours=colours)
    for index, view in enumerate(views):
        seen = translated(images[2 + index], colours[index])
        assert np.array_equal(found[index].numpy(), view.of(seen, padding=(50, 60, 70)))


def test_images_stay_only_on_a_gpu_that_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = [np.zeros((100, 100), np.uint8)] * 4
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 133_400))
    monkeypatch.setattr(resident, "device", lambda: torch.device("cpu"))
    assert not fits_on_device(planes)
    monkeypatch.setattr(resident, "device", lambda: torch.device("cuda"))
    assert fits_on_device(planes)  # 40,000 of 133,400 bytes, free or not
    assert not fits_on_device([*planes, np.zeros((10, 10), np.uint8)])


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    rng = np.random.default_rng(0)
    shapes = sizes(rng, 7)
    data = LabelledImages(
        [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes],
        rng.random((7, 3)) < 0.5,
        [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes],
    )
    recipe = TrainingRecipe(
        iterations=6, batch_size=3, learning_rate=0.01, side=(32, 40), crop=32, test_size=32
    )
    return Trainer(data, recipe, seed=0, scratch=tmp_path, progress=SilentProgress(), label="test")


def planes_of(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    assert batch.saliency is not None and batch.seeds is not None
    return batch.labels, batch.seeds, batch.saliency


def test_a_training_fed_on_the_device_sees_the_same_views(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = [np.zeros(image.shape[:2], np.int16) for image in trainer.data.images]
    source = Source(trainer.data.images, trainer.data.labels, trainer.data.saliency, seeds)
    cut_on_host = list(trainer.batches(2, source))
    monkeypatch.setattr(attention, "fits_on_device", lambda planes: len(planes) == 3 * 7)
    monkeypatch.setattr(attention, "made_ahead", None)  # no image is drawn on the host
    cut_on_device = list(trainer.batches(2, source))
    assert [step for step, _ in cut_on_device] == [2, 3, 4, 5]
    for (_, one), (step, other) in zip(cut_on_host, cut_on_device, strict=True):
        assert other.step == step
        assert other.images.is_contiguous() and other.images.shape == one.images.shape
        levels = (other.images - one.images) * 0.225 * 255
        # One level in the interpolation, and what a gain of up to 1.15 makes of it.
        assert levels.abs().max() < 2.1
        for found, wanted in zip(planes_of(other), planes_of(one), strict=True):
            assert found.dtype == wanted.dtype
            torch.testing.assert_close(found, wanted, atol=1.01 / 255, rtol=0)


class MadeWhenLookedAt(Sequence[np.ndarray]):
    """As adversarial erasing's images are."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self.images = images
        self.made = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        self.made += index < len(self.images)
        return 255 - self.images[index]


@pytest.mark.parametrize("stay", [False, True])
def test_images_that_are_made_when_looked_at_are_made_no_more_often(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, stay: bool
) -> None:
    monkeypatch.setattr(attention, "fits_on_device", lambda planes: stay)
    images = MadeWhenLookedAt(trainer.data.images)
    batches = list(trainer.batches(0, Source(images, trainer.data.labels, None, None)))
    assert len(batches) == 6
    drawn, all_and_the_first_for_its_type = 6 * 3, 7 + 1
    assert images.made == (all_and_the_first_for_its_type if stay else drawn)


def test_a_network_learns_from_images_that_stay_on_the_device(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "fits_on_device", lambda planes: True)
    network = nn.Conv2d(3, 3, 1)
    before = network.weight.detach().clone()
    trainer.run(network, lambda network, batch: {"mean": network(batch.images).mean()})
    assert not torch.equal(network.weight, before)
