"""Hours of tables: what each number rests on, and that nothing is taken for measured."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark import cli
from benchmark.costs import flops
from benchmark.costs.hours import (
    Cost,
    TableHours,
    hours_markdown,
    parse_devices,
    stage_cost,
    table_hours,
)
from benchmark.errors import BenchmarkError
from benchmark.plan import Plan, make_plan, make_plans
from benchmark.profiles import load_profile
from benchmark.progress import SilentProgress
from benchmark.store import Stage, Store
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return Store(tmp_path / "store")


Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Return what runs a command and gives its status, its output and its complaints."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), *capsys.readouterr()

    return run


def made(store: Store, stage: Stage, seconds: float) -> None:
    for upstream in stage.inputs.values():
        if store.record(upstream) is None:
            made(store, upstream, 0.0)
    store.commit(stage, store.prepare(stage), {}, started="", seconds=seconds, peak_memory_mb=0)


@pytest.fixture
def scenes() -> Plan:
    """Three rows: plain stages, labels scored."""
    return make_plan(load_table("seenet_table1"), load_profile("scenes"), UserFiles(), (0,))


def test_a_recorded_time_goes_before_a_counted_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flops, "stage_flops", lambda stage, images: 6e12)
    stage = Stage("attention", {"seed": 1})
    assert stage_cost(stage, store, {}, 2e12) == Cost(3.0, "counted")
    made(store, Stage("attention", {"seed": 0}), 70.0)
    assert stage_cost(stage, store, {}, 2e12) == Cost(70.0, "recorded")
    made(store, stage, 90.0)
    assert stage_cost(stage, store, {}, 2e12) == Cost(90.0, "recorded")


def test_what_nobody_timed_is_known_by_no_number(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage_cost(Stage("attention", {}), store, {}, None).basis == "not known"
    monkeypatch.setattr(flops, "stage_flops", lambda stage, images: None)
    assert stage_cost(Stage("saliency_network", {}), store, {}, 1e12).basis == "not known"
    assert stage_cost(Stage("score", {}), store, {}, 1e12).basis == "no network"
    assert stage_cost(Stage("saliency", {"source": "folder"}), store, {}, 1e12).basis == (
        "no network"
    )


def test_every_stage_of_a_finished_table_has_its_own_time(store: Store, scenes: Plan) -> None:
    hours = {"attention": HOUR, "segmentation": 2 * HOUR}
    for stage in scenes.stages:
        made(store, stage, hours.get(stage.name, 0.0))
    options = {"operations_per_second": None, "progress": SilentProgress()}
    (left,) = table_hours([scenes], store, (1, 2), finished_too=False, **options)  # type: ignore[arg-type]
    assert (left.stages, left.total, left.devices) == (0, 0, {1: 0, 2: 0})
    (whole,) = table_hours([scenes], store, (1, 2, 64), finished_too=True, **options)  # type: ignore[arg-type]
    trainings = sum(stage.name == "attention" for stage in scenes.stages)
    assert trainings == 3
    assert whole.bases == {"recorded": len(scenes.stages)}
    assert whole.total == whole.devices[1] == pytest.approx(3 * trainings)
    assert whole.chain == whole.devices[64] == pytest.approx(3)
    assert 4.5 <= whole.devices[2] <= 6


def test_tables_together_have_equal_stages_once(store: Store) -> None:
    plans = make_plans(
        [(load_table(name), (0,)) for name in ("seenet_table1", "seenet_table2")],
        load_profile("scenes"),
        UserFiles(),
        print,
    )
    for stage in plans[0].stages:
        made(store, stage, HOUR)
    found = table_hours(
        plans,
        store,
        (1,),
        operations_per_second=None,
        finished_too=True,
        progress=SilentProgress(),
    )
    assert [one.table for one in found] == ["seenet_table1", "seenet_table2", "all"]
    shared = {s.key for s in plans[0].stages} & {s.key for s in plans[1].stages}
    assert shared
    assert found[2].stages == found[0].stages + found[1].stages - len(shared)


def test_the_table_says_what_it_rests_on() -> None:
    found = TableHours(
        table="t",
        stages=6,
        total=12.0,
        chain=1.5,
        devices={1: 12.0, 8: 1.75},
        bases={"recorded": 2, "counted": 1, "no network": 3},
    )
    text = hours_markdown([found], 20.0)
    assert "| t | 6 | 12.0 | 1.75 | 1.50 |" in text.splitlines()
    assert "2 stages as recorded" in text
    assert "1 stage counted: the arithmetic of their networks at 20 TFLOP/s" in text
    assert "an assumption and not a measurement" in text
    assert "3 stages without a network" in text
    unknown = replace(found, bases={"not known": 6})
    assert "6 stages never timed, left out (--tflops N" in hours_markdown([unknown], None)


@pytest.mark.parametrize("given", ["nan", "inf", "0", "-1"])
def test_a_rate_is_a_number_above_0(shell: Shell, tmp_path: Path, given: str) -> None:
    options = ("--hours", f"--tflops={given}", "--store", str(tmp_path / "store"))
    status, _, err = shell("plan", "--table", "seenet_table1", *options)
    assert status == 2
    assert "--tflops" in err
    assert len(err.splitlines()) == 1


def test_what_belongs_to_hours_is_refused_without_them(shell: Shell, tmp_path: Path) -> None:
    options = ("--store", str(tmp_path / "store"), "--finished-too")
    status, _, err = shell("plan", "--table", "seenet_table1", *options)
    assert status == 2
    assert "go with --hours" in err


@pytest.mark.parametrize("given", ["", "0", "1,x", "-3", "1,,2", "1.5"])
def test_numbers_of_devices_are_whole_and_positive(given: str) -> None:
    with pytest.raises(BenchmarkError, match="--gpus"):
        parse_devices(given)


def test_numbers_of_devices_keep_their_order() -> None:
    assert parse_devices("8, 1,8,64") == (8, 1, 64)


# Planning without the files


def test_the_papers_hours_need_no_files(shell: Shell, tmp_path: Path) -> None:
    options = ("--profile", "paper", "--store", str(tmp_path / "store"), "--hours")
    status, out, _ = shell("plan", "--table", "seenet_table1", *options, "--gpus", "4", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["tflops_assumed"] is None
    (table,) = found["tables"]
    assert table["hours"] == 0
    # three trainings of attention, their maps of train and val, three segmentations, predictions
    assert table["bases"]["not known"] >= 3 + 6 + 3 + 3
    assert set(table["hours_on_devices"]) == {"4"}


def test_images_of_a_data_set_with_no_name_are_asked_for(shell: Shell, tmp_path: Path) -> None:
    options = ("--profile", "light", "--store", str(tmp_path / "store"), "--hours")
    status, _, err = shell("plan", "--table", "seenet_table1", *options)
    assert status == 2
    assert "give --data FOLDER" in err


def test_released_files_have_no_hours(shell: Shell, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    options = ("--hours", "--from", f"maps={maps}", "--store", str(tmp_path / "store"))
    status, _, err = shell("plan", "--table", "seenet_table1", *options)
    assert status == 2
    assert "leave out --from" in err


def test_voc_has_the_images_that_everybody_counts() -> None:
    tables = [(load_table("seenet_table1"), (0,)), (load_table("dsna_table5"), (0,))]
    first, second = make_plans(
        tables, load_profile("paper"), UserFiles(), print, files_needed=False
    )
    assert first.images == {"train_aug": 10_582, "val": 1_449}
    assert second.images.get("test", 1_456) == 1_456
