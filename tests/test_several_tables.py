"""Several tables at once, and what changed since: the commands, on stages that take no time."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from benchmark import cli, profiles, runner
from benchmark.listing import plans_overview, print_overview
from benchmark.plan import Plan, make_plan
from benchmark.profiles import Profile, load_profile
from benchmark.store import Store
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from quick_stages import QuickStages

BOTH = "seenet_table1,seenet_table2"


class Suite:
    """Runs commands in a folder of their own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.results, self.store = folder / "results", folder / "store"
        self.patch = patch
        self.stages = QuickStages()
        patch.setattr(runner, "STAGES", self.stages.functions())
        patch.setattr(os, "fsync", lambda descriptor: None)

    def __call__(self, command: str, *more: str) -> int:
        places = ("--store", str(self.store), "--results", str(self.results))
        jobs = ("--jobs", "1") if command == "run" else ()
        self.patch.setattr(sys, "argv", ["benchmark", command, *more, *places, *jobs])
        self.stages.made.clear()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    def scores(self, table: str) -> dict[str, float | None]:
        document = json.loads((self.results / "scenes" / f"{table}.json").read_text())
        return {f"{cell['row']}/{cell['column']}": cell["mean"] for cell in document["cells"]}


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    return Suite(tmp_path, monkeypatch)


def plan_of(table: str, profile: Profile | None = None) -> Plan:
    return make_plan(load_table(table), profile or load_profile("scenes"), UserFiles(), (0,))


def test_stages_of_two_tables_are_made_once(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite("run", "--table", BOTH) == 0
    keys = [{stage.key for stage in plan_of(table).stages} for table in BOTH.split(",")]
    assert keys[0] & keys[1]
    assert len(suite.stages.made) == len(set(suite.stages.made)) == len(keys[0] | keys[1])
    out = capsys.readouterr().out
    assert out.index("Table 1 of Self-Erasing") < out.index("Table 2 of Self-Erasing")
    assert suite.scores("seenet_table1")["seenet/val"] == 50.0
    assert suite.scores("seenet_table2")["seenet_vgg16/val"] == 50.0
    assert suite("run", "--table", BOTH) == 0
    assert suite.stages.made == []


def test_a_failing_row_stops_no_other(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    suite.stages.failing = lambda label: label.startswith("attention acol")
    assert suite("run", "--table", BOTH) == 2
    error = capsys.readouterr().err.splitlines()
    assert "Traceback (most recent call last):" in error  # a fault of ours, not of the user's
    assert error[-1] == (
        "error: 1 stage failed; attention acol seed 0: ZeroDivisionError: of nothing"
    )
    table1, table2 = suite.scores("seenet_table1"), suite.scores("seenet_table2")
    assert table1 == {"acol/val": None, "seenet_no_flip/val": 50.0, "seenet/val": 50.0}
    assert table2["seenet_vgg16/val_crf"] == 50.0
    document = json.loads((suite.results / "scenes" / "seenet_table1.json").read_text())
    assert document["cells"][0]["note"] == (
        "failed: attention acol seed 0: ZeroDivisionError: of nothing"
    )
    suite.stages.failing = lambda label: False
    assert suite("run", "--table", BOTH) == 0
    assert all("acol" in label for label in suite.stages.made)


def test_a_table_without_any_number_is_left_as_it_is(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite("run", "--table", "seenet_table1") == 0
    old = suite.results / "scenes" / "eader_alpha.json"
    old.write_text("as it was")
    assert suite("report", "--table", "eader_alpha,seenet_table1") == 0
    assert old.read_text() == "as it was"
    assert "eader_alpha: no number of ours, left as it is" in capsys.readouterr().err


def test_rows_are_of_one_table(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    assert suite("run", "--table", BOTH, "--rows", "acol") == 2
    assert "--rows are of one table" in capsys.readouterr().err
    assert suite("run", "--table", BOTH, "--from", "labels=folder") == 2
    assert "--from is for one row of one table" in capsys.readouterr().err
    assert suite("diff", "--table", BOTH, "--from", "labels=folder") == 2
    assert "diff compares whole tables" in capsys.readouterr().err
    assert suite("run", "--table", "seenet_table1,nope") == 2
    assert "no table 'nope'" in capsys.readouterr().err


def test_a_table_that_the_profile_cannot_measure_is_named_and_left_out(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = (profiles.FOLDER / "scenes.toml").read_text()
    profile = tmp_path / "vgg.toml"
    less = scenes.split("[segmentation.largefov_resnet101]")[0]
    profile.write_text(less.replace('id = "scenes"', 'id = "vgg"'))
    of_profile = ("--profile", str(profile), "--json")
    assert suite("report", "--table", "sgan_table3,eader_alpha", *of_profile) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert err.splitlines() == [
        "left out: profile vgg can measure no cell of sgan_table3: "
        "profile vgg has no sgan_aspp_vgg16",
        "eader_alpha: no number of ours, left as it is",
    ]
    assert suite("report", "--table", "sgan_table3", *of_profile) == 2
    assert "can measure no cell of sgan_table3" in capsys.readouterr().err


def test_the_overview_counts_what_is_shared_and_cached(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = [plan_of(table) for table in BOTH.split(",")]
    first, second = ({stage.key for stage in plan.stages} for plan in plans)
    empty = plans_overview(plans, Store(suite.store))
    assert empty["together"] == len(first) + len(second)
    assert empty["distinct"] == len(first | second)
    assert empty["saved"] == empty["tables"][1]["shared"] == len(first & second) > 0
    assert (empty["tables"][0]["shared"], empty["cached"]) == (0, 0)
    assert empty["to_make"] == empty["never_timed"] == len(first | second)

    print_overview(empty)
    told = f"0 cached, {len(first | second)} to make, none of them timed here yet"
    assert capsys.readouterr().out.splitlines()[-1].endswith(told)

    suite("run", "--table", "seenet_table1")
    capsys.readouterr()
    some = plans_overview(plans, Store(suite.store))
    assert some["cached"] == len(first)
    assert some["to_make"] == len(second - first)
    assert [table["to_make"] for table in some["tables"]] == [0, len(second - first)]
    places = ("--store", str(suite.store))
    suite.patch.setattr(sys, "argv", ["benchmark", "plan", "--table", BOTH, *places])
    with pytest.raises(SystemExit):
        cli.main()
    last = capsys.readouterr().out.splitlines()[-1]
    assert f"(saved {len(first & second)}), {len(first)} cached" in last


def test_diff_with_the_store(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    assert suite("run", "--table", "seenet_table1") == 0
    capsys.readouterr()
    assert suite("diff", "--table", "seenet_table1") == 0
    claims = len(load_table("seenet_table1").claims)
    out = capsys.readouterr().out
    assert out == f"nothing changed in seenet_table1: 3 cells, {claims} claims\n"

    path = suite.results / "scenes" / "seenet_table1.json"
    document = json.loads(path.read_text())
    document["cells"][1] |= {"mean": 53.0, "interval": [51.5, 54.5], "values": [52.0, 53.0, 54.0]}
    document["cells"][2]["mean"] = 48.9  # one seed: the margin of 1 point is passed
    path.write_text(json.dumps(document))
    assert suite("diff", "--table", "seenet_table1") == 1
    heading, worse, better, *more = capsys.readouterr().out.splitlines()
    assert heading == "seenet_table1, profile scenes"
    assert worse == (
        "  regressed       2 without sign-flipping in C-ReLU, mIoU val (single scale; no CRF): "
        "53.0 then, 50.0 now, below 51.5 to 54.5, 95 % of 3 seeds then "
        "(published 55.8; not-comparable)"
    )
    assert better.startswith("  improved        3 SeeNet (ours)")
    assert "48.9 then, 50.0 now, above 47.9 to 49.9" in better
    assert more == []

    document["data"] |= {"digest": "of other images"}
    path.write_text(json.dumps(document))
    assert suite("diff", "--table", "seenet_table1") == 1  # nobody knows whether it regressed
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  not comparable  The role of self-erasing: differs in: data digest",
        "  no number of this table can be compared: write its results again",
        "nothing was compared",
    ]


def test_diff_of_two_folders_needs_no_store(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite("run", "--table", BOTH) == 0
    shutil.rmtree(suite.store)
    old = tmp_path / "old"
    shutil.copytree(suite.results, old)
    (suite.results / "scenes" / "seenet_table2.json").unlink()
    capsys.readouterr()
    against = ("--against", str(old))
    assert suite("diff", "--table", "seenet_table1", *against) == 0
    assert suite("diff", "--table", "all", *against, "--json") == 1
    out = capsys.readouterr().out
    found = json.loads(out[out.index("[") :])
    assert [one["table"] for one in found] == ["seenet_table1", "seenet_table2"]
    assert found[0]["changes"] == []
    kinds = {change["kind"] for change in found[1]["changes"]}
    assert kinds == {"gone"}
    assert not suite.store.exists()
    assert suite("diff", "--table", "dsna_table1", *against) == 2
    assert "no numbers to compare, then or now: dsna_table1" in capsys.readouterr().err
