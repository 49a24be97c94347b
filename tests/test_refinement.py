"""Rows whose maps are refined: the stages, what they rest on, and the schedule of a profile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.data.voc import open_voc, read_label_png
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.maps import MapArchive
from benchmark.plan import Plan, make_plan
from benchmark.profiles import Profile, load_profile
from benchmark.progress import SilentProgress
from benchmark.proxy import argmax_background, resize_maps
from benchmark.refinement import build_refinement
from benchmark.stages import STAGES
from benchmark.stages.refinement import refined, whole_cells
from benchmark.store import Stage, Store
from benchmark.tables import Row, Table, load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from tiny import write_profile

SCHEDULE = """
[refinement]
iterations = 2
batch_size = 3
learning_rate = 0.01
head_rate = 1.0
side = [64, 64]
crop = 64
"""


def refined_row(row: Row, **changes: Any) -> Row:
    return Row.model_validate(
        row.model_dump()
        | {
            "method": "cam",
            "options": {},
            "recipe": "argmax_background",
            "constants": {},
            "refine": "affinity",
            "refine_options": {"doublings": 3, "crf": {"iterations": 2}},
            "supervision": "I",
        }
        | changes
    )


def table(**changes: Any) -> Table:
    """Table 1 with its last row refined."""
    given = load_table("seenet_table1")
    last = refined_row(given.rows[-1], **changes)
    diagnostics = {"maps.val_miou": "maps", "refined.val_miou": "refined maps"}
    return given.model_copy(update={"rows": (*given.rows[:-1], last), "diagnostics": diagnostics})


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    path = write_profile(tmp_path_factory.mktemp("profile"))
    path.write_text(path.read_text() + SCHEDULE)
    return load_profile(str(path))


@pytest.fixture(scope="module")
def plan(profile: Profile) -> Plan:
    refined_alone = table()
    one = refined_alone.model_copy(update={"rows": refined_alone.rows[-1:]})
    diagnostics = {**one.diagnostics, "labels.val_miou": "labels"}
    one = one.model_copy(update={"claims": (), "diagnostics": diagnostics})
    return make_plan(one, profile, UserFiles(), (0,))


def stages(plan: Plan, name: str) -> list[Stage]:
    return [stage for stage in plan.stages if stage.name == name]


# --- the plan -----------------------------------------------------------------------------------


def test_the_card_names_the_refinement(plan: Plan) -> None:
    assert {cell.card.refinement for cell in plan.cells} == {plan.table.rows[0].refine}
    others = make_plan(load_table("seenet_table1"), load_profile("scenes"), UserFiles(), (0,))
    assert {cell.card.refinement for cell in others.cells} == {"none"}


def test_labels_rest_on_the_refined_maps_and_these_on_the_splits_maps(plan: Plan) -> None:
    splits = {"train_aug": 0, "val": 0}
    for stage in stages(plan, "labels"):
        maps = stage.inputs["maps"]
        assert maps.name == "refined_maps"
        assert maps.inputs["maps"].name == "maps"
        assert maps.inputs["maps"].config["split"] == maps.config["split"]
        splits[str(maps.config["split"])] += 1
        refinement = maps.inputs["refinement"]
        assert refinement.inputs["maps"].config["split"] == "train_aug"
        assert refinement.inputs["attention"] == maps.inputs["attention"]
    assert splits == {"train_aug": 1, "val": 1}


def test_the_profiles_schedule_replaces_the_papers(plan: Plan) -> None:
    (stage,) = stages(plan, "refinement")
    recipe = stage.config["recipe"]
    assert isinstance(recipe, dict)
    assert (recipe["iterations"], recipe["crop"], recipe["schedule"]) == (2, 64, "poly")
    assert stage.config["refinement"] == "affinity"
    assert "methods.nn.affinity" in stage.code
    assert "methods.affinity" in stage.code


def test_rows_that_differ_in_the_walk_alone_train_once(profile: Profile, plan: Plan) -> None:
    other = table(refine_options={"doublings": 4, "crf": {"iterations": 2}})
    one = other.model_copy(update={"rows": other.rows[-1:], "claims": ()})
    found = make_plan(one, profile, UserFiles(), (0,))
    assert stages(found, "refinement") == stages(plan, "refinement")
    ours, theirs = (stages(p, "refined_maps")[0].config["options"] for p in (plan, found))
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert (ours["doublings"], theirs["doublings"]) == (3, 4)
    assert (ours["radius"], ours["beta"], ours["walk_alpha"]) == (5, 8.0, 16.0)


def test_raw_and_refined_maps_are_both_scored(plan: Plan) -> None:
    (row,) = plan.diagnostics.values()
    raw, better = row["maps.val_miou"].stages[0], row["refined.val_miou"].stages[0]
    assert (raw.inputs["maps"].name, better.inputs["maps"].name) == ("maps", "refined_maps")
    assert "background" not in raw.config
    assert better.config["background"] is True


def test_rows_without_refine_are_as_before(profile: Profile) -> None:
    given = load_table("seenet_table1")
    before = {s.key for s in make_plan(given, profile, UserFiles(), (0,)).stages}
    plain = profile.model_copy(update={"refinement": {}})
    assert {s.key for s in make_plan(given, plain, UserFiles(), (0,)).stages} == before
    found = make_plan(table(), profile, UserFiles(), (0,)).diagnostics
    assert {row: tuple(names) for row, names in found.items()} == {
        "acol": ("maps.val_miou",),
        "seenet_no_flip": ("maps.val_miou",),
        "seenet": ("maps.val_miou", "refined.val_miou"),
    }


def test_mistakes_are_told(profile: Profile) -> None:
    last = load_table("seenet_table1").rows[-1]
    with pytest.raises(ValueError, match="refine_options need refine"):
        refined_row(last, refine=None)
    with pytest.raises(ValueError, match="a cited row has no method"):
        Row(id="a", title="a", refine="affinity")
    with pytest.raises(BenchmarkError, match="no refinement 'afinity': did you mean 'affinity'"):
        make_plan(table(refine="afinity"), profile, UserFiles(), (0,))
    wrong = profile.model_copy(update={"refinement": {"iteration": 3}})
    with pytest.raises(BenchmarkError, match="profile tiny: refinement: no option 'iteration'"):
        make_plan(table().model_copy(update={"diagnostics": {}}), wrong, UserFiles(), (0,))


# --- the stages ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A store with the stages up to the labels of both splits."""

    plan: Plan
    store: Store

    def file(self, name: str, split: str | None = None) -> Path:
        found = [s for s in stages(self.plan, name) if split is None or s.config["split"] == split]
        return self.store.folder(found[0])


@pytest.fixture(scope="module")
def made(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Made:
    store = Store(tmp_path_factory.mktemp("store"))
    wanted = [*stages(plan, "map_score"), *stages(plan, "labels")]
    execute(wanted, store, STAGES, SilentProgress(), announce=lambda line: None)
    return Made(plan, store)


def test_refined_maps_have_a_background_and_the_same_classes(made: Made) -> None:
    raw = MapArchive(made.file("maps", "val") / "maps.safetensors")
    better = MapArchive(made.file("refined_maps", "val") / "maps.safetensors")
    assert better.ids() == raw.ids()
    assert len(raw.ids()) == 6
    for image_id in raw.ids():
        maps, classes = better.read(image_id)
        background = better.background(image_id)
        assert background is not None
        assert maps.shape == (len(classes), 8, 8)
        assert background.shape == (8, 8)
        assert classes.tolist() == raw.read(image_id)[1].tolist()
        assert min(maps.min(), background.min()) >= 0
        assert max(maps.max(), background.max()) <= 1


def test_a_refinements_network_may_have_finer_cells_than_the_attentions(
    profile: Profile, tmp_path: Path
) -> None:
    coarse = {**profile.attention.options, "output_stride": 16}
    changed = profile.model_copy(
        update={
            "attention": profile.attention.model_copy(update={"options": coarse}),
            "refinement_backbones": {"vgg16": {"output_stride": 8}},
        }
    )
    one = table()
    one = one.model_copy(update={"rows": one.rows[-1:], "claims": (), "diagnostics": {}})
    found = make_plan(one, changed, UserFiles(), (0,))
    (wanted,) = (s for s in stages(found, "refined_maps") if s.config["split"] == "val")
    store = Store(tmp_path / "store")
    execute([wanted], store, STAGES, SilentProgress(), announce=lambda line: None)
    sides = {}
    for stage in (wanted.inputs["maps"], wanted):
        archive = MapArchive(store.folder(stage) / "maps.safetensors")
        sides[stage.name] = {archive.read(image_id)[0].shape[1:] for image_id in archive.ids()}
    assert sides == {"maps": {(4, 4)}, "refined_maps": {(8, 8)}}


def test_labels_of_maps_without_the_background_they_need_are_refused(made: Made) -> None:
    refined = next(
        s for s in stages(made.plan, "labels") if s.config["recipe"].startswith("argmax")
    )
    raw = replace(refined, inputs={**refined.inputs, "maps": refined.inputs["maps"].inputs["maps"]})
    with pytest.raises(BenchmarkError, match="argmax_background needs background maps"):
        execute([raw], made.store, STAGES, SilentProgress(), announce=lambda line: None)


def test_labels_are_the_argmax_of_the_refined_maps(made: Made) -> None:
    archive = MapArchive(made.file("refined_maps", "val") / "maps.safetensors")
    labels = next(
        stage
        for stage in stages(made.plan, "labels")
        if stage.inputs["maps"].config["split"] == "val"
    )
    for image_id in archive.ids():
        maps, classes = archive.read(image_id)
        background = archive.background(image_id)
        assert background is not None
        full = resize_maps(np.concatenate([background[None], maps]), (64, 64))
        expected = argmax_background(full[1:], classes, full[0])
        png = made.store.folder(labels) / "labels" / f"{image_id}.png"
        assert np.array_equal(read_label_png(png), expected)


def test_the_score_of_refined_maps_is_that_of_their_labels(made: Made) -> None:
    """The diagnostic counts the same labels as the labels stage writes."""
    from benchmark.metrics import confusion_counts, mean_iou

    dataset = open_voc(made.file("scenes") / "voc")
    folder = made.store.folder(
        next(s for s in stages(made.plan, "labels") if s.inputs["maps"].config["split"] == "val")
    )
    size = len(dataset.classes) + 1
    counts = sum(
        confusion_counts(dataset.mask(i), read_label_png(folder / "labels" / f"{i}.png"), size)
        for i in dataset.ids("val")
    )
    scored = next(s for s in stages(made.plan, "map_score") if "background" in s.config)
    record = made.store.record(scored)
    assert record is not None
    assert record.metrics["miou"] == pytest.approx(float(mean_iou(np.asarray(counts))))


def test_the_network_starts_from_the_attention_networks_backbone(made: Made) -> None:
    """What the profile freezes nowhere moves; two short steps cannot move it far."""
    from benchmark.weights import load_state_dict

    trained = load_state_dict(made.file("attention") / "attention.safetensors")
    found = load_state_dict(made.file("refinement") / "refinement.safetensors")
    own = {name for name in found if not name.startswith("backbone.")}
    assert own == {"levels.0.weight", "levels.1.weight", "levels.2.weight", "mixed.weight"}
    name = "backbone.features.0.weight"
    change = (found[name] - trained[name]).abs().max()
    assert 0 <= float(change) < 0.05 * float(trained[name].abs().max())


# --- one image ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "stride", "size"),
    [
        ((375, 500), 8, (376, 504)),
        ((96, 96), 8, (96, 96)),
        ((64, 90), 16, (64, 96)),
        ((3, 5), 8, (8, 8)),
        ((1024, 2048), 8, (256, 512)),
    ],
)
def test_images_are_resized_to_whole_cells(
    shape: tuple[int, int], stride: int, size: tuple[int, int]
) -> None:
    assert whole_cells(shape, stride) == size


class Stub(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Identity()
        self.backbone.output_stride = 8  # type: ignore[assignment]


def test_a_refinement_sees_image_and_maps_of_one_size() -> None:
    refiner = build_refinement("affinity", {})
    seen: list[tuple[int, ...]] = []

    def refine(network: Any, image: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        assert not torch.is_grad_enabled()
        seen.extend([tuple(image.shape), tuple(maps.shape)])
        return maps[:, ::8, ::8], maps[0, ::8, ::8]

    refiner.refine = refine  # type: ignore[method-assign]
    image = np.zeros((30, 45, 3), np.uint8)
    maps, background = refined(refiner, Stub(), image, np.ones((2, 4, 6), np.float32))
    assert seen == [(1, 3, 32, 48), (2, 32, 48)]
    assert (maps.shape, background.shape) == ((2, 4, 6), (4, 6))


def test_a_killed_refinement_makes_no_target_twice(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store whose refinement dies in training goes on from the targets and the checkpoint."""
    from methods.affinity import AffinityNet

    calls: list[int] = []
    real: Callable[..., Any] = AffinityNet.targets

    def counted(self: AffinityNet, *arguments: Any) -> Any:
        calls.append(1)
        return real(self, *arguments)

    def killed(self: AffinityNet, network: Any, batch: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(AffinityNet, "targets", counted)
    (stage,) = stages(made.plan, "refinement")
    again = Stage(
        stage.name, {**stage.config, "seed": 1}, stage.inputs, stage.locations, code=stage.code
    )
    with monkeypatch.context() as patch:
        patch.setattr(AffinityNet, "losses", killed)
        with pytest.raises(KeyboardInterrupt):
            execute([again], made.store, STAGES, SilentProgress(), announce=lambda line: None)
    assert len(calls) == 12
    execute([again], made.store, STAGES, SilentProgress(), announce=lambda line: None)
    assert len(calls) == 12
    assert made.store.record(again) is not None
