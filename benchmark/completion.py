"""Names that a shell completes as they are typed; nothing heavy is imported for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

from benchmark.errors import BenchmarkError


def profiles(incomplete: str) -> list[str]:
    """Return the profiles that begin so."""
    from benchmark.profiles import profile_ids

    return _beginning(incomplete, profile_ids())


def methods(incomplete: str) -> list[str]:
    """Return the methods that begin so; none of them is imported."""
    from benchmark.registry import method_entry_points

    return _beginning(incomplete, method_entry_points())


def table(incomplete: str) -> list[str]:
    """Return the tables that begin so."""
    from benchmark.table_files import table_ids

    return _beginning(incomplete, table_ids())


def tables(incomplete: str) -> list[str]:
    """Complete the last of a comma-separated list of tables; ``all`` where it is the first."""
    return _last_of_list(incomplete, table) + _beginning(incomplete, ["all"])


def row(context: typer.Context, incomplete: str) -> list[str]:
    """Return the rows of ours that begin so, of the table that the line names before."""
    from benchmark.tables import load_table

    try:
        chosen = load_table(context.params.get("table") or "")
    except BenchmarkError:  # no table yet, several, or a wrong name: nothing to say while typing
        return []
    return _beginning(incomplete, [row.id for row in chosen.rows if row.ours])


def rows(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the last of a comma-separated list of rows of ours."""
    return _last_of_list(incomplete, lambda last: row(context, last))


def row_or_all(context: typer.Context, incomplete: str) -> list[str]:
    """Return the rows of ours that begin so, and ``all``."""
    return row(context, incomplete) + _beginning(incomplete, ["all"])


def _last_of_list(incomplete: str, complete: Callable[[str], list[str]]) -> list[str]:
    """Return the list so far with each way to end its last name; no name comes twice."""
    so_far, separator, last = incomplete.rpartition(",")
    named = so_far.split(",")
    return [f"{so_far}{separator}{name}" for name in complete(last) if name not in named]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
