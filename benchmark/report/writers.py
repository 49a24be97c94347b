"""Write a report: results/PROFILE/TABLE.{md,csv,json,tex}, and results/README.md over all of them.

A table with sweeps has its chart beside them, TABLE.svg, which the Markdown shows.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmark.report.curves import render_sweeps
from benchmark.report.document import read_documents, report_to_json
from benchmark.report.latex import render_latex
from benchmark.report.markdown import inline, markdown_table, render_markdown
from benchmark.report.model import Cell, TableReport
from benchmark.report.page import FILE_NAME as PAGE
from benchmark.store import write_atomic

COMMIT = 7  # digits of a commit that people read
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
    """Write the report's files, results/PROFILE/NAME.*, and return their paths.

    NAME is else the table's id.

    The same report gives the same bytes. BenchmarkError where a file cannot be written.
    """
    base = results / report.profile / (name or report.table.id)
    document = report_to_json(report)
    contents = {
        "md": render_markdown(report, base.name),
        "csv": render_csv(report),
        "json": json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "tex": render_latex(report),
    }
    if report.table.curves:
        contents["svg"] = render_sweeps(document)
    paths = []
    for suffix, text in contents.items():
        path = base.parent / f"{base.name}.{suffix}"
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
        _inert(cell.note),
        _inert(cell.flag),
        " ".join(cell.keys),
    )


def _inert(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: an apostrophe stands before one."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def write_index(results: Path) -> Path:
    """Write results/README.md from the JSON files below it and return its path."""
    path = results / "README.md"
    write_atomic(path, render_index(results))
    return path


def render_index(results: Path) -> str:
    """Return the index: for every profile what there is in all, then one line a table."""
    folders = {path.parent for name in ("*/*.json", f"*/{PAGE}") for path in results.glob(name)}
    parts = [
        "# Results",
        "Written by `python -m benchmark`; do not edit. Cells count our rows only; what the "
        "verdicts mean stands in every report.",
        "A table's numbers are those of the code at the commits beside it, newest first. Where "
        "code behind them has changed since, `report` calls them stale as long as their store is "
        "there, and `run` makes them anew.",
        *(part for folder in sorted(folders) for part in _profile(folder)),
    ]
    return "\n\n".join(parts if folders else [*parts, "No table has been run yet."]) + "\n"


def _profile(folder: Path) -> list[str]:
    """Return the part of the index on one profile, results/PROFILE."""
    documents = read_documents(folder)
    known = [document for document in documents.values() if document]
    header = ("table", "date", "code", "seeds", "cells", "claims", "files")
    rows = [_index_row(folder / f"{table}.json", one) for table, one in documents.items()]
    name = inline(folder.name)
    page = (
        f"On one page, to open in a browser: [{name}]({quote(folder.name)}/{PAGE})."
        if (folder / PAGE).is_file()
        else ""
    )
    return [
        f"## Profile {name}",
        " ".join(filter(None, (_total(known), page))) or "No table of it can be read.",
        *([markdown_table(header, rows, (3,), cell=str)] if rows else []),
    ]


def _total(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return what several tables come to together; empty without any."""
    if not documents:
        return ""
    cells, claims = Counter[str](), Counter[str]()
    for document in documents:
        cells.update(document["verdicts"])
        claims.update(document["claim_verdicts"])
    tables = f"{len(documents)} table{'' if len(documents) == 1 else 's'}"
    return f"{tables}; cells: {_counts(cells)}; claims: {_counts(claims)}."


def _index_row(path: Path, document: Mapping[str, Any] | None) -> tuple[str, ...]:
    table, link = inline(path.stem), quote(f"{path.parent.name}/{path.stem}")
    if document is None:
        unreadable = "not readable: run the table again"
        return table, "", "", "", unreadable, "", f"[json]({link}.json)"
    return (
        f"[{inline(document['title'])}]({link}.md) `{table}`",
        inline(document["date"]),
        _code(document),
        _seeds(document),
        _counts(document["verdicts"]),
        _counts(document["claim_verdicts"]),
        ", ".join(f"[{suffix}]({link}.{suffix})" for suffix in ("csv", "json", *_drawn(path))),
    )


def _code(document: Mapping[str, Any]) -> str:
    """Return the commits that the records were made with, shortened, the last used first."""
    used: dict[str, str] = {}
    for record in document["records"]:
        commit = record["git_revision"]
        revision = inline(commit[:COMMIT] if commit else "not in a checkout")
        used[revision] = max(record["started"], used.get(revision, ""))
    return ", ".join(sorted(used, key=lambda revision: used[revision], reverse=True))


def _seeds(document: Mapping[str, Any]) -> str:
    """Return the number of seeds behind our numbers; the fewest and the most, where they differ."""
    numbers = {len(cell["seeds"]) for cell in document["cells"] if cell["seeds"]} or {0}
    fewest, most = min(numbers), max(numbers)
    return f"{most}" if fewest == most else f"{fewest} to {most}"


def _drawn(path: Path) -> list[str]:
    """Return the suffixes of the files that only newer or swept tables have."""
    return [suffix for suffix in ("tex", "svg") if path.with_suffix(f".{suffix}").is_file()]


def _counts(counts: Mapping[str, int]) -> str:
    listed = [f"{number} {inline(name)}" for name, number in sorted(counts.items())]
    return ", ".join(listed) or "none"
