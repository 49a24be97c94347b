"""Methods that misbehave: the other rows finish, the table says what happened, commands go on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import cli, registry
from benchmark.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from misbehaving import POINTS, write_bad_methods
from tiny import write_profile

UNUSABLE = {
    "no_recipe": "training() gives no TrainingRecipe",
    "constructed": "cannot be used: LookupError: no such constant",
    "import_fails": "cannot be imported: RuntimeError: no compiler",
    "import_quits": "cannot be imported: SystemExit: 3",
    "missing": "cannot be imported: ModuleNotFoundError: No module named 'no_such_module_at_all'",
    "attribute": "cannot be imported: AttributeError: module 'bad_methods' has no attribute",
    "not_a_method": "is not a benchmark.method.Method",
    "twice": "2 methods are called 'twice': bad_methods:CAM, bad_methods:Raises; remove one",
}
FAILING = {
    "raises": "ZeroDivisionError: of <b>nothing</b> | at all",
    "shape": "not (B, C, h, w) for labels",
    "not_finite": "leaves [0, 1]: nan to nan",
    "quits": "it ended the process: sys.exit(0)",
    "leaks": "RuntimeError",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which the packages are installed."""
    write_bad_methods(tmp_path / "site")
    registry._points.cache_clear()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path / "site"
    for name in set(sys.modules) - before:
        if name.startswith("bad_"):
            del sys.modules[name]
    registry._points.cache_clear()


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Return the exit status of a command."""
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


@pytest.mark.usefixtures("site")
def test_the_other_rows_finish_and_the_table_names_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile, results, store = write_profile(tmp_path), tmp_path / "results", tmp_path / "store"
    places = ("--store", str(store), "--results", str(results), "--profile", str(profile))
    assert ended(monkeypatch, "run", "--table", "bad_all", *places, "--jobs", "1") == 2
    out, err = capsys.readouterr()
    assert err.splitlines()[-1].startswith("error: 5 stages and 8 plugins failed; attention raises")
    document = json.loads((results / "tiny" / "bad_all.json").read_text())
    cells = {cell["row"]: cell for cell in document["cells"]}
    assert cells.keys() == POINTS.keys() == UNUSABLE.keys() | FAILING.keys() | {"cam"}
    assert 0 <= cells["cam"]["mean"] <= 100
    for row, reason in (UNUSABLE | FAILING).items():
        assert (cells[row]["verdict"], cells[row]["mean"]) == ("missing", None)
        assert cells[row]["note"].startswith("failed: ")
        assert reason in cells[row]["note"]
    assert "no compiler" in out
    for name in ("bad_all.md", "bad_all.tex", "index.html"):
        text = (results / "tiny" / name).read_text()
        assert "<b>nothing" not in text
    for left in Store(store).root.glob("scratch/*/out"):
        assert not list(left.iterdir())


@pytest.mark.usefixtures("site")
def test_a_table_of_nothing_but_a_broken_plugin_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    places = ("--store", str(tmp_path / "store"), "--results", str(results))
    for command in ("run", "report", "plan"):
        options = places if command != "plan" else places[:2]
        assert ended(monkeypatch, command, "--table", "bad_only", *options) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be imported: RuntimeError: no compiler" in line
    assert not results.exists()


@pytest.mark.usefixtures("site")
def test_lists_name_the_broken_ones_and_show_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "list", "methods", "--json") == 0
    methods = {row["method"]: row["paper"] for row in json.loads(capsys.readouterr().out)}
    for name in UNUSABLE.keys() - {"no_recipe", "constructed"}:  # these two can be imported
        assert methods[name].startswith("broken: ")
        assert UNUSABLE[name] in methods[name]
    assert methods["cam"].startswith("Learning Deep Features")
    assert ended(monkeypatch, "list", "tables", "--json") == 0
    tables = {row["table"]: row["title"] for row in json.loads(capsys.readouterr().out)}
    assert tables["bad_toml"].startswith("broken: table file bad_toml.toml: not valid TOML")
    assert tables["seenet_table1"] == "The role of self-erasing"
    assert ended(monkeypatch, "list", "methods") == ended(monkeypatch, "list", "tables") == 0


@pytest.mark.usefixtures("site")
def test_the_suites_own_method_is_meant_where_another_has_its_name() -> None:
    assert registry.method_entry_points()["cam"].value == "methods.cam:CAM"


@pytest.mark.usefixtures("site")
def test_of_several_tables_the_broken_one_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ("--store", str(tmp_path / "store"))
    assert (
        ended(monkeypatch, "plan", "--table", "bad_toml,bad_only,dsna_table1,bad_all", *store) == 0
    )
    out, err = capsys.readouterr()
    assert err.splitlines()[0].startswith("left out: table file bad_toml.toml: not valid TOML")
    assert "left out: method 'import_fails' (bad_import:Method) cannot be imported" in err
    assert "no compiler; going on without it" in err
    assert "dsna_table1" in out
    assert "bad_all" in out
    assert ended(monkeypatch, "plan", "--table", "bad_toml", *store) == 2


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", ["missing", "not_a_method", "import_quits", "no_recipe"])
def test_a_broken_plugin_keeps_no_contract(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "methods", "check", name) in (1, 2)
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert UNUSABLE[name] in out + err
