"""Published tables as data: ``load_table(ID)``. One TOML file each, in this folder.

Another package adds tables by naming, in the entry point group ``wsss_benchmark.tables``, one of
its packages: every TOML file in it is a table.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from benchmark.errors import BenchmarkError
from benchmark.registry import near_name
from benchmark.table_files import table_files, table_ids
from benchmark.tables.schema import (
    Claim,
    Column,
    Curve,
    Evaluation,
    GainClaim,
    OrderClaim,
    Paper,
    Protocol,
    Row,
    Table,
)

__all__ = [
    "BrokenTable",
    "Claim",
    "Column",
    "Curve",
    "Evaluation",
    "GainClaim",
    "OrderClaim",
    "Paper",
    "Protocol",
    "Row",
    "Table",
    "load_table",
    "read_table",
    "table_ids",
]

MOST_MISTAKES = 5
"""As many are told of one file at a time."""


class BrokenTable(BenchmarkError):
    """A table file that cannot be read."""


def load_table(table_id: str) -> Table:
    """Return the table of that id.

    BenchmarkError, with the near name, where there is none; BrokenTable where it cannot be read.
    """
    files = table_files()
    if table_id not in files:
        raise BenchmarkError(near_name("table", table_id, files))
    return read_table(files[table_id])


def read_table(path: Path) -> Table:
    """Return the table in a TOML file; BrokenTable naming the file and the wrong keys."""
    try:
        table = Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BrokenTable(f"table file {path.name}: {error.strerror}") from error
    except ValidationError as error:
        raise BrokenTable(f"table file {path.name}: {_mistakes(error)}") from error
    except (ValueError, RecursionError) as error:  # tomllib's own error is but one of them
        raise BrokenTable(f"table file {path.name}: not valid TOML: {error}") from error
    if table.id != path.stem:
        raise BrokenTable(f"table file {path.name}: id is {table.id!r}; it must be the file name")
    return table


def _mistakes(error: ValidationError) -> str:
    """Return the mistakes as ``key: message`` in one line: the first ones, and how many more.

    A list whose entries are wrong is also called too short: that is no mistake of its own.
    """
    wrong = error.errors(include_url=False)
    places = [one["loc"] for one in wrong]
    own = [
        one
        for one in wrong
        if one["type"] != "too_short"
        or not any(place[:-1][: len(one["loc"])] == one["loc"] for place in places)
    ]
    told = [_mistake(one) for one in own[:MOST_MISTAKES]]
    more = f" (and {len(own) - len(told)} more)" if len(own) > len(told) else ""
    return "; ".join(told) + more


def _mistake(one: ErrorDetails) -> str:
    key = ".".join(str(part) for part in one["loc"])
    message = one["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
