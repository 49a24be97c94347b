"""The package that docs/other-plugins.md prints runs, as printed."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmark.executor import execute
from benchmark.listing import listed
from benchmark.plan import make_plan
from benchmark.profiles import Saliency, load_profile
from benchmark.progress import SilentProgress
from benchmark.proxy import find_recipe
from benchmark.saliency.source import build_source, checked_maps
from benchmark.stages import STAGES
from benchmark.store import Store
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from plugin_package import forget_plugins
from printed_package import write_printed_package
from tiny import write_profile


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package's folder; it can be imported, and its entry points are found."""
    root = write_printed_package(tmp_path_factory.mktemp("printed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(installed(root))
        forget_plugins(root.name)
        yield root
    forget_plugins(root.name)


def installed(root: Path) -> Path:
    """Give the package's ``src`` what an installation adds to it; return it."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    metadata = root / "src" / f"{project['name']}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    return root / "src"


def test_its_table_runs_on_its_saliency_recipe_and_network(package: Path, tmp_path: Path) -> None:
    configs = package / "src" / package.name / "configs"
    (configs / "quick.py").write_text(
        '_base_ = ["pyramid_scenes.py"]\n'
        "train_dataloader = dict(batch_size=2)\n"
        "train_cfg = dict(max_iters=2)\n"
    )
    families = configs / "families.toml"
    printed = families.read_text()
    families.write_text(
        printed + printed.replace("[scenes.", "[tiny.").replace("pyramid_scenes.py", "quick.py")
    )
    profile = load_profile(str(write_profile(tmp_path)))
    profile = profile.model_copy(update={"saliency": Saliency(kind="source", source="centre")})
    plan = make_plan(load_table("my_plugins_table1"), profile, UserFiles(), (0,))
    store = Store(tmp_path / "store")
    execute(plan.targets, store, STAGES, SilentProgress(), announce=lambda line: None)
    assert [cell.column.id for cell in plan.cells] == ["labels", "val"]
    assert {cell.card.saliency for cell in plan.cells} == {"Centre"}
    assert plan.cells[1].card.network == "quick"
    for cell in plan.cells:
        score = store.record(cell.scores[0])
        assert score is not None
        assert 0 <= score.metrics["miou"] <= 1  # type: ignore[operator]


@pytest.mark.usefixtures("package")
def test_its_recipe_does_what_it_says() -> None:
    maps = np.array([[[0.2, 0.9, 0.5]], [[0.3, 0.1, 0.9]]])
    saliency = np.array([[0.7, 0.65, 0.5]])
    recipe = find_recipe("certain", ["salient", "background"]).function
    assert recipe(maps, np.array([3, 7]), saliency).tolist() == [[7, 3, 255]]
    assert recipe(maps[:0], np.array([], int), saliency - 0.35).tolist() == [[255, 255, 0]]


@pytest.mark.usefixtures("package")
def test_its_source_is_salient_in_the_middle() -> None:
    source = build_source("centre", {"width": 0.5})
    (found,) = checked_maps("centre", source.maps([np.zeros((3, 5, 3), np.uint8)]), 1)
    assert found[1, 2] == 1
    np.testing.assert_allclose(found[0, 2], np.exp(-((1 / 3) ** 2) / (2 * 0.5**2)), rtol=1e-6)


@pytest.mark.usefixtures("package")
def test_lists_show_what_it_brings() -> None:
    assert "certain" in {row["recipe"] for row in listed("recipes")}
    assert "centre" in {row["source"] for row in listed("saliency")}
    assert ("pyramid", "scenes", "my_plugins") in {
        (row["segmentation"], row["profile"], row["from"]) for row in listed("segmentations")
    }


def test_an_installation_holds_all_its_files(package: Path) -> None:
    told = tomllib.loads((package / "pyproject.toml").read_text())["tool"]["setuptools"]
    root = package / "src" / package.name
    held = {path for glob in told["package-data"][package.name] for path in root.glob(glob)}
    code = {path for path in root.rglob("*.py") if (path.parent / "__init__.py").is_file()}
    files = {path for path in root.rglob("*.*") if path.suffix in (".py", ".toml")}
    assert files == held | code
