"""Where the table files lie, this package's and others': all that completing names needs."""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path

FOLDER = Path(__file__).parent / "tables"
GROUP = "wsss_benchmark.tables"


def table_ids() -> tuple[str, ...]:
    """Return the ids of all tables, sorted."""
    return tuple(sorted(table_files()))


def table_files() -> dict[str, Path]:
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
