"""Plans: what depends on what, what may be compared, and what a profile asks of its user."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from benchmark import profiles
from benchmark.errors import BenchmarkError
from benchmark.executor import with_inputs
from benchmark.graph import method_code
from benchmark.method import TrainingRecipe
from benchmark.plan import Plan, make_plan, make_plans
from benchmark.profiles import Profile, Saliency, VocFolder, load_profile, profile_ids
from benchmark.progress import SilentProgress
from benchmark.registry import load_method_class, parse_options
from benchmark.report.card import published_card
from benchmark.runner import run_plans
from benchmark.store import Stage, Store
from benchmark.tables import Evaluation, Row, Table, load_table, table_ids
from benchmark.user_files import UserFiles


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Profile:
    """The paper profile, content with a folder of two images."""
    profile = load_profile("paper")
    data = VocFolder(kind="voc", name="VOC 2012", images={"train_aug": 1, "val": 1})
    return profile.model_copy(update={"data": data})


@pytest.fixture
def files(tmp_path: Path) -> UserFiles:
    root = tmp_path / "voc"
    for folder in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for split, name in (("train_aug", "one"), ("val", "two")):
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(f"{name}\n")
        Image.new("RGB", (20, 10)).save(root / "JPEGImages" / f"{name}.jpg")
        mask = Image.fromarray(np.full((10, 20), 3, np.uint8))
        mask.save(root / "SegmentationClassAug" / f"{name}.png")
    for name in ("vgg16.pth", "resnet101.pth"):
        (tmp_path / name).write_bytes(name.encode())
    saliency = tmp_path / "saliency"
    saliency.mkdir()
    for name in ("one", "two"):
        Image.new("L", (20, 10)).save(saliency / f"{name}.png")
    weights = {name: tmp_path / f"{name}.pth" for name in ("vgg16", "resnet101")}
    return UserFiles(data=root, weights=weights, saliency=saliency, saliency_name="DSS")


def planned(profile: Profile, files: UserFiles, table: str = "seenet_table1") -> Plan:
    return make_plan(own_rows(table), profile, files, (0,))


def own_rows(table: str) -> Table:
    """Return one of SeeNet's tables without the rows that are other papers' methods."""
    known = load_table(table)
    rows = tuple(row for row in known.rows if row.method in ("acol", "seenet"))
    return known.model_copy(update={"rows": rows})


def stages(plan: Plan, name: str) -> list[dict[str, object]]:
    return [dict(stage.config) for stage in plan.stages if stage.name == name]


def test_the_paper_profile_may_be_compared_with_the_paper(paper: Profile, files: UserFiles) -> None:
    for table_id in ("seenet_table1", "seenet_table2"):
        plan = planned(paper, files, table_id)
        for cell in plan.cells:
            published = published_card(plan.table, cell.row, cell.column)
            assert cell.card.differences(published) == []


def test_other_saliency_than_the_papers_is_not_comparable(paper: Profile, files: UserFiles) -> None:
    other = UserFiles(
        data=files.data, weights=files.weights, saliency=files.saliency, saliency_name="U2Net"
    )
    plan = planned(paper, other)
    published = published_card(plan.table, plan.cells[0].row, plan.cells[0].column)
    assert plan.cells[0].card.differences(published) == ["saliency"]


def test_the_paper_profile_has_the_papers_constants(paper: Profile, files: UserFiles) -> None:
    """SeeNet Sec. 5.1, written here by hand."""
    plan = planned(paper, files)
    seenet = next(c for c in stages(plan, "attention") if c["method"] == "seenet")
    recipe = seenet["recipe"]
    assert isinstance(recipe, dict)
    assert (recipe["batch_size"], recipe["iterations"]) == (16, 25_000)
    assert (recipe["learning_rate"], recipe["weight_decay"]) == (1e-3, 2e-4)
    assert recipe["drops"] == [15_000 / 25_000]
    assert (recipe["crop"], recipe["test_size"]) == (224, 224)
    assert seenet["backbone"] == {
        "architecture": "vgg16",
        "options": {"output_stride": 16},
        "head": {"width": 1.0, "init_gain": 1.0, "classifier_bias": 0.0},
    }
    acol = next(c for c in stages(plan, "attention") if c["method"] == "acol")
    assert isinstance(acol["backbone"], dict)
    assert acol["backbone"]["options"] == {"output_stride": 8, "pool_kernel": 3, "pool5": True}


def test_affinities_of_the_paper_profile_have_psas_cells_whatever_the_maps_came_from(
    paper: Profile, files: UserFiles
) -> None:
    """psa_affinitynet.md: pairs within 5 cells of 8 pixels, batch norms fixed."""
    paths = {**files.weights, **dict.fromkeys(("resnet38", "xception65"), files.weights["vgg16"])}
    plan = make_plan(load_table("eader_psa"), paper, replace(files, weights=paths), (0,))
    networks = {}
    for stage in plan.stages:
        if stage.name == "refinement":
            described = stage.inputs["attention"].config["backbone"]
            options = {**described["options"], **stage.config["backbone"]}  # type: ignore[index]
            networks[stage.inputs["attention"].config["method"]] = (
                options["output_stride"],
                options["norm_eval"],
            )
    assert networks == {"psa": (8, True), "eader": (8, True)}


def test_a_plan_without_files_has_the_same_stages(paper: Profile, files: UserFiles) -> None:
    given = planned(paper, files)
    tables = [(own_rows("seenet_table1"), (0,))]
    (without,) = make_plans(tables, paper, UserFiles(), print, files_needed=False)
    assert [stage.label for stage in without.stages] == [stage.label for stage in given.stages]
    assert without.images == given.images == {"train_aug": 1, "val": 1}
    assert not {stage.key for stage in without.stages} & {stage.key for stage in given.stages}
    for ours, theirs in zip(without.stages, given.stages, strict=True):
        foreign = ("data", "digest", "sha256")
        assert {k: v for k, v in ours.config.items() if k not in foreign} == {
            k: v for k, v in theirs.config.items() if k not in foreign
        }


@pytest.mark.parametrize(
    ("table", "method", "weights", "backbone"),
    [
        # eader.md: torchvision's ResNet-101, 448 pixels to 14 cells
        ("eader_alpha", "eader", "resnet101", {"depth": 101, "output_stride": 32}),
        # psa_affinitynet.md: ResNet-38, the first two blocks and all norms fixed
        (
            "eader_psa",
            "psa",
            "resnet38",
            {"output_stride": 8, "frozen_blocks": 2, "norm_eval": True},
        ),
    ],
)
def test_methods_of_another_backbone_have_it_in_the_paper_profile(
    paper: Profile, files: UserFiles, table: str, method: str, weights: str, backbone: dict
) -> None:
    paths = {**files.weights, **dict.fromkeys(("resnet38", "xception65"), files.weights["vgg16"])}
    known = load_table(table)
    rows = tuple(row for row in known.rows if row.method == method)
    own = known.model_copy(update={"rows": rows})
    plan = make_plan(own, paper, replace(files, weights=paths), (0,))
    trained = [s for s in plan.stages if s.name == "attention" and s.config["method"] == method]
    assert trained
    for stage in trained:
        assert stage.config["backbone"]["options"] == backbone  # type: ignore[index]
        assert stage.inputs["backbone"].label == f"initial weights {weights}"
    # both releases read their maps off images as they are; SeeNet's and others' off squares
    assert all(s.config["keep_shape"] is True for s in plan.stages if s.name == "maps")
    of_maps = [c for c in plan.cells if c.row.method == method and c.card.stage == "labels"]
    assert {cell.card.network for cell in of_maps} == {weights}


def test_a_folder_that_is_not_voc_2012_is_refused(files: UserFiles) -> None:
    with pytest.raises(BenchmarkError, match="is not VOC 2012: train_aug lists 1 images"):
        planned(load_profile("paper"), files)


def test_images_without_any_chosen_class_are_told_before_anything_is_trained(
    files: UserFiles,
) -> None:
    """Both images hold birds alone."""
    light, weights = load_profile("light"), {"mobilenet_v2": Path(__file__)}
    of = UserFiles(data=files.data, weights=weights, classes=("bird", "cat"))
    assert planned(light, of).cells
    with pytest.raises(BenchmarkError, match=r"no image of train_aug holds any of .* cat, dog: ch"):
        planned(light, replace(of, classes=("cat", "dog")))
    assert files.data is not None
    mask = Image.fromarray(np.full((10, 20), 8, np.uint8))
    mask.save(files.data / "SegmentationClassAug" / "one.png")
    with pytest.raises(BenchmarkError, match=r"no image of val holds any of the classes cat: choo"):
        planned(light, replace(of, classes=("cat",)))


def test_saliency_of_the_training_images_is_enough(paper: Profile, files: UserFiles) -> None:
    """Releases hold maps of train_aug alone; the cells are scored on val without any."""
    whole = planned(paper, files)
    assert files.saliency is not None
    (files.saliency / "two.png").unlink()
    said: list[str] = []
    (plan,) = make_plans([(own_rows("seenet_table1"), (0,))], paper, files, said.append)
    assert said == [
        f"left out: measures and figures of val: {files.saliency} holds no saliency map of val"
    ]
    assert {(cell.row.id, cell.column.id) for cell in plan.cells} == {
        (cell.row.id, cell.column.id) for cell in whole.cells
    }
    assert "saliency val" in {stage.label for stage in whole.stages}
    assert "saliency val" not in {stage.label for stage in plan.stages}
    left_out = whole.diagnostics["seenet"].keys() - plan.diagnostics["seenet"].keys()
    assert left_out == {name for name in whole.table.diagnostics if name.startswith("labels.val")}
    assert left_out and whole.sheets and not plan.sheets
    with pytest.raises(BenchmarkError, match="no saliency map of val"):
        plan.sheet("seenet")
    with pytest.raises(BenchmarkError, match="'senet': did you mean 'seenet'"):
        plan.sheet("senet")


def test_a_row_of_which_the_files_leave_nothing_to_measure_says_why(
    paper: Profile, files: UserFiles, tmp_path: Path
) -> None:
    """The table of all methods scores labels of val, which SeeNet makes with saliency."""
    assert files.saliency is not None
    (files.saliency / "two.png").unlink()
    known = load_table("methods")
    table = known.model_copy(update={"rows": (known.row("cam"), known.row("seenet"))})
    plan = make_plan(table, paper, files, (0,))
    assert {cell.row.id for cell in plan.cells} == {"cam"}
    store, progress = Store(tmp_path / "store"), SilentProgress()
    with pytest.raises(
        BenchmarkError, match=r"^seenet: .* no saliency map of val: nothing to run$"
    ):
        run_plans(
            [plan], store, progress, rows=["seenet"], keep_stale=False, jobs=1, announce=print
        )


def test_missing_saliency_of_some_images_is_told_before_anything_runs(
    paper: Profile, files: UserFiles
) -> None:
    assert files.saliency is not None and files.data is not None
    (files.saliency / "one.png").unlink()
    with pytest.raises(BenchmarkError, match="lacks the saliency maps of 1 of 1 images of train_a"):
        planned(paper, files)
    Image.new("L", (20, 10)).save(files.saliency / "one.png")
    names = ("two", "a", "b", "c", "d")
    for name in names[1:]:
        Image.new("RGB", (20, 10)).save(files.data / "JPEGImages" / f"{name}.jpg")
        mask = Image.fromarray(np.full((10, 20), 3, np.uint8))
        mask.save(files.data / "SegmentationClassAug" / f"{name}.png")
    (files.data / "ImageSets/Segmentation/val.txt").write_text("\n".join(names))
    known = VocFolder(kind="voc", name="VOC 2012", images={"train_aug": 1, "val": 5})
    paper = paper.model_copy(update={"data": known})
    with pytest.raises(BenchmarkError, match=r"of 4 of 5 images of val: a, b, c and 1 more$"):
        planned(paper, files)


def test_every_row_of_ours_has_a_network_in_the_papers_profile(paper: Profile) -> None:
    rows = [row for name in table_ids() for row in load_table(name).rows if row.ours]
    assert {row.segmentation for row in rows} - {None} <= paper.segmentation.keys()


def test_a_network_that_the_paper_does_not_describe_is_a_difference(
    paper: Profile, files: UserFiles
) -> None:
    table = load_table("dsna_table4").model_copy(
        update={"rows": (load_table("dsna_table4").row("dsna_resnet101"),)}
    )
    (cell, *_) = make_plan(table, paper, files, (0,)).cells
    assert cell.card.network == "deeplab_aspp_resnet101_voc12"
    published = published_card(table, cell.row, cell.column)
    assert cell.card.differences(published) == ["network"]


def test_missing_saliency_is_asked_for(paper: Profile, files: UserFiles) -> None:
    without = UserFiles(data=files.data, weights=files.weights)
    with pytest.raises(BenchmarkError, match="give --saliency NAME=FOLDER"):
        planned(paper, without)


def test_a_table_asks_only_for_the_weights_it_needs(paper: Profile, files: UserFiles) -> None:
    weights = {"vgg16": files.weights["vgg16"]}
    fewer = UserFiles(
        data=files.data, weights=weights, saliency=files.saliency, saliency_name="DSS"
    )
    assert planned(paper, fewer).cells
    with pytest.raises(BenchmarkError, match="needs initial weights 'resnet101'"):
        planned(paper, fewer, "seenet_table2")


def test_vgg16_lends_the_segmentation_its_fully_connected_layers(
    paper: Profile, files: UserFiles
) -> None:
    plan = planned(paper, files, "seenet_table2")
    trained = {stage.label: stage for stage in plan.stages if stage.name == "segmentation"}
    kept = {label: stage.inputs["backbone"] for label, stage in trained.items()}
    assert {label: stage.name for label, stage in kept.items()} == {
        "segmentation seenet_vgg16 seed 0": "fully_connected_backbone",
        "segmentation seenet_resnet101 seed 0": "backbone",
    }
    vgg = kept["segmentation seenet_vgg16 seed 0"]
    attention = next(stage for stage in plan.stages if stage.name == "attention")
    assert vgg.key != attention.inputs["backbone"].key
    assert vgg.config["sha256"] == attention.inputs["backbone"].config["sha256"]  # one file
    assert "benchmark.deeplab" in trained["segmentation seenet_vgg16 seed 0"].code
    assert "benchmark.deeplab" not in trained["segmentation seenet_resnet101 seed 0"].code


def test_xception_gets_its_weights_from_a_stage_of_its_own(
    paper: Profile, files: UserFiles
) -> None:
    own = dict.fromkeys(("resnet38", "xception65"), files.weights["vgg16"])
    known = load_table("eader_psa")
    plan = make_plan(known, paper, replace(files, weights={**files.weights, **own}), (0,))
    assert not plan.absent
    trained = [stage for stage in plan.stages if stage.name == "segmentation"]
    assert len(trained) == 2
    for stage in trained:
        assert stage.config["config"] == "deeplabv3plus_xception65_voc12.py"
        assert stage.inputs["backbone"].name == "xception_backbone"
    others = {stage.label for stage in plan.stages if stage.name == "backbone"}
    assert others == {"initial weights resnet101", "initial weights resnet38"}
    fewer = replace(files, weights={**files.weights, "resnet38": own["resnet38"]})
    with pytest.raises(BenchmarkError, match=r"'xception65': .*FILE \(timm key layout\)"):
        make_plan(known, paper, fewer, (0,))


def test_no_stage_holds_a_path_in_its_config(
    paper: Profile, files: UserFiles, tmp_path: Path
) -> None:
    for stage in planned(paper, files).stages:
        assert str(tmp_path) not in repr(dict(stage.config))


def test_moving_the_users_files_changes_no_key(
    paper: Profile, files: UserFiles, tmp_path: Path
) -> None:
    before = {stage.key for stage in planned(paper, files).stages}
    assert files.data is not None
    moved = files.data.rename(tmp_path / "elsewhere")
    (moved / "dataset.toml").write_text("")
    elsewhere = UserFiles(
        data=moved, weights=files.weights, saliency=files.saliency, saliency_name="DSS"
    )
    assert {stage.key for stage in planned(paper, elsewhere).stages} == before


def test_other_masks_change_what_reads_the_images(paper: Profile, files: UserFiles) -> None:
    before = {stage.key for stage in planned(paper, files).stages}
    assert files.data is not None
    mask = Image.fromarray(np.full((10, 20), 4, np.uint8))
    mask.save(files.data / "SegmentationClassAug" / "two.png")
    same = {stage.name for stage in planned(paper, files).stages if stage.key in before}
    assert same == {"backbone", "fully_connected_backbone"}


def test_a_network_the_profile_lacks_leaves_its_cells_out(files: UserFiles) -> None:
    light = load_profile("light")
    weights = {"mobilenet_v2": files.weights["vgg16"]}
    plan = planned(light, UserFiles(data=files.data, weights=weights), "seenet_table2")
    assert plan.absent == {
        ("seenet_resnet101", "val"): "profile light has no largefov_resnet101",
        ("seenet_resnet101", "val_crf"): "profile light has no largefov_resnet101",
        ("seenet_resnet101", "val_single"): "profile light has no largefov_resnet101",
    }
    assert {cell.card.supervision for cell in plan.cells} == {"I"}


def test_without_and_with_crf_come_from_the_networks_one_training(files: UserFiles) -> None:
    plan = planned(load_profile("scenes"), UserFiles(), "seenet_table2")
    assert len(stages(plan, "attention")) == 1
    assert len(stages(plan, "segmentation")) == 2
    assert len(stages(plan, "prediction")) == 6


def test_the_code_of_a_method_is_its_module_and_what_it_takes_from_its_package() -> None:
    assert method_code(load_method_class("seenet")) == (
        "methods.nn.heads",
        "methods.nn.zones",
        "methods.seenet",
    )


@pytest.mark.parametrize("profile", profile_ids())
def test_every_profile_loads(profile: str) -> None:
    loaded = load_profile(profile)
    assert loaded.id == profile
    for recipe in (loaded.attention.recipe, loaded.refinement):
        parse_options("recipe", TrainingRecipe, recipe)


def test_mistakes_in_a_profile_of_the_users_own_name_the_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('id = "mine"\n')
    with pytest.raises(BenchmarkError, match=r"profile mine.toml: title: Field required"):
        load_profile(str(path))
    path.write_text("id = ")
    with pytest.raises(BenchmarkError, match=r"profile mine.toml: not valid TOML"):
        load_profile(str(path))


@cache
def retrained(kind: str | None, table: str = "seenet_table1") -> Plan:
    """The scenes' plan of the table with every measured row's network trained once more."""
    known = own_rows(table)
    rows = [row.model_copy(update={"retrain": kind}) for row in known.rows]
    changed = known.model_copy(update={"rows": tuple(rows)})
    return make_plan(changed, load_profile("scenes"), UserFiles(), (0,))


def labelled(plan: Plan, label: str) -> Stage:
    (found,) = [stage for stage in plan.stages if stage.label == label]
    return found


def test_without_retraining_nothing_is_added_to_a_plan() -> None:
    plan = retrained(None)
    assert plan.stages == planned(load_profile("scenes"), UserFiles()).stages
    assert "adapted_labels" not in {stage.name for stage in plan.stages}
    first = labelled(plan, "segmentation acol seed 0")
    assert set(first.inputs) == {"scenes", "labels", "backbone"}
    assert set(first.config) == {"config", "config_digest", "seed"}
    assert labelled(plan, "prediction acol val seed 0").inputs["segmentation"] == first


@pytest.mark.parametrize("kind", ["adapt", "plain"])
def test_retraining_adds_labels_and_a_training_between_the_first_and_the_test(kind: str) -> None:
    before, after = retrained(None), retrained(kind)
    first = labelled(after, "segmentation acol seed 0")
    labels = labelled(after, "adapted labels acol seed 0")
    second = labelled(after, "retraining acol seed 0")
    assert first == labelled(before, "segmentation acol seed 0")
    assert (labels.name, second.name) == ("adapted_labels", "segmentation")
    assert dict(labels.inputs) == {"scenes": first.inputs["scenes"], "segmentation": first}
    assert dict(second.inputs) == {
        "scenes": first.inputs["scenes"],
        "backbone": first.inputs["backbone"],
        "labels": labels,
        "initial": first,
    }
    assert dict(second.config) == dict(first.config)
    assert labelled(after, "prediction acol val seed 0").inputs["segmentation"] == second
    assert labelled(after, "score acol val seed 0").inputs["labels"].inputs == {
        "scenes": first.inputs["scenes"],
        "segmentation": second,
    }
    new = {stage.name for stage in after.stages if stage not in before.stages}
    assert new == {"adapted_labels", "segmentation", "prediction", "score"}


def test_the_labels_of_a_retraining_are_the_released_codes() -> None:
    adapt = dict(labelled(retrained("adapt"), "adapted labels acol seed 0").config)
    plain = dict(labelled(retrained("plain"), "adapted labels acol seed 0").config)
    assert (adapt["scales"], adapt["flip"], adapt["crf"]) == ([1.0, 0.75, 0.5], False, None)
    assert (plain["scales"], plain["flip"]) == ([0.75, 1.0, 1.25], False)
    crf = plain["crf"]
    assert isinstance(crf, dict)
    assert crf["iterations"] == 10
    assert (adapt["restricted"], plain["restricted"]) == (True, False)


def test_columns_share_one_retraining() -> None:
    plan = retrained("adapt", "seenet_table2")
    names = [stage.name for stage in plan.stages]
    assert (names.count("adapted_labels"), names.count("segmentation")) == (2, 4)
    assert names.count("prediction") == 6


def test_mistakes_in_a_rows_retraining_are_told() -> None:
    cited = {"id": "cited", "title": "Cited", "retrain": "adapt"}
    with pytest.raises(ValidationError, match="row cited: a cited row has no method"):
        Row.model_validate(cited)
    ours = load_table("seenet_table1").rows[0].model_dump()
    assert Row.model_validate({**ours, "retrain": "plain"}).retrain == "plain"
    with pytest.raises(ValidationError, match="'adapt' or 'plain'"):
        Row.model_validate({**ours, "retrain": "often"})


class TestSeenSaliency:
    """A method whose network looks at saliency maps, on a profile that makes them itself."""

    @pytest.fixture
    def acol_sees(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = load_method_class

        def load(name: str) -> type:
            method = plain(name)
            if name != "acol":
                return method
            # of the same module, in whose code method_code looks
            return type("Sees", (method,), {"needs_saliency": True, "__module__": "methods.acol"})

        monkeypatch.setattr("benchmark.registry.load_method_class", load)

    def stages(self, recipe: str | None = None) -> Plan:
        table = load_table("seenet_table1")
        if recipe is not None:
            change = {"recipe": recipe, "constants": {}}
            rows = tuple(row.model_copy(update=change) for row in table.rows)
            table = table.model_copy(update={"rows": rows})
        return make_plan(table, load_profile("scenes"), UserFiles(), (0,))

    @pytest.mark.usefixtures("acol_sees")
    def test_its_stages_and_no_others_get_the_maps_of_their_splits(self) -> None:
        seen = 0
        for stage in self.stages().stages:
            if stage.name not in ("attention", "maps"):
                continue
            trained = stage if stage.name == "attention" else stage.inputs["attention"]
            found = {
                role: upstream.config["split"]
                for role, upstream in stage.inputs.items()
                if upstream.name == "saliency"
            }
            if trained.config["method"] != "acol":
                assert found == {}
            elif stage.name == "attention":
                assert found == {"saliency_train": "train_aug", "saliency_val": "val"}
            else:
                assert found == {"saliency": stage.config["split"]}
            seen += bool(found)
        assert seen == 3  # attention, maps of train, maps of val

    @pytest.mark.usefixtures("acol_sees")
    def test_the_card_says_i_s_where_the_method_or_the_recipe_looks(self) -> None:
        cards = {cell.row.id: cell.card for cell in self.stages("background_threshold").cells}
        assert {row: card.supervision for row, card in cards.items()} == {
            "acol": "I+S",
            "seenet_no_flip": "I",
            "seenet": "I",
        }
        assert cards["seenet"].saliency == "none"
        assert cards["acol"].saliency == "own network, generated objects of other classes"
        cards = {cell.row.id: cell.card for cell in self.stages().cells}
        assert {card.supervision for card in cards.values()} == {"I+S"}

    @pytest.mark.usefixtures("acol_sees")
    def test_a_profile_without_saliency_refuses_it(self, files: UserFiles) -> None:
        light = load_profile("light").model_copy(update={"saliency": Saliency(kind="none")})
        weights = {"mobilenet_v2": files.weights["vgg16"]}
        with pytest.raises(BenchmarkError, match="profile light has no saliency maps"):
            planned(light, UserFiles(data=files.data, weights=weights))

    @pytest.mark.usefixtures("acol_sees")
    def test_a_network_that_sees_maps_learns_without_those_of_val(
        self, paper: Profile, files: UserFiles
    ) -> None:
        assert files.saliency is not None
        (files.saliency / "two.png").unlink()
        plan = planned(paper, files)
        (network,) = [
            stage
            for stage in plan.stages
            if stage.name == "attention" and stage.config["method"] == "acol"
        ]
        assert {role for role in network.inputs if "saliency" in role} == {"saliency_train"}
        assert not {"attention.val_map", "maps.val_miou"} & plan.diagnostics["acol"].keys()
        assert {"attention.val_map", "maps.val_miou"} <= plan.diagnostics["seenet"].keys()
        assert plan.cells and not plan.absent

    @pytest.mark.usefixtures("acol_sees")
    def test_saliency_for_the_network_is_none_for_the_labels(self, files: UserFiles) -> None:
        """The light profile's saliency guides networks; its labels are made without."""
        weights = {"mobilenet_v2": files.weights["vgg16"]}
        plan = planned(load_profile("light"), UserFiles(data=files.data, weights=weights))
        assert {cell.row.id: cell.card.supervision for cell in plan.cells} == {
            "acol": "I+S",
            "seenet_no_flip": "I",
            "seenet": "I",
        }
        assert not any("saliency" in s.inputs for s in plan.stages if s.name == "labels")


def test_a_run_of_some_rows_makes_what_they_need_alone() -> None:
    plan = planned(load_profile("scenes"), UserFiles())
    labels = [stage.label for stage in with_inputs(plan.targets_of(["seenet"]))]
    assert "attention seenet seed 0" in labels
    assert not [label for label in labels if "acol" in label or "no_flip" in label]
    assert plan.targets_of(["seenet", "acol", "seenet_no_flip"])
    assert set(plan.targets_of(row.id for row in plan.table.rows)) == set(plan.targets)
    with pytest.raises(BenchmarkError, match=r"'seenett'.*did you mean 'seenet'"):
        plan.targets_of(["seenett"])


def of_split(split: str, stage: str) -> Table:
    """A table of one row and one column: labels or segmentation of one list of images."""
    known = own_rows("seenet_table1")
    evaluation = Evaluation.model_validate({"stage": stage, "split": split})
    column = known.columns[-1].model_copy(update={"evaluation": evaluation})
    return known.model_copy(
        update={"columns": (column,), "rows": known.rows[:1], "claims": (), "diagnostics": {}}
    )


@pytest.fixture
def voc_lists(files: UserFiles) -> Path:
    """The folder of lists, once train_aug has a second image that VOC's own list has not."""
    assert files.data is not None and files.saliency is not None
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClassAug", "png")):
        one = files.data / folder / f"one.{ending}"
        (files.data / folder / f"more.{ending}").write_bytes(one.read_bytes())
    (files.saliency / "more.png").write_bytes((files.saliency / "one.png").read_bytes())
    lists = files.data / "ImageSets" / "Segmentation"
    (lists / "train_aug.txt").write_text("one\nmore\n")
    return lists


@pytest.fixture
def two_images(paper: Profile) -> Profile:
    data = VocFolder(kind="voc", name="VOC 2012", images={"train_aug": 2, "val": 1})
    return paper.model_copy(update={"data": data})


def test_vocs_own_training_list_is_scored_apart_from_train_aug(
    two_images: Profile, files: UserFiles, voc_lists: Path
) -> None:
    (voc_lists / "train.txt").write_text("one\n")
    scores = {}
    for split in ("train", "train_aug"):
        plan = make_plan(of_split(split, "labels"), two_images, files, (0,))
        (cell,) = plan.cells
        (scores[split],) = cell.scores
        assert cell.card.split == split
        assert cell.card.differences(published_card(plan.table, cell.row, cell.column)) == []
    own, augmented = scores["train"], scores["train_aug"]
    assert (own.config["split"], augmented.config["split"]) == ("train", "train_aug")
    # the labels of all training images are made once, whatever list of them is scored
    assert own.inputs["labels"] == augmented.inputs["labels"]
    (voc_lists / "train.txt").write_text("more\n")
    plan = make_plan(of_split("train", "labels"), two_images, files, (0,))
    assert plan.cells[0].scores[0].key != own.key


def test_vocs_own_training_list_is_counted_where_no_images_are_given() -> None:
    known, paper = of_split("train", "labels"), load_profile("paper")
    (plan,) = make_plans([(known, (0,))], paper, UserFiles(), print, files_needed=False)
    (score,) = plan.cells[0].scores
    assert score.config["split"] == "train"
    assert plan.images == {"train_aug": 10582, "val": 1449, "train": 1464}


def test_a_segmentation_may_be_scored_on_vocs_own_training_list(
    two_images: Profile, files: UserFiles, voc_lists: Path
) -> None:
    (voc_lists / "train.txt").write_text("one\n")
    plan = make_plan(of_split("train", "segmentation"), two_images, files, (0,))
    (score,) = plan.cells[0].scores
    assert score.config["split"] == score.inputs["labels"].config["split"] == "train"
    assert score.inputs["labels"].name == "prediction"


def test_without_vocs_own_list_there_is_nothing_to_measure_on_it(
    two_images: Profile, files: UserFiles, voc_lists: Path
) -> None:
    with pytest.raises(BenchmarkError, match="the data set has no list train"):
        make_plan(of_split("train", "labels"), two_images, files, (0,))
    (voc_lists / "train.txt").write_text("one\ntwo\n")
    with pytest.raises(BenchmarkError, match="lists two, which is not in train_aug"):
        make_plan(of_split("train", "labels"), two_images, files, (0,))


def test_the_scenes_own_training_list_is_their_training_split() -> None:
    scenes = load_profile("scenes")
    plans = [
        make_plan(of_split(s, "labels"), scenes, UserFiles(), (0,)) for s in ("train", "train_aug")
    ]
    one, two = (plan.cells[0].scores[0] for plan in plans)
    assert one == two
    assert one.config["split"] == "train_aug"


def test_maps_are_read_off_squares_but_where_the_profile_follows_a_paper_that_keeps_the_shape(
    paper: Profile, files: UserFiles
) -> None:
    squares = [*planned(paper, files).stages]
    known = load_table("eader_psa")
    squares += make_plan(known, load_profile("scenes"), UserFiles(), (0,)).stages
    maps = [stage.config for stage in squares if stage.name == "maps"]
    assert maps
    assert not any("keep_shape" in config for config in maps)


def seen(table: str, family: str, profile: Profile, files: UserFiles) -> list[dict[str, Any]]:
    """How the val predictions of a family's rows, and the labels it gives itself, see images."""
    known = load_table(table)
    rows = tuple(row for row in known.rows if row.segmentation == family)
    assert rows, f"{table} has rows of {family}"
    own = {name for row in rows for name in row.evaluation}  # else every column's is the rows'
    columns = tuple(one for one in known.score_columns if not own or one.id in own)
    changed = {"rows": rows, "columns": columns, "claims": ()}
    plan = make_plan(known.model_copy(update=changed), profile, files, (0,))
    configs = [stage.config for stage in plan.stages]
    return [
        {key: config.get(key) for key in ("scales", "square", "fusion")}
        for config in configs
        if (config.get("split") == "val" and "crf" in config) or "restricted" in config
    ]


@pytest.mark.parametrize(
    ("table", "family", "sides", "square", "fusion"),
    [
        ("sgan_table1", "sgan_aspp_vgg16", (288, 385, 481), 385, "logits"),
        ("sgan_table1", "sgan_aspp_resnet101", (288, 385, 481), 385, "logits"),
        ("sgan_table2", "sgan_aspp_vgg16", (288, 385, 481), 385, "logits"),
        ("sgan_table3", "sgan_aspp_vgg16", (288, 385, 481), 385, "logits"),
        ("sgan_table1", "dsrg_aspp_vgg16", (240, 321, 401), 321, "logits"),
        ("eader_sota", "dsrg_aspp_vgg16", (240, 321, 401), 321, "logits"),
        ("sgan_table1", "sec_largefov_vgg16", (321,), 321, None),
        ("seenet_table2", "sec_largefov_vgg16", (321,), 321, None),
        ("dsna_table5", "sec_largefov_vgg16", (321,), 321, None),
        ("seenet_table2", "dcsp_aspp_resnet101", None, None, "maximum"),
        ("dsna_table4", "dcsp_aspp_resnet101", None, None, "maximum"),
        ("eader_erasing", "dcsp_aspp_resnet101", None, None, "maximum"),
    ],
)
def test_rows_of_other_papers_see_images_as_their_releases_do(
    table: str,
    family: str,
    sides: tuple[int, ...] | None,
    square: int | None,
    fusion: str | None,
    paper: Profile,
    files: UserFiles,
) -> None:
    """sgan.md: 0.75 * 385, 385, 481; dsrg.md: 241, 321, 401 (the network's cells make 241 of 240);
    sec.md: 321; dcsp.md: 1, 0.75 and 0.5, the maximum. Squares are VOC's: not on the scenes."""
    found = seen(table, family, paper, files)
    assert found
    for one in found:
        assert (one["square"], one["fusion"]) == (square, fusion)
        if sides is None:
            assert sorted(one["scales"]) == [0.5, 0.75, 1.0]
        else:
            assert square is not None
            assert tuple(int(scale * square) for scale in one["scales"]) == sides
    for one in seen(table, family, load_profile("scenes"), UserFiles()):
        assert (one["square"], one["fusion"]) == (None, fusion)


def test_a_card_says_how_its_views_are_joined(paper: Profile, files: UserFiles) -> None:
    known = load_table("sgan_table2")
    plan = make_plan(known, paper, files, (0,))
    assert {cell.card.views for cell in plan.cells} == {"logits, squares of 385 px"}
    cell = plan.cells[0]
    assert "views" not in cell.card.differences(published_card(known, cell.row, cell.column))
    small = make_plan(known, load_profile("scenes"), UserFiles(), (0,))
    assert {cell.card.views for cell in small.cells} == {"logits"}
    assert "views" in small.cells[0].card.differences(published_card(known, cell.row, cell.column))


def test_how_views_are_joined_is_of_segmentations_alone() -> None:
    for more in ({"square": 385}, {"fusion": "logits"}):
        with pytest.raises(ValidationError, match="not of labels"):
            Evaluation.model_validate({"stage": "labels", "split": "val", **more})


def test_a_second_training_has_its_own_config_where_the_profile_says_so(
    paper: Profile, files: UserFiles
) -> None:
    """DSRG's: the labels come from the first network, the test is of the second."""
    known = load_table("sgan_table1")
    rows = [row for row in known.rows if row.segmentation == "dsrg_aspp_vgg16"]
    assert [row.retrain for row in rows] == ["plain"]
    plan = make_plan(known.model_copy(update={"rows": tuple(rows)}), paper, files, (0,))
    first, second = (
        next(stage for stage in plan.stages if stage.label.startswith(name))
        for name in ("segmentation ", "retraining ")
    )
    (labels,) = (stage for stage in plan.stages if stage.name == "adapted_labels")
    (tested,) = (stage for stage in plan.stages if stage.name == "prediction")
    retraining = "retraining_dsrg_aspp_vgg16_voc12.py"
    assert first.config["config"] == labels.config["config"] == "dsrg_aspp_vgg16_voc12.py"
    assert second.config["config"] == tested.config["config"] == retraining
    assert second.inputs["initial"] == first
    assert Path(second.locations["config"]).name == retraining
    assert Path(tested.locations["config"]).name == retraining
    assert first.config["config_digest"] != second.config["config_digest"]


def test_the_scenes_networks_are_those_that_they_were() -> None:
    """DSNA's and DCSP's own schedules are VOC's; on the scenes they train as all others do."""
    families = load_profile("scenes").segmentation
    assert families["dsna_largefov_vgg16"] == families["largefov_vgg16"]
    assert families["dcsp_aspp_resnet101"] == families["aspp_resnet101"]
    assert all(family.retraining is None for family in families.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"batch_size": -1}, "batch_size must be at least 1"),
        ({"crop": 0}, "crop must be at least 1"),
        ({"test_size": 0}, "test_size must be at least 1"),
        ({"learning_rate": -0.1}, "learning_rate must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"clip": -5.0}, "clip must be above 0"),
        ({"drops": [8.0]}, "drops are shares of the iterations"),
        ({"side": [80, 64]}, "side must be two lengths, the shorter first"),
        ({"side": [0, 0]}, "side must be two lengths, the shorter first"),
        ({"iteration": 2}, "did you mean 'iterations'"),
    ],
)
def test_constants_that_no_training_can_use_are_refused_before_any(
    changes: dict[str, Any], message: str
) -> None:
    profile = load_profile("scenes")
    of_attention = profile.attention.model_copy(
        update={"recipe": {**profile.attention.recipe, **changes}}
    )
    wrong = {
        "attention.recipe": profile.model_copy(update={"attention": of_attention}),
        "refinement": profile.model_copy(update={"refinement": {**profile.refinement, **changes}}),
    }
    for part, changed in wrong.items():
        with pytest.raises(BenchmarkError, match=f"^profile scenes: {part}: .*{message}"):
            make_plan(load_table("eader_psa"), changed, UserFiles(), (0,))


def test_a_profile_of_the_users_cannot_pass_for_one_of_the_suite(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    shipped = config_of_profile("scenes")
    own.write_text(shipped)
    with pytest.raises(BenchmarkError, match=r"own\.toml: the id 'scenes' is that of a profile"):
        load_profile(str(own))
    own.write_text(shipped.replace('id = "scenes"', 'id = "mine"'))
    assert load_profile(str(own)).id == "mine"
    shipped_file = Path(profiles.__file__).parent / ".." / "profiles" / "scenes.toml"
    assert load_profile(str(shipped_file)).id == "scenes"


def config_of_profile(name: str) -> str:
    return (Path(profiles.__file__).parent / f"{name}.toml").read_text()


def test_scenes_have_no_other_splits() -> None:
    known = of_split("vall", "labels")
    with pytest.raises(BenchmarkError, match=r"no split of the generated scenes 'vall'.*'val'"):
        make_plan(known, load_profile("scenes"), UserFiles(), (0,))
