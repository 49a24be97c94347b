"""The sweeps that tables declare."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.tables import Curve, Table, load_table, table_ids

SWEPT = {"dsna_table2", "dsna_table3", "eader_alpha", "sgan_table3"}


def test_the_four_sweeps_are_declared() -> None:
    assert {table_id for table_id in table_ids() if load_table(table_id).curves} == SWEPT


@pytest.mark.parametrize("table_id", sorted(SWEPT))
def test_x_is_the_number_in_the_title_of_its_row(table_id: str) -> None:
    table = load_table(table_id)
    for curve in table.curves:
        printed = [re.findall(r"[\d.]+$", table.row(row).title)[0] for row in curve.rows]
        assert [float(number) for number in printed] == list(curve.x)


VALID: dict[str, Any] = {
    "id": "sweep",
    "title": "A sweep",
    "x_title": "x",
    "x": [0, 1],
    "rows": ["a", "b"],
    "columns": ["val"],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [0, 1, 2]}, "curve sweep: 3 x for 2 rows"),
        ({"x": [0, 0]}, "curve sweep: x must rise"),
        ({"x": [0], "rows": ["a"]}, "at least 2"),
        ({"rows": ["a", "a"]}, "curve sweep: a row stands twice"),
        ({"columns": []}, "at least 1"),
        ({"x": [0, float("nan")]}, "finite"),
    ],
)
def test_a_wrong_sweep_says_what_is_wrong(change: dict[str, Any], message: str) -> None:
    assert Curve.model_validate(VALID).x == (0, 1)
    with pytest.raises(ValidationError, match=message):
        Curve.model_validate(VALID | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": ["acol", "none"]}, "curve sweep: no row 'none'"),
        ({"columns": ["none"]}, "curve sweep: no score column 'none'"),
    ],
)
def test_a_sweep_holds_rows_and_columns_of_its_table(change: dict[str, Any], message: str) -> None:
    table = load_table("seenet_table1").model_dump()
    sweep = VALID | {"rows": ["acol", "seenet"]}
    assert Table.model_validate(table | {"curves": [sweep]}).curves[0].id == "sweep"
    with pytest.raises(ValidationError, match=message):
        Table.model_validate(table | {"curves": [sweep | change]})
