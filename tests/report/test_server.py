"""Scores entered from an evaluation server, right and wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.report.server import (
    FILE_NAME,
    ServerScore,
    add_server_score,
    load_server_scores,
)
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


PLACE = ("seenet_vgg16", "test_crf")
LINK = 'https://server/anonymous/"A".html'


def test_a_score_is_entered_behind_what_is_there(table2: Table, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "paper"
    path = add_server_score(folder, table2, *PLACE, 60.7, LINK)
    assert path == folder / FILE_NAME
    assert load_server_scores(folder, table2) == {PLACE: ServerScore(60.7, LINK)}
    path.write_text("# by hand\n[another_table.row.column]\nvalue = 1\nsource = 'page'")
    add_server_score(folder, table2, *PLACE, 61, "http://page")
    assert path.read_text() == (
        "# by hand\n[another_table.row.column]\nvalue = 1\nsource = 'page'\n\n"
        '[seenet_table2.seenet_vgg16.test_crf]\nvalue = 61\nsource = "http://page"\n'
    )


@pytest.mark.parametrize(
    ("column", "value", "link", "message"),
    [
        ("test_crf", 60.7, "page", "'page' is no link"),
        ("val", 60.7, LINK, "no column of seenet_table2 that waits for a server 'val'"),
        ("test_crf", 160.7, LINK, "value must be a number from 0 to 100"),
        ("test_crf", float("nan"), LINK, "value must be a number from 0 to 100"),
    ],
)
def test_a_wrong_score_is_not_entered(
    column: str, value: float, link: str, message: str, table2: Table, tmp_path: Path
) -> None:
    with pytest.raises(BenchmarkError, match=message):
        add_server_score(tmp_path, table2, "seenet_vgg16", column, value, link)
    assert not (tmp_path / FILE_NAME).exists()


def test_a_score_that_is_there_stays(table2: Table, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(RIGHT)
    with pytest.raises(BenchmarkError, match=r"test_crf has 60\.1 already"):
        add_server_score(tmp_path, table2, *PLACE, 60.7, LINK)
    assert (tmp_path / FILE_NAME).read_text() == RIGHT
