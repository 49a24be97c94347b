"""Options that several commands have, and how they print."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark import completion
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.store import Store

Table = Annotated[
    str,
    typer.Option(
        "--table", help="Id of a table; see `list tables`.", autocompletion=completion.table
    ),
]
Tables = Annotated[
    str,
    typer.Option(
        "--table",
        help="Ids of tables, comma-separated, or all; see `list tables`.",
        autocompletion=completion.tables,
    ),
]
Row = Annotated[
    str,
    typer.Option(
        "--row",
        help="Id of one of the table's rows that we run.",
        autocompletion=completion.row,
    ),
]
MOST_SEEDS = 1000
Seeds = Annotated[
    int, typer.Option("--seeds", min=1, max=MOST_SEEDS, help="Number of seeds, 3 for an interval.")
]
StoreFolder = Annotated[
    Path, typer.Option("--store", envvar="WSSS_STORE", help="Folder of finished stages.")
]
Results = Annotated[Path, typer.Option("--results", help="Folder that the tables are written to.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
KeepStale = Annotated[
    bool, typer.Option("--keep-stale", help="Use stages whose code has changed; cells say so.")
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="Stages made at once; by default one a GPU, or one a core."),
]
StageTimeout = Annotated[
    str | None,
    typer.Option(
        "--stage-timeout",
        help="With --jobs 2 or more: kill a stage that shows no progress for so long, e.g. 90m or "
        "2h, and try it once more.",
    ),
]
Rows = Annotated[
    str | None,
    typer.Option(
        "--rows", help="Only these rows, comma-separated ids.", autocompletion=completion.rows
    ),
]
OneRow = Annotated[
    str | None,
    typer.Option(
        "--rows", help="The row that the files of --from are for.", autocompletion=completion.row
    ),
]

ALL = "all"


def seconds_of(duration: str | None) -> float | None:
    """Return the seconds of e.g. "45s", "90m" or "2h"; BenchmarkError for anything else."""
    if duration is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])", duration)
    if match is None or float(match[1]) == 0:
        raise BenchmarkError(f"{duration!r} is no duration: give a number with s, m, h or d")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def say(line: str) -> None:
    """Print a line beside what the command prints: on stderr."""
    print(line, file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a value for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def open_store(folder: Path) -> Store:
    """Return the store in a folder."""
    from benchmark.store import Store

    return Store(folder)
