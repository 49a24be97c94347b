"""Label recipes, saliency sources and segmentation configs of another package."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from benchmark import provenance, registry
from benchmark.data.voc import open_voc, read_label_png
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.given import Given
from benchmark.listing import listed
from benchmark.plan import Plan, make_plan
from benchmark.profiles import Profile, Saliency, load_profile, plugin_families, why_no_family
from benchmark.progress import SilentProgress
from benchmark.proxy import find_recipe
from benchmark.saliency.source import build_source, checked_maps
from benchmark.stages import STAGES
from benchmark.stages.labels import _check
from benchmark.store import Stage, Store
from benchmark.tables import Table, load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from plugin_package import forget_plugins, write_plugin
from tiny import write_profile


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The plugin's folder, on ``sys.path`` with its entry points."""
    site = tmp_path_factory.mktemp("site")
    written = write_plugin(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        forget_plugins("tiny_plugin")
        yield written
    forget_plugins("tiny_plugin")


@pytest.fixture(scope="module")
def profile(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    loaded = load_profile(str(write_profile(tmp_path_factory.mktemp("profile"))))
    source = Saliency(kind="source", source="left_half", options={"value": 0.75})
    return loaded.model_copy(update={"saliency": source})


def table(**changes: object) -> Table:
    """One row whose labels and network are the plugin's."""
    known = load_table("seenet_table1")
    row = known.rows[0].model_copy(
        update={
            "method": "cam",
            "options": {},
            "recipe": "halves",
            "constants": {"least": 0.5},
            "segmentation": "my_network",
            **changes,
        }
    )
    return known.model_copy(update={"rows": (row,), "claims": (), "diagnostics": {}})


@pytest.fixture(scope="module")
def plan(profile: Profile) -> Plan:
    return make_plan(table(), profile, UserFiles(), (0,))


def stage_of(plan: Plan, name: str) -> Stage:
    return next(stage for stage in plan.stages if stage.name == name)


def test_a_row_runs_on_a_plugins_saliency_recipe_and_network(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    execute(plan.targets, store, STAGES, SilentProgress(), announce=lambda line: None)
    dataset = open_voc(store.folder(stage_of(plan, "scenes")) / "voc")
    (training,) = {
        s for s in plan.stages if s.name == "labels" and s.label.endswith("train seed 0")
    }
    (saliency,) = (training.inputs["saliency"],)
    for image_id in dataset.ids("train_aug"):
        seen = np.asarray(Image.open(store.folder(saliency) / "saliency" / f"{image_id}.png"))
        assert seen.shape == (64, 64)
        assert (seen[:, :32] == round(0.75 * 255)).all()
        assert not seen[:, 32:].any()
        labels = read_label_png(store.folder(training) / "labels" / f"{image_id}.png")
        first = 1 + int(np.flatnonzero(dataset.image_labels(image_id))[0])
        assert (labels[:, :32] == first).all()
        assert not labels[:, 32:].any()
    trained = store.record(stage_of(plan, "segmentation"))
    assert trained is not None
    assert trained.metrics["iterations"] == 2
    score = store.record(plan.cells[0].scores[0])
    assert score is not None
    assert 0 <= score.metrics["miou"] <= 1  # type: ignore[operator]


def test_cards_say_what_comes_from_the_plugin(plan: Plan) -> None:
    (cell,) = plan.cells
    assert (cell.card.saliency, cell.card.supervision) == ("Left", "I+S")
    assert cell.card.network == "my_network"
    assert stage_of(plan, "saliency").config["options"] == {"value": 0.75}


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("labels", "recipe.py"),
        ("labels", "choice.py"),  # which the recipe imports
        ("saliency", "saliency.py"),
        ("segmentation", "head.py"),  # which the config imports
    ],
)
def test_a_change_of_the_plugins_code_changes_the_fingerprint_of_its_stage(
    package: Path, plan: Plan, stage: str, file: str
) -> None:
    path = package / file
    code, before = path.read_text(), provenance.fingerprint(stage_of(plan, stage).code)
    others = {name: stage_of(plan, name).code for name in ("attention", "scenes")}
    untouched = {name: provenance.fingerprint(modules) for name, modules in others.items()}
    try:
        path.write_text(f"{code}\nANOTHER = 1\n")
        provenance._module_fingerprint.cache_clear()
        assert provenance.fingerprint(stage_of(plan, stage).code) != before
        for name, modules in others.items():
            assert provenance.fingerprint(modules) == untouched[name]
    finally:
        path.write_text(code)
        provenance._module_fingerprint.cache_clear()
    assert provenance.fingerprint(stage_of(plan, stage).code) == before


def test_a_change_of_the_plugins_config_changes_the_key_of_its_stages(
    package: Path, profile: Profile, plan: Plan
) -> None:
    path = package / "configs" / "my_network.py"
    text = path.read_text()
    try:
        path.write_text(text.replace("channels=8", "channels=4"))
        changed = make_plan(table(), profile, UserFiles(), (0,))
    finally:
        path.write_text(text)
    assert stage_of(changed, "segmentation").key != stage_of(plan, "segmentation").key
    assert stage_of(changed, "labels").key == stage_of(plan, "labels").key


@pytest.mark.usefixtures("package")
def test_broken_plugins_are_told_where_they_are_asked_for_and_nowhere_else() -> None:
    for name, message in (
        ("broken_recipe", r"'broken_recipe' .* cannot be imported: ModuleNotFoundError"),
        ("wrong_recipe", "is not a benchmark.proxy.Recipe"),
        ("halfs", "did you mean 'halves'"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            find_recipe(name)
    for name, message in (
        ("broken_source", r"'broken_source' .* cannot be imported: ModuleNotFoundError"),
        ("wrong_source", "is not a benchmark.saliency.source.SaliencySource"),
        ("left_halves", "did you mean 'left_half'"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            build_source(name, {})
    assert find_recipe("algorithm1").needs == ("saliency",)
    with pytest.raises(BenchmarkError, match="no option 'valeu': did you mean 'value'"):
        build_source("left_half", {"valeu": 1.0})
    with pytest.raises(BenchmarkError, match="label recipe halves has no constant 'leest'"):
        find_recipe("halves", ["leest"])


def rows(recipe: str) -> Table:
    """Two rows: one of our own recipe, and one of ``recipe``."""
    known = table(recipe="algorithm1", constants={}, segmentation="largefov_vgg16")
    other = known.rows[0].model_copy(update={"id": "theirs", "recipe": recipe})
    return known.model_copy(update={"rows": (*known.rows, other)})


def test_a_row_of_a_broken_recipe_says_so_and_the_others_are_planned(profile: Profile) -> None:
    plan = make_plan(rows("broken_recipe"), profile, UserFiles(), (0,))
    assert {cell.row.id for cell in plan.cells} == {plan.table.rows[0].id}
    assert "cannot be imported: ModuleNotFoundError" in plan.broken["theirs"]
    (reason,) = {reason for (row, _), reason in plan.absent.items() if row == "theirs"}
    assert reason == f"failed: {plan.broken['theirs']}"


def test_a_row_whose_plugin_imports_late_what_is_no_python_says_so(
    package: Path, profile: Profile
) -> None:
    choice = package / "choice.py"
    text = choice.read_text()
    try:
        choice.write_text(f"{text}\n\ndef late():\n    import tiny_plugin.unfinished\n")
        (package / "unfinished.py").write_text("def (")
        forget_plugins("tiny_plugin")
        plan = make_plan(rows("halves"), profile, UserFiles(), (0,))
    finally:
        choice.write_text(text)
        (package / "unfinished.py").unlink()
        forget_plugins("tiny_plugin")
    assert len(plan.cells) == 1
    assert "the source of its plugin cannot be read" in plan.broken["theirs"]


def test_a_missing_network_says_which_plugins_could_not_be_read(profile: Profile) -> None:
    given = list(plugin_families(profile))
    assert [(one.package, one.name) for one in given] == [
        ("broken_configs", ""),
        ("tiny_configs", "my_network"),
    ]
    reason = why_no_family(profile, "my_netwerk")
    assert reason.startswith("profile tiny has no my_netwerk; plugin 'broken_configs': ")
    assert "no_such_package" in reason


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ('[tiny.mine]\nconfig = "my_network.py"', r"tiny\.mine: weights: Field required"),
        (
            '[tiny.mine]\nconfig = "my_network.py"\nweights = "vgg"',
            "no weights 'vgg': known",
        ),
        ('[tiny.mine]\nconfig = "none.py"\nweights = "vgg16_slim"', "no segmentation config"),
        ("tiny = 3", r"write \[tiny\.FAMILY\]"),
        ("[tiny", "not valid TOML"),
    ],
)
def test_mistakes_in_a_plugins_families_are_told(
    package: Path, profile: Profile, families: str, message: str
) -> None:
    path = package / "configs" / "families.toml"
    text = path.read_text()
    try:
        path.write_text(families)
        found = [one for one in plugin_families(profile) if one.package == "tiny_configs"]
    finally:
        path.write_text(text)
    assert [one.settings for one in found] == [None]
    assert re.search(message, found[0].reason)


@pytest.mark.usefixtures("package")
def test_lists_show_plugins_and_what_is_broken() -> None:
    recipes = {row["recipe"]: row for row in listed("recipes")}
    assert recipes["algorithm1"]["from"] == "benchmark.proxy"
    assert recipes["halves"] == {
        "recipe": "halves",
        "from": "tiny_plugin.recipe:RECIPE",
        "needs": "saliency",
        "constants": "least",
        "what": "The first class where it is salient.",
    }
    assert "cannot be imported" in recipes["broken_recipe"]["what"]
    sources = {row["source"]: row for row in listed("saliency")}
    assert sources["left_half"]["title"] == "Left"
    assert sources["left_half"]["what"] == "The left half of every image."
    assert "cannot be imported" in sources["broken_source"]["what"]
    networks = listed("segmentations")
    assert {row["profile"] for row in networks} == {"light", "paper", "scenes"}
    broken = [row for row in networks if row["from"] == "broken_configs"]
    assert all("no_such_package" in row["config"] for row in broken)
    own = {"segmentation": "largefov_vgg16", "config": "deeplab_largefov_vgg16_scenes.py"}
    assert {**own, "profile": "scenes", "from": "mmseg_configs"} in networks


@pytest.mark.usefixtures("package")
def test_saliency_may_name_a_plugin_or_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen, files = Given(saliency="left_half").chosen()
    assert chosen.saliency == Saliency(kind="source", source="left_half")
    assert (files.saliency, files.saliency_name) == (None, None)
    with pytest.raises(BenchmarkError, match="did you mean 'left_half'"):
        Given(saliency="left_hal").chosen()
    for folder in ("DSS=left_half", "left_half=nowhere"):
        chosen, files = Given(saliency=folder).chosen()
        assert chosen.saliency.kind == "network"
        assert files.saliency == Path(folder.partition("=")[2])
    (tmp_path / "left_half").mkdir()
    assert Given(saliency="left_half").chosen()[1].saliency == Path("left_half")


@pytest.mark.usefixtures("package")
def test_naming_the_profiles_own_source_keeps_its_options(tmp_path: Path) -> None:
    path = write_profile(tmp_path)
    before, _, after = path.read_text().partition("[saliency]\n")
    own = 'kind = "source"\nsource = "left_half"\noptions = { value = 0.25 }\n\n'
    path.write_text(f"{before}[saliency]\n{own}[seg{after.partition('[seg')[2]}")
    chosen, _ = Given(profile=str(path), saliency="left_half").chosen()
    assert chosen.saliency.options == {"value": 0.25}


def test_saliency_of_a_plugin_must_name_it() -> None:
    for settings in ({"kind": "source"}, {"kind": "none", "source": "left_half"}):
        with pytest.raises(ValidationError, match="names its source"):
            Saliency.model_validate(settings)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([], "gives 0 maps of 1 images"),
        (None, "gives NoneType, not a list of maps"),
        (iter([np.zeros((2, 3))]), "gives list_iterator, not a list of maps"),
        ([np.zeros((0, 3))], r"gives a map float64 \(0, 3\)"),
        ([np.zeros((2, 3, 1))], r"gives a map float64 \(2, 3, 1\)"),
        ([np.zeros((2, 3), np.uint8)], "gives a map uint8"),
        ([np.full((2, 3), 1.5)], r"leaves \[0, 1\]: 1.5 to 1.5"),
        ([np.full((2, 3), np.nan)], r"leaves \[0, 1\]"),
    ],
)
def test_what_a_source_gives_is_checked(maps: Any, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        checked_maps("mine", maps, 1)


def test_what_a_recipe_gives_is_checked() -> None:
    good = np.array([[0, 3, 255]], np.uint8)
    _check("mine", good, (1, 3), np.array([3, 7]))
    for labels, message in (
        (good.astype(int), r"gives int64 \(1, 3\), not uint8 \(1, 3\)"),
        (good.T, r"gives uint8 \(3, 1\)"),
        ([[0, 3, 255]], "gives list"),
        (good + np.uint8(1), r"gives id 1 in an image of \[3, 7\]"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            _check("mine", labels, (1, 3), np.array([3, 7]))


def test_own_recipes_and_families_keep_their_names(
    package: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = find_recipe("algorithm1")
    point = registry._points("wsss_benchmark.labels")["halves"]
    theirs = {"algorithm1": point}
    monkeypatch.setattr("benchmark.proxy.plugin_points", lambda group: theirs)
    assert find_recipe("algorithm1") is own
    family = next(one for one in plugin_families(profile) if one.settings)
    assert profile.segmentation["my_network"] == family.settings
    path = package / "configs" / "families.toml"
    text = path.read_text()
    try:
        path.write_text(text.replace("tiny.my_network", "scenes.largefov_vgg16"))
        loaded = load_profile("scenes")
    finally:
        path.write_text(text)
    assert loaded.segmentation["largefov_vgg16"].config == "deeplab_largefov_vgg16_scenes.py"
