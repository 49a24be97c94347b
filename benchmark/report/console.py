"""A report on the screen: colours in a terminal, plain text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from benchmark.report.markdown import (
    CLAIM_HEADER,
    NONE,
    Rows,
    claim_cells,
    has_layout,
    layout_rows,
    verdict_rows,
)
from benchmark.report.model import TableReport
from benchmark.report.verdicts import seeds_text

STYLES = {
    "exact": "green",
    "within-noise": "green",
    "within-margin": "green",
    "better": "cyan",
    "differs": "red",
    "not-comparable": "yellow",
    "stale": "yellow",
    "missing": "dim",
    "cited": "dim",
    "holds": "green",
    "fails": "red",
    "undecided": "yellow",
}
UNBROKEN = {"", "published", "ours", "95 % for one run", "difference", "verdict", "95 % interval"}
PLAIN_WIDTH = 140  # a pipe has no width of its own


def print_report(
    report: TableReport, paths: Iterable[Path] = (), console: Console | None = None
) -> None:
    """Print caveats, the scores with their verdicts, the claims and the files that were written."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=PLAIN_WIDTH, no_color=True)
    table = report.table
    console.print(Text(f"{table.title}: {table.source}", style="bold"))
    about = (
        f"profile {report.profile}, {seeds_text(report.seeds)}. {' '.join(report.meaning.split())}"
    )
    console.print(Text(about.rstrip()))
    for caveat in report.caveats:
        console.print(Text(caveat, style="yellow"))
    if has_layout(report):
        _print(console, *layout_rows(report))
    _print(console, *_narrowed(*verdict_rows(report)))
    if report.claims:
        claims = enumerate(report.claims, start=1)
        rows = [[f"claim {number}", *claim_cells(result)] for number, result in claims]
        _print(console, ["", *CLAIM_HEADER], rows, [2, 3, 4])
    if written := [_shown(path) for path in paths]:
        console.print(
            "written:", *written, sep="\n  ", highlight=False, markup=False, soft_wrap=True
        )


def _narrowed(header: list[str], rows: list[list[str]], right: list[int]) -> Rows:
    """Leave out the seeds, which stand above, and columns of nothing but dashes."""
    kept = [
        index
        for index, name in enumerate(header)
        if name != "seeds" and any(row[index] != NONE for row in rows)
    ]
    return (
        [header[index] for index in kept],
        [[row[index] for index in kept] for row in rows],
        [kept.index(index) for index in right if index in kept],
    )


def _print(console: Console, header: list[str], rows: list[list[str]], right: list[int]) -> None:
    """Print a table, and below it its notes, each once: in the last column they would not fit."""
    table = RichTable(box=box.SIMPLE_HEAD if console.is_terminal else box.MARKDOWN)
    notes: dict[str, list[str]] = {}
    has_notes = header[-1] == "note"
    for index, name in enumerate(header[:-1] if has_notes else header):
        table.add_column(
            name,
            justify="right" if index in right else "left",
            no_wrap=name in UNBROKEN,
            overflow="fold",
        )
    for row in rows:
        if has_notes and row[-1]:
            notes.setdefault(row[-1], []).append(row[0])
        entries = row[:-1] if has_notes else row
        table.add_row(*(Text(entry, style=STYLES.get(entry, "")) for entry in entries))
    console.print(table)
    for note, names in notes.items():
        about = "" if len(names) == len(rows) else f"{', '.join(dict.fromkeys(names))}: "
        console.print(Text(f"  {about}{note}", style="dim"))


def _shown(path: Path) -> str:
    """Return the path as the user would type it."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)
