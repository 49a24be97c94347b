"""Training the segmentation network once more, on its own predictions."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.crf import CrfOptions, dense_crf_present
from benchmark.data.voc import open_voc, read_image, read_label_png
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.plan import Plan, make_plan
from benchmark.profiles import load_profile
from benchmark.progress import SilentProgress
from benchmark.segmentation import predict, train_segmentation
from benchmark.segmentation.inference import (
    CRF_FLOOR,
    Views,
    load_network,
    probabilities,
    restricted,
)
from benchmark.stages import STAGES
from benchmark.store import Record, Stage, Store
from benchmark.tables import load_table
from benchmark.user_files import UserFiles
from benchmark.weights import load_state_dict, save_state_dict

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from tiny import write_profile

# --- restricted to the image's own classes --------------------------------------------------------


def by_hand(logits: list[float], allowed: list[bool]) -> list[float]:
    """The softmax over the allowed labels alone."""
    weights = [math.exp(x) if a else 0.0 for x, a in zip(logits, allowed, strict=True)]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(
    ("logits", "allowed", "label"),
    [
        ([-3.0, -5.0, 2.0, -9.0], [True, True, False, False], 0),
        ([-5.0, -3.0, 2.0, -9.0], [True, True, False, False], 1),
        ([-5.0, -3.0, 0.0, -1.0], [True, False, False, True], 3),  # 0 · 2.0 would beat −1
        ([-30.0, -50.0, 40.0, 0.0], [True, True, False, False], 0),
        ([1.0, 2.0, 3.0, 4.0], [True, True, True, True], 3),
        ([1.0, 2.0, 3.0, 4.0], [True, False, False, False], 0),
    ],
)
def test_an_absent_class_never_wins_though_all_present_scores_are_negative(
    logits: list[float], allowed: list[bool], label: int
) -> None:
    scores = torch.tensor(logits).double().softmax(0).view(1, 4, 1, 1)
    found = restricted(scores, torch.tensor([allowed]))[0, :, 0, 0]
    assert found.tolist() == pytest.approx(by_hand(logits, allowed), abs=1e-12)
    assert int(found.argmax()) == label


def test_each_image_has_its_own_labels_and_pixels_without_any_of_them_are_shared() -> None:
    scores = torch.zeros(2, 3, 1, 2)
    scores[:, :, 0, 0] = torch.tensor([0.0, 0.0, 1.0])  # what a softmax that underflows gives
    scores[:, :, 0, 1] = torch.tensor([0.2, 0.5, 0.3])
    found = restricted(scores, torch.tensor([[True, True, False], [True, False, True]]))
    expected = torch.tensor([[[0.5, 2 / 7], [0.5, 5 / 7], [0, 0]], [[0, 0.4], [0, 0], [1, 0.6]]])
    torch.testing.assert_close(found[:, :, 0], expected)


def prefer(learned: tuple[Path, Path], folder: Path, bias: list[float]) -> Path:
    """Write the learned network with the same scores everywhere."""
    state = load_state_dict(learned[1])
    state["decode_head.conv_seg.weight"].zero_()
    state["decode_head.conv_seg.bias"].copy_(torch.tensor(bias))
    save_state_dict(folder / "constant.safetensors", state)
    return folder / "constant.safetensors"


@pytest.mark.parametrize("crf", [None, CrfOptions(iterations=1)])
def test_predicted_labels_are_among_those_allowed(
    learned: tuple[Path, Path], tiny_set: Any, tmp_path: Path, crf: CrfOptions | None
) -> None:
    names = ["image0", "image1", "image2", "image3"]
    masks = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0], [0, 1, 0]], bool)
    weights = prefer(learned, tmp_path, [-3.0, -5.0, 4.0])

    def run(out: Path, allowed: dict[str, Any] | None) -> None:
        predict(
            learned[0],
            weights,
            images={name: tiny_set.images[name] for name in names},
            num_classes=3,
            scales=(1.0,),
            flip=False,
            crf=crf,
            allowed=allowed,
            out=out,
            progress=SilentProgress(),
            label="tiny",
        )

    run(tmp_path / "any", None)
    run(tmp_path / "own", dict(zip(names, masks, strict=True)))
    for folder in ("labels", "labels_crf") if crf else ("labels",):
        for name, label in zip(names, (0, 2, 0, 1), strict=True):
            assert (read_label_png(tmp_path / "any" / folder / f"{name}.png") == 2).all()
            assert (read_label_png(tmp_path / "own" / folder / f"{name}.png") == label).all()


# --- going on from a whole network ----------------------------------------------------------------


class Stopping:
    """A progress that ends a training like a kill."""

    def __init__(self, after: int) -> None:
        self.left = after

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Stopping]:
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def train(config: Path, tiny_set: Any, folder: Path, **options: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    settings: dict[str, Any] = {
        "images": tiny_set.images,
        "labels": tiny_set.labels,
        "num_classes": 3,
        "initial_weights": None,
        "seed": 5,
        "scratch": folder,
        "out": folder / "model.safetensors",
        "progress": SilentProgress(),
        "label": "tiny",
    }
    return train_segmentation(config, **{**settings, **options})


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    return load_state_dict(folder / "model.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


@pytest.fixture(scope="module")
def first(tiny_config: Path, tiny_set: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    train(tiny_config, tiny_set, folder)
    return folder


def test_a_training_goes_on_from_every_weight_of_the_first(
    first: Path, tiny_config: Path, tiny_set: Any, tmp_path: Path
) -> None:
    still = tmp_path / "still.py"
    still.write_text(
        f"_base_ = {str(tiny_config)!r}\noptim_wrapper = dict(optimizer=dict(lr=0.0))\n"
        "train_cfg = dict(max_iters=2)\n"
    )
    initial = first / "model.safetensors"
    metrics = train(still, tiny_set, tmp_path / "a", seed=6, initial_model=initial)
    assert (metrics["iterations"], metrics["resumed_at"]) == (2, 0)
    assert equal(weights_in(tmp_path / "a"), weights_in(first))
    train(still, tiny_set, tmp_path / "b", seed=6)
    assert not equal(weights_in(tmp_path / "b"), weights_in(first))


def test_a_broken_retraining_goes_on_where_it_was_not_from_the_first_network(
    first: Path, tiny_config: Path, tiny_set: Any, tmp_path: Path
) -> None:
    initial = first / "model.safetensors"
    train(tiny_config, tiny_set, tmp_path / "whole", initial_model=initial)
    with pytest.raises(KeyboardInterrupt):
        train(
            tiny_config, tiny_set, tmp_path / "b", initial_model=initial, progress=Stopping(after=8)
        )
    metrics = train(tiny_config, tiny_set, tmp_path / "b", initial_model=initial)
    assert metrics["resumed_at"] == 6
    assert equal(weights_in(tmp_path / "whole"), weights_in(tmp_path / "b"))
    assert not equal(weights_in(tmp_path / "whole"), weights_in(first))


def test_the_weights_of_another_network_are_told(
    first: Path, tiny_config: Path, tiny_set: Any, tmp_path: Path
) -> None:
    state = weights_in(first)
    del state["decode_head.fc7.bias"]
    save_state_dict(tmp_path / "part.safetensors", state)
    with pytest.raises(BenchmarkError, match=r"part\.safetensors lacks 'decode_head\.fc7\.bias'"):
        train(tiny_config, tiny_set, tmp_path, initial_model=tmp_path / "part.safetensors")


# --- the stages -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """A table of two rows, one of each kind, after its run."""

    plan: Plan
    store: Store
    config: Path

    def stage(self, label: str) -> Stage:
        return next(stage for stage in self.plan.stages if stage.label == label)

    def folder(self, label: str) -> Path:
        return self.store.folder(self.stage(label))

    def record(self, label: str) -> Record:
        record = self.store.record(self.stage(label))
        assert record is not None
        return record


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("retraining")
    table = load_table("seenet_table1")
    changes = {
        "method": "cam",
        "options": {},
        "recipe": "background_threshold",
        "constants": {"threshold": 0.3},
    }
    rows = [
        table.rows[0].model_copy(update={**changes, "id": kind, "retrain": kind})
        for kind in ("adapt", "plain")
    ]
    small = table.model_copy(update={"rows": tuple(rows), "claims": (), "diagnostics": {}})
    profile = load_profile(str(write_profile(folder)))
    plan = make_plan(small, profile, UserFiles(), (0,))
    store = Store(folder / "store")
    execute(plan.targets, store, STAGES, SilentProgress(), announce=lambda line: None)
    return Finished(plan, store, folder / "tiny_vgg16.py")


def test_both_kinds_share_their_first_training(finished: Finished) -> None:
    names = [stage.name for stage in finished.plan.stages]
    assert {name: names.count(name) for name in ("attention", "labels", "segmentation")} == {
        "attention": 1,
        "labels": 2,  # of the training split, and of val for the figures
        "segmentation": 3,
    }
    assert [names.count(name) for name in ("adapted_labels", "prediction", "score")] == [2, 2, 2]


@pytest.mark.parametrize("kind", ["adapt", "plain"])
def test_the_network_is_trained_on_what_it_segmented(finished: Finished, kind: str) -> None:
    """Every image's labels made again from the first network's probabilities."""
    voc = open_voc(finished.folder("scenes version 1") / "voc")
    network = load_network(
        finished.config,
        finished.folder("segmentation adapt seed 0") / "model.safetensors",
        len(voc.classes) + 1,
    )
    folder = finished.folder(f"adapted labels {kind} seed 0")
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["labels"]
    # DCSP's release joins its scales by the maximum, DSRG's by the sum of the logits
    views = {
        "adapt": Views((1.0, 0.75, 0.5), fusion="maximum"),
        "plain": Views((0.75, 1.0, 1.25), fusion="logits"),
    }[kind]
    ids = voc.ids(voc.train_split)
    assert sorted(path.stem for path in (folder / "labels").glob("*.png")) == sorted(ids)
    for image_id in ids[:6]:
        image = read_image(voc.image_path(image_id))
        scores = probabilities(network, [image], views)[0].cpu().numpy()
        present = np.flatnonzero(voc.image_labels(image_id)) + 1
        if kind == "adapt":
            absent = [c for c in range(1, len(scores)) if c not in present]
            scores[absent] = -1.0
            expected = scores.argmax(axis=0)
        else:
            likely = scores.max(axis=(1, 2)) >= CRF_FLOOR
            expected = dense_crf_present(
                image, scores, likely, CrfOptions(10, 3, 3, 10, 80, 13)
            ).argmax(axis=0)
        found = read_label_png(folder / "labels" / f"{image_id}.png")
        assert (found == expected).mean() > 0.995
        if kind == "adapt":
            assert set(np.unique(found)) <= {0, *present}


@pytest.mark.parametrize("kind", ["adapt", "plain"])
def test_it_goes_on_from_the_first_network_and_the_second_is_tested(
    finished: Finished, kind: str
) -> None:
    one = weights_in(finished.folder("segmentation adapt seed 0"))
    two = weights_in(finished.folder(f"retraining {kind} seed 0"))
    for layer in ("fc6", "fc7"):  # a new draw would be as far away as the weights are long
        before, after = (state[f"decode_head.{layer}.weight"] for state in (one, two))
        assert 0 < float((after - before).norm()) < 0.2 * float(before.norm())
    second = finished.stage(f"retraining {kind} seed 0").key
    assert finished.record(f"prediction {kind} val seed 0").inputs["segmentation"] == second
    assert 0 <= float(finished.record(f"score {kind} val seed 0").metrics["miou"]) <= 1
