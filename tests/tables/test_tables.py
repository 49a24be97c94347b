"""The table files against the published numbers, and bad table files."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest

from benchmark.data.voc import CLASS_NAMES
from benchmark.errors import BenchmarkError
from benchmark.plan import make_plan
from benchmark.profiles import load_profile
from benchmark.tables import FOLDER, Table, load_table, read_table, table_ids
from benchmark.user_files import UserFiles

PUBLISHED = FOLDER / "published.csv"
PRINTED = [table_id for table_id in table_ids() if load_table(table_id).published_id is not None]


def published_lines() -> list[dict[str, str]]:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def printed(table: Table) -> dict[tuple[str, str], tuple[str, str]]:
    """Return (row title, column title) -> (value, flag) of one table file."""
    found = {}
    for row in table.rows:
        for column in table.columns:
            place = (row.title, column.title)
            if column.id in row.text:
                found[place] = (row.text[column.id], "")
            if column.id in row.published:
                value = f"{row.published[column.id]:.{column.decimals}f}"
                found[place] = (value, row.flags.get(column.id, ""))
    return found


@pytest.mark.parametrize("table_id", PRINTED)
def test_every_value_is_the_published_one_and_none_is_missing(table_id: str) -> None:
    table = load_table(table_id)
    expected = {
        (line["row"], line["column"]): (line["value"], line["flag"])
        for line in published_lines()
        if line["table"] == table.published_id
    }
    assert expected
    assert printed(table) == expected


def test_every_published_line_belongs_to_a_table() -> None:
    known = {load_table(table_id).published_id for table_id in PRINTED}
    assert {line["table"] for line in published_lines()} == known
    assert len(published_lines()) == 138


@pytest.mark.parametrize("table_id", ["seenet_table1", "seenet_table2"])
def test_source_and_protocol_are_the_papers(table_id: str) -> None:
    table = load_table(table_id)
    sources = {row["source"] for row in published_lines() if row["table"] == table.published_id}
    assert len(sources) == 1
    source = sources.pop()
    assert table.paper.reference in source
    assert table.paper.venue in source
    assert table.paper.table == f"Table {table_id[-1]}"


@pytest.mark.parametrize("table_id", table_ids())
def test_every_table_evaluates_vocs_classes_and_names_its_source(table_id: str) -> None:
    table = load_table(table_id)
    sources = {row["source"] for row in published_lines() if row["table"] == table.published_id}
    assert all(table.paper.venue in source for source in sources)
    assert table.protocol.classes == CLASS_NAMES


@pytest.mark.parametrize("table_id", table_ids())
def test_published_values_bear_out_every_claim(table_id: str) -> None:
    table = load_table(table_id)
    for claim in table.claims:
        values = [table.row(row).published.get(column) for row, column in claim.cells()]
        if None in values:
            assert table_id == "dsna_decoupling"  # its other row stands in Table I
            continue
        better, *worse = (value for value in values if value is not None)
        pairs = pairwise(values) if claim.kind == "trend" else ((better, one) for one in worse)
        gain = min(higher - lower for higher, lower in pairs)
        assert gain > 0, claim.id
        if claim.kind == "gain":
            assert gain >= claim.by - 1e-9, claim.id


@pytest.mark.parametrize("table_id", table_ids())
def test_every_table_can_be_planned_on_the_scenes(table_id: str) -> None:
    """Methods, options, recipes with their constants and segmentation families all exist."""
    table = load_table(table_id)
    plan = make_plan(table, load_profile("scenes"), UserFiles(), (0,))
    planned = {(cell.row.id, cell.column.id) for cell in plan.cells}
    assert planned | set(plan.absent) == {(row.id, column.id) for row, column in table.measurable()}
    assert not plan.absent or table_id == "fullsup"  # the scenes have two of its networks


def test_the_three_maps_of_one_network_are_one_training() -> None:
    plan = make_plan(load_table("dsna_table1"), load_profile("scenes"), UserFiles(), (0,))
    assert [stage.name for stage in plan.stages].count("attention") == 1
    assert [stage.name for stage in plan.stages].count("maps") == 3


def test_table_1_measures_three_rows_one_way() -> None:
    table = load_table("seenet_table1")
    assert [row.published["val"] for row in table.rows] == [56.1, 55.8, 57.3]
    assert [(row.id, column.id) for row, column in table.measurable()] == [
        ("acol", "val"),
        ("seenet_no_flip", "val"),
        ("seenet", "val"),
    ]
    assert {(row.segmentation, row.recipe, row.supervision) for row in table.rows} == {
        ("largefov_vgg16", "algorithm1", "I+S")
    }
    flip, no_flip = (dict(table.row(name).options) for name in ("seenet", "seenet_no_flip"))
    assert flip.pop("flip_sign") is True
    assert no_flip.pop("flip_sign") is False
    assert flip == no_flip
    assert [claim.by for claim in table.claims if claim.kind == "gain"] == [1.2, 1.5]


def test_table_2_leaves_the_test_column_to_the_server() -> None:
    table = load_table("seenet_table2")
    assert sum(not row.ours for row in table.rows) == 16
    assert {(row.id, column.id) for row, column in table.measurable()} == {
        (row, column)
        for row in ("seenet_vgg16", "seenet_resnet101")
        for column in ("val", "val_crf")
    }


def test_unknown_table_suggests_the_near_name() -> None:
    with pytest.raises(BenchmarkError, match=r"seenet_tabel1.*did you mean 'seenet_table1'"):
        load_table("seenet_tabel1")


VALID = """
id = "small"
title = "Small"
caption = "Two rows"
published_id = "small"
[paper]
title = "A paper"
venue = "Somewhere 2020"
reference = "arXiv:0000.00000"
table = "Table 1"
[protocol]
dataset = "VOC 2012"
train_split = "train_aug"
classes = ["cat", "dog"]
[[columns]]
id = "val"
title = "mIoU val"
evaluation = { stage = "segmentation", split = "val", scales = [1.0], flip = false, crf = false }
[[rows]]
id = "a"
title = "A"
published = { val = 50.0 }
[[rows]]
id = "b"
title = "B"
published = { val = 40.0 }
[[claims]]
kind = "gain"
id = "up"
text = "A above B"
better = "a"
worse = "b"
column = "val"
by = 2.0
"""

MISTAKES = {
    "unknown key": ('caption = "', 'colour = "red"\ncaption = "', "colour: Extra inputs"),
    "missing key": ('caption = "Two rows"', "", "caption: Field required"),
    "value no number": ("val = 50.0", 'val = "high"', r"rows\.0\.published\.val: .*number"),
    "unknown column": ("val = 50.0", "test = 50.0", "row a: published: no score column 'test'"),
    "row twice": ('id = "b"', 'id = "a"', "two rows have the id 'a'"),
    "claim without row": ('worse = "b"', 'worse = "c"', "claim up: no row 'c'"),
    "claim on itself": ('worse = "b"', 'worse = "a"', "claim up compares a cell with itself"),
    "unknown claim": ('kind = "gain"', 'kind = "peak"', "claims.0: .*peak"),
    "no evaluation": ("evaluation = {", "#", "column val: a score needs its evaluation"),
    "half a method": ("val = 50.0 }", 'val = 50.0 }\nmethod = "m"', "row a: .* needs recipe"),
    "options of nobody": ("val = 50.0 }", "val = 50.0 }\noptions.x = 1", "row a: a cited row"),
    "flag of nothing": ("val = 50.0 }", 'val = 50.0 }\nflags = {x = "?"}', "row a: flag for 'x'"),
    "not TOML": ('id = "small"', "id = ", "not valid TOML"),
    "other name": ('id = "small"', 'id = "big"', "id is 'big'"),
}


def test_the_small_table_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(VALID)
    assert read_table(path).column("val").decimals == 1


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_file_gets_one_line_with_file_and_key(mistake: str, tmp_path: Path) -> None:
    old, new, message = MISTAKES[mistake]
    assert VALID.count(old) >= 1
    path = tmp_path / "small.toml"
    path.write_text(VALID.replace(old, new, 1))
    with pytest.raises(BenchmarkError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith("table file small.toml: ")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"none\.toml: No such file"):
        read_table(tmp_path / "none.toml")
