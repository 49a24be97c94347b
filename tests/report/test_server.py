"""Scores entered from an evaluation server, right and wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.report.server import FILE_NAME, ServerScore, load_server_scores
from benchmark.tables import Table

RIGHT = """
[seenet_table2.seenet_vgg16.test_crf]
value = 60.1
source = "page"
[another_table.row.column]
value = 1
source = "page"
"""


def test_entered_scores_of_the_table_alone(table1: Table, table2: Table, tmp_path: Path) -> None:
    assert load_server_scores(tmp_path, table2) == {}
    (tmp_path / FILE_NAME).write_text(RIGHT)
    place = ("seenet_vgg16", "test_crf")
    assert load_server_scores(tmp_path, table2) == {place: ServerScore(60.1, "page")}
    assert load_server_scores(tmp_path, table1) == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test_crf]", "val]", "seenet_vgg16.val is no cell that waits for a server score"),
        ("seenet_vgg16", "gain", "gain.test_crf is no cell that waits"),
        ("60.1", "601", "value must be a number from 0 to 100"),
        ("60.1", "true", "value must be a number from 0 to 100"),
        ('source = "page"', "", "source must say"),
        ('source = "page"', 'source = "page"\nday = 1', "unknown key 'day'"),
        ("[seenet_table2.seenet_vgg16.test_crf]", "[seenet_table2]", "must be a table"),
        ("60.1", "", "cannot be read"),
    ],
)
def test_wrong_entries_get_one_line(
    old: str, new: str, message: str, table2: Table, tmp_path: Path
) -> None:
    assert old in RIGHT
    (tmp_path / FILE_NAME).write_text(RIGHT.replace(old, new, 1))
    with pytest.raises(BenchmarkError, match=message) as caught:
        load_server_scores(tmp_path, table2)
    assert str(caught.value).startswith(FILE_NAME)
    assert "\n" not in str(caught.value)
