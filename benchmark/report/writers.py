"""Write a report: results/PROFILE/TABLE.{md,csv,json}, and results/README.md over all of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.report.document import SCHEMA, report_to_json
from benchmark.report.markdown import markdown_table, render_markdown
from benchmark.report.model import Cell, TableReport
from benchmark.store import write_atomic

INDEXED = {"title", "date", "seeds", "verdicts", "claim_verdicts"}  # what the index reads

CSV_HEADER = (
    "table",
    "row",
    "column",
    "ours_mean",
    "ours_sd",
    "seeds",
    "pi_low",
    "pi_high",
    "published",
    "difference",
    "verdict",
    "differing_fields",
    "note",
    "flag",
    "records",
)


def write_report(report: TableReport, results: Path, name: str | None = None) -> tuple[Path, ...]:
    """Write results/PROFILE/NAME.{md,csv,json} and return their paths; NAME is else the table's id.

    The same report gives the same bytes. BenchmarkError where a file cannot be written.
    """
    folder = results / report.profile
    contents = {
        "md": render_markdown(report),
        "csv": render_csv(report),
        "json": json.dumps(report_to_json(report), indent=1, ensure_ascii=False, allow_nan=False)
        + "\n",
    }
    paths = []
    for suffix, text in contents.items():
        path = folder / f"{name or report.table.id}.{suffix}"
        write_atomic(path, text)
        paths.append(path)
    return tuple(paths)


def render_csv(report: TableReport) -> str:
    """Return one line a cell; scores in points, unrounded."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    writer.writerows(_csv_row(report.table.id, cell) for cell in report.cells)
    return buffer.getvalue()


def _csv_row(table: str, cell: Cell) -> tuple[Any, ...]:
    low, high = cell.interval or (None, None)
    return (
        table,
        cell.row.id,
        cell.column.id,
        cell.mean,
        cell.sd,
        len(cell.seeds),
        low,
        high,
        cell.published,
        cell.difference,
        cell.verdict,
        " ".join(cell.differing),
        cell.note,
        cell.flag,
        " ".join(cell.keys),
    )


def write_index(results: Path) -> Path:
    """Write results/README.md from the JSON files below it and return its path."""
    path = results / "README.md"
    write_atomic(path, render_index(results))
    return path


def render_index(results: Path) -> str:
    """Return the index: one line a table and profile."""
    rows = [_index_row(path) for path in sorted(results.glob("*/*.json"))]
    header = ("table", "profile", "date", "seeds", "cells", "claims", "files")
    return (
        "\n\n".join(
            [
                "# Results",
                "Written by `python -m benchmark`; do not edit. One line a table and profile. "
                "Cells count our rows only; what the verdicts mean stands in every report.",
                markdown_table(header, rows, (3,)) if rows else "No table has been run yet.",
            ]
        )
        + "\n"
    )


def _index_row(path: Path) -> tuple[str, ...]:
    profile, table = path.parent.name, path.stem
    link = f"{profile}/{table}"
    document = _read(path)
    if document is None:
        return (
            table,
            profile,
            "",
            "",
            "not readable: run the table again",
            "",
            f"[json]({link}.json)",
        )
    return (
        f"[{document['title']}]({link}.md) `{table}`",
        profile,
        document["date"],
        str(document["seeds"]),
        _counts(document["verdicts"]),
        _counts(document["claim_verdicts"]),
        f"[csv]({link}.csv), [json]({link}.json)",
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Return a report's JSON; None if it is none, or one of a newer layout."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return None
    return document if document.keys() >= INDEXED else None


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items()) or "none"
