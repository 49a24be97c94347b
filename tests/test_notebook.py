"""The interface for notebooks: the same numbers as the files, safe to show."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

import benchmark
from benchmark import runner
from benchmark.errors import BenchmarkError
from benchmark.tables import load_table

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from quick_stages import QuickStages

TABLE = "seenet_table1"


def score_of(label: str) -> int:
    """Return 40, 41, 42 by seed for SeeNet, 50 for the others."""
    return 40 + int(label[-1]) if "seenet val seed" in label else 50


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> benchmark.TableResult:
    stages = QuickStages()
    stages.score_of = score_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "STAGES", stages.functions())
        patch.setattr(os, "fsync", lambda descriptor: None)
        store = tmp_path_factory.mktemp("notebook") / "store"
        return benchmark.run_table(TABLE, seeds=3, store=store, jobs=1)


def written(folder: Path, document: object) -> benchmark.TableResult:
    """Return what is read again of a written report."""
    (folder / "scenes").mkdir()
    (folder / "scenes" / f"{TABLE}.json").write_text(json.dumps(document))
    return benchmark.read_table(TABLE, results=folder)


def test_a_line_a_cell_with_ours_and_the_published(result: benchmark.TableResult) -> None:
    frame = result.to_dataframe().set_index("row")
    assert list(frame.index) == ["acol", "seenet_no_flip", "seenet"]
    seenet = frame.loc["seenet"]
    # 40, 41, 42: mean 41, sd 1, half width 4.968
    assert (seenet["ours_mean"], seenet["ours_sd"], seenet["seeds"]) == (41.0, 1.0, 3)
    assert seenet["pi_low"] == pytest.approx(41 - 4.968275, abs=1e-5)
    assert seenet["pi_high"] == pytest.approx(41 + 4.968275, abs=1e-5)
    assert (seenet["published"], seenet["verdict"]) == (57.3, "not-comparable")
    assert math.isnan(seenet["difference"])
    assert "dataset" in seenet["differing_fields"]
    for name in ("ours_mean", "pi_low", "published", "difference"):
        assert frame[name].dtype == float


def test_a_line_a_claim(result: benchmark.TableResult) -> None:
    claims = result.claims().set_index("id")
    assert list(claims.index) == [claim.id for claim in load_table(TABLE).claims]
    assert claims.loc["above_acol", "effect"] == -9.0
    assert claims.loc["above_acol", "published_effect"] == pytest.approx(1.2)
    assert claims.loc["above_acol", "verdict"] == "fails"
    assert claims.loc["above_acol", "effect_high"] < 0


def test_a_written_table_reads_the_same(result: benchmark.TableResult, tmp_path: Path) -> None:
    again = written(tmp_path, result.document)
    assert again.to_dataframe().equals(result.to_dataframe())
    assert again.claims().equals(result.claims())
    assert repr(again) == "<seenet_table1, profile scenes: 3 not-comparable>"


def test_a_report_of_before_there_were_more_seeds(
    result: benchmark.TableResult, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(result.document))
    for part in document["cells"] + document["claims"]:
        del part["more_seeds"]
    assert written(tmp_path, document).to_dataframe()["more_seeds"].isna().all()


class Text(HTMLParser):
    """Keeps tags and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())


def test_the_html_shows_every_number_and_escapes_all_text(
    result: benchmark.TableResult, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(result.document))
    attack = "<script>alert('x')</script> & a long text " + 100 * "x"
    document["title"] = document["meaning"] = attack
    document["cells"][0]["row_title"] = document["cells"][0]["note"] = attack
    document["claims"][0]["text"] = attack
    document["claims"][1] |= {"kind": "unstable", "effect": 2.34, "interval": [0.56, 7.89]}
    shown = Text(written(tmp_path, document)._repr_html_())
    assert "script" not in shown.tags
    assert shown.tags >= {"h4", "p", "table", "tr", "td"}
    assert shown.words.count(attack) == 3  # title, row, claim: whole
    for word in ("41.0 ± 1.0", "36.0 to 46.0", "57.3", "-9.0", "fails", "× 2.3", "× 0.6 to × 7.9"):
        assert word in shown.words


def test_the_sweeps_of_a_table_are_drawn(result: benchmark.TableResult, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="seenet_table1 sweeps nothing"):
        result.plot()
    document = json.loads(json.dumps(result.document))
    rows = [cell["row"] for cell in document["cells"]]
    sweep = {"id": "s", "title": "A sweep", "x_title": "erased", "x": [0.1, 0.2, 0.3]}
    document["curves"] = [sweep | {"rows": rows, "columns": ["val"]}]
    drawn = written(tmp_path, document).plot()._repr_svg_()
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "erased" in drawn


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no report of seenet_table1 .* nothing"):
        benchmark.read_table(TABLE, results=tmp_path)
    with pytest.raises(BenchmarkError, match="did you mean 'seenet_table1'"):
        benchmark.run_table("seenet_tabel1", store=tmp_path / "store")
    with pytest.raises(BenchmarkError, match="makes its own images"):
        benchmark.run_table(TABLE, data=tmp_path, store=tmp_path / "store")
    with pytest.raises(BenchmarkError, match="no weights 'vgg16'"):
        benchmark.run_table(TABLE, weights={"vgg16": tmp_path}, store=tmp_path / "store")
    with pytest.raises(BenchmarkError, match="not 2"):
        benchmark.run_table(TABLE, saliency={"a": tmp_path, "b": tmp_path})
    with pytest.raises(AttributeError, match="no attribute 'run_tabel'"):
        benchmark.run_tabel  # noqa: B018


def test_the_package_is_imported_at_once_and_a_table_is_read_without_torch() -> None:
    program = (
        "import sys, benchmark\n"
        "heavy = {'torch', 'mmseg', 'numpy', 'pandas', 'typer', 'pydantic'}\n"
        "assert not heavy & set(sys.modules)\n"
        "assert 'run_table' in dir(benchmark)\n"
        "benchmark.read_table\n"
        "assert not {'torch', 'mmseg', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
