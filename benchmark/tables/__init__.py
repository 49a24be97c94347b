"""Published tables as data: ``load_table(ID)``. One TOML file each, in this folder.

Another package adds tables by naming, in the entry point group ``wsss_benchmark.tables``, one of
its packages: every TOML file in it is a table.
"""

from __future__ import annotations

import importlib.util
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.registry import near_name
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

FOLDER = Path(__file__).parent
GROUP = "wsss_benchmark.tables"


class BrokenTable(BenchmarkError):
    """A table file that cannot be read."""


def table_ids() -> tuple[str, ...]:
    """Return the ids of all tables, sorted."""
    return tuple(sorted(_files()))


def load_table(table_id: str) -> Table:
    """Return the table of that id.

    BenchmarkError, with the near name, where there is none; BrokenTable where it cannot be read.
    """
    files = _files()
    if table_id not in files:
        raise BenchmarkError(near_name("table", table_id, files))
    return read_table(files[table_id])


def _files() -> dict[str, Path]:
    """Return every table's file by id; of equal ids this package's own is meant."""
    folders = [FOLDER]
    for point in sorted(entry_points(group=GROUP)):
        folders += _folders(point.value)
    return {path.stem: path for folder in folders[::-1] for path in folder.glob("*.toml")}


def _folders(package: str) -> list[Path]:
    """Return where a package lies; nowhere if it is broken, so that it breaks no other table."""
    try:
        spec = importlib.util.find_spec(package)
    except (Exception, SystemExit):  # the package above it is imported for this, and may fail
        return []
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def read_table(path: Path) -> Table:
    """Return the table in a TOML file; BrokenTable naming the file and the wrong key."""
    try:
        table = Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BrokenTable(f"table file {path.name}: {error.strerror}") from error
    except ValidationError as error:
        raise BrokenTable(f"table file {path.name}: {_first_line(error)}") from error
    except (ValueError, RecursionError) as error:  # tomllib's own error is but one of them
        raise BrokenTable(f"table file {path.name}: not valid TOML: {error}") from error
    if table.id != path.stem:
        raise BrokenTable(f"table file {path.name}: id is {table.id!r}; it must be the file name")
    return table


def _first_line(error: ValidationError) -> str:
    """Return the first of the errors as ``key: message``, and how many more there are."""
    first, *rest = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(rest)} more)" if rest else ""
    return f"{key}: {message}{more}" if key else f"{message}{more}"
