"""Scores that only an evaluation server can give: entered by hand, with their source.

``results/PROFILE/server_scores.toml`` holds them::

    [TABLE.ROW.COLUMN]
    value = 60.1
    source = "the server's page of the submission"
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.registry import near_name
from benchmark.store import write_atomic
from benchmark.tables.schema import Table

FILE_NAME = "server_scores.toml"


@dataclass(frozen=True)
class ServerScore:
    """One score in points, of one run, and where it can be seen."""

    value: float
    source: str


def load_server_scores(folder: Path, table: Table) -> dict[tuple[str, str], ServerScore]:
    """Return the table's entered scores by (row, column); empty without a file in ``folder``."""
    path = folder / FILE_NAME
    if not path.exists():
        return {}
    try:
        return _parsed(path.read_text(encoding="utf-8"), table)
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path.name}: cannot be read: {error}") from error


def add_server_score(
    folder: Path, table: Table, row: str, column: str, value: float, link: str
) -> Path:
    """Enter one score at the end of ``folder``'s file and return the file; the rest stays.

    Raises:
        BenchmarkError: No such cell, a wrong value, no link, or a score that is there already.
    """
    path = folder / FILE_NAME
    rows = [one.id for one in table.rows if one.ours]
    if row not in rows:
        raise BenchmarkError(near_name(f"row of {table.id} that is measured", row, rows))
    servers = [one.id for one in table.columns if one.server]
    if column not in servers:
        raise BenchmarkError(
            near_name(f"column of {table.id} that waits for a server", column, servers)
        )
    if not re.fullmatch(r"https?://[!-~]+", link):
        raise BenchmarkError(f"{link!r} is no link: give the address of the server's page")
    if (there := load_server_scores(folder, table).get((row, column))) is not None:
        raise BenchmarkError(
            f"{path}: {table.id}.{row}.{column} has {there.value:g} already: change it there"
        )
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n" if path.exists() else ""
    source = json.dumps(link, ensure_ascii=False)
    text += f"[{table.id}.{row}.{column}]\nvalue = {value!r}\nsource = {source}\n"
    _parsed(text, table)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text)
    return path


def _parsed(text: str, table: Table) -> dict[tuple[str, str], ServerScore]:
    try:
        entries: Any = tomllib.loads(text).get(table.id, {})
    except (ValueError, RecursionError) as error:  # tomllib's own error is but one of them
        raise BenchmarkError(f"{FILE_NAME}: cannot be read: {error}") from error
    places = {(row.id, column.id) for row in table.rows for column in table.columns if row.ours}
    servers = {column.id for column in table.columns if column.server}
    scores = {}
    for row, columns in _items(entries, table.id):
        for column, entry in _items(columns, f"{table.id}.{row}"):
            key = f"{table.id}.{row}.{column}"
            if (row, column) not in places or column not in servers:
                raise BenchmarkError(f"{FILE_NAME}: {key} is no cell that waits for a server score")
            scores[row, column] = _score(entry, key)
    return scores


def _items(value: Any, key: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise BenchmarkError(f"{FILE_NAME}: {key} must be a table [{key}]")
    return list(value.items())


def _score(entry: Any, key: str) -> ServerScore:
    fields = dict(_items(entry, key))
    value, source = fields.pop("value", None), fields.pop("source", None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise BenchmarkError(f"{FILE_NAME}: {key}.value must be a number from 0 to 100")
    if not isinstance(source, str) or not source:
        raise BenchmarkError(f"{FILE_NAME}: {key}.source must say where the score can be seen")
    if fields:
        raise BenchmarkError(f"{FILE_NAME}: {key} has an unknown key {min(fields)!r}")
    return ServerScore(float(value), source)
