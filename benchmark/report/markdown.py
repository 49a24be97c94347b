"""The Markdown of a report: GitHub tables, one decimal, made to be read."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Sequence

from benchmark.report.card import TITLES, ProtocolCard
from benchmark.report.model import Cell, ClaimResult, TableReport
from benchmark.report.verdicts import MEANINGS, seeds_text
from benchmark.report.visible import visible
from benchmark.tables.schema import Column, Paper, Row, Table

NONE = "–"
Rows = tuple[list[str], list[list[str]], list[int]]  # header, rows, columns aligned right

CLAIM_HEADER = ("claim", "paper", "ours", "95 % interval", "verdict", "note")
DECIMALS = 1


def render_markdown(report: TableReport, name: str | None = None) -> str:
    """Return the report's Markdown; its chart is NAME.svg beside it, NAME else the table's id."""
    table, paper = report.table, report.table.paper
    sections = [
        f"# {inline(table.title)} (`{table.id}`, profile {report.profile})",
        f"{_source(paper)}. {inline(table.caption)}",
        _profile(report),
        *_scores(report),
        *_claims(report),
        *_sweeps(report, name or report.table.id),
        *_diagnostics(report),
        *_cards(report),
        *_classes(report),
        *_notes(report),
        *_provenance(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def inline(text: str) -> str:
    """Return text on one line, in which nothing is HTML, a link or an unseen character."""
    line = re.sub(r"&(?=#?\w+;)", "&amp;", visible(" ".join(text.split())))
    return re.sub(r"\](?=[(:\[])", "&#93;", line.replace("<", "&lt;"))


def markdown_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Iterable[int] = (),
    *,
    cell: Callable[[str], str] = inline,
) -> str:
    """Return a GitHub table; ``right`` are the columns aligned to the right.

    ``cell`` turns an entry into Markdown: it stays the text that it is, unless told otherwise.
    """
    numeric = set(right)
    rule = ["---:" if index in numeric else "---" for index in range(len(header))]
    lines = [[escape(cell(entry)) for entry in row] for row in (header, *rows)]
    if any(len(line) != len(header) for line in lines):
        raise ValueError("every row of a table needs as many cells as its header")
    lines.insert(1, rule)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape(text: str) -> str:
    """Return Markdown safe inside a table cell: one line, pipes escaped."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def points(value: float | None, decimals: int = DECIMALS) -> str:
    """Return a score for people, a dash for none."""
    return NONE if value is None else f"{value:.{decimals}f}"


def signed(value: float | None, decimals: int = DECIMALS) -> str:
    """Return a difference with its sign, a dash for none."""
    return NONE if value is None else f"{value:+.{decimals}f}"


def effect_text(value: float | None, kind: str) -> str:
    """Return a claim's effect for people: points, or a ratio of variances; a dash for none."""
    return f"× {value:.1f}" if kind == "unstable" and value is not None else signed(value)


def span(interval: tuple[float, float] | None, decimals: int = DECIMALS) -> str:
    """Return an interval for people, a dash for none."""
    return NONE if interval is None else f"{interval[0]:.{decimals}f} to {interval[1]:.{decimals}f}"


def mean_and_sd(cell: Cell) -> str:
    """Return our score for people, with its spread where there are several seeds."""
    if cell.mean is None:
        return NONE
    return points(cell.mean) if cell.sd is None else f"{points(cell.mean)} ± {points(cell.sd)}"


def verdict_note(cell: Cell) -> str:
    """Return what stands beside a verdict: the differing fields, then the caveats."""
    differing = ", ".join(TITLES[name] for name in cell.differing)
    parts = (f"differs in: {differing}" if differing else "", cell.note)
    return "; ".join(part for part in parts if part)


VERDICT_HEADER = ("published", "ours", "seeds", "95 % for one run", "difference", "verdict")


def verdict_cells(cell: Cell) -> tuple[str, ...]:
    """Return one cell's entries under ``VERDICT_HEADER``."""
    return (
        _published(cell.row, cell.column),
        mean_and_sd(cell),
        str(len(cell.seeds)) if cell.seeds else NONE,
        span(cell.interval),
        signed(cell.difference),
        cell.verdict,
    )


def published_score(row: Row, column: Column) -> str:
    """Return the paper's score for people, with the spread that it prints; a dash for none."""
    spread = row.deviation.get(column.id)
    beside = "" if spread is None else f" ± {points(spread, column.decimals)}"
    return points(row.published.get(column.id), column.decimals) + beside


def _published(row: Row, column: Column) -> str:
    return published_score(row, column) + (" (?)" if column.id in row.flags else "")


def claim_cells(result: ClaimResult) -> tuple[str, ...]:
    """Return one claim's entries under ``CLAIM_HEADER``."""
    effect, kind = result.effect, result.claim.kind
    ends = [effect_text(end, kind) for end in (effect.low, effect.high)] if effect else []
    return (
        result.claim.text,
        signed(result.published_effect),
        effect_text(effect.value if effect else None, kind),
        " to ".join(ends) or NONE,
        result.verdict,
        result.note,
    )


def _source(paper: Paper | None) -> str:
    if paper is None:
        return "Printed in no paper"
    table, title, *where = map(inline, (paper.table, paper.title, paper.venue, paper.reference))
    return f"{table} of *{title}*, {', '.join(where)}"


def _profile(report: TableReport) -> str:
    data = inline("; ".join(f"{name}: {value}" for name, value in report.data.items()))
    seeds, date = seeds_text(report.seeds), report.date or "no run yet"
    parts = [f"**Profile {report.profile}**, {seeds}, {date}."]
    parts += [inline(report.meaning)] if report.meaning else []
    parts += [f"Data: {data}."] if data else []
    return " ".join(parts)


def _scores(report: TableReport) -> list[str]:
    """Return the scores and verdicts; first as the paper lays them out, where that says more."""
    header, rows, right = verdict_rows(report)
    verdicts = [markdown_table(header, rows, right), _meanings(report)]
    flagged = any(row.flags for row in report.table.rows)
    doubt = ["(?): read from the paper with some doubt, see the notes."] if flagged else []
    if has_layout(report):
        return ["## Scores", markdown_table(*layout_rows(report)), *doubt, "## Verdicts", *verdicts]
    title = report.table.score_columns[0].title
    return ["## Scores", f"{inline(title)}, in %.", *verdicts, *doubt]


def _meanings(report: TableReport) -> str:
    used = {cell.verdict for cell in _listed(report)}
    return "\n".join(f"- `{name}`: {meaning}" for name, meaning in MEANINGS.items() if name in used)


def has_layout(report: TableReport) -> bool:
    """Whether the paper's layout holds more than one score a row."""
    return len(report.table.columns) > 1


def _listed(report: TableReport) -> list[Cell]:
    """Return the cells to list with verdicts: ours alone, where the layout shows the others."""
    return [cell for cell in report.cells if cell.row.ours or not has_layout(report)]


def layout_rows(report: TableReport) -> Rows:
    """Return the table as the paper lays it out, with ours beside every score.

    Classes go down, and not across, where there is a column for each.
    """
    columns = report.table.columns
    if classes_go_down(report.table):
        return _classes_down(report)
    header = ["row"]
    right: list[int] = []
    for column in columns:
        names = [column.title] if column.kind == "text" else _score_names(report, column.title)
        right += range(len(header), len(header) + len(names)) if column.kind == "score" else []
        header += names
    rows = [
        [row.title, *(entry for column in columns for entry in _entries(report, row, column))]
        for row in report.table.rows
    ]
    return header, rows, right


def classes_go_down(table: Table) -> bool:
    """Whether there is a column for each class: too many to stand beside each other."""
    return any(column.evaluation and column.evaluation.of_class for column in table.columns)


def _classes_down(report: TableReport) -> Rows:
    header = [""]
    for row in report.table.rows:
        header += _score_names(report, row.title)
    rows = [
        [column.title, *(x for row in report.table.rows for x in _entries(report, row, column))]
        for column in report.table.score_columns
    ]
    return header, rows, list(range(1, len(header)))


def _score_names(report: TableReport, title: str) -> list[str]:
    return [title, "ours"] if report.measured else [title]


def _entries(report: TableReport, row: Row, column: Column) -> list[str]:
    if column.kind == "text":
        return [row.text.get(column.id, NONE)]
    published = _published(row, column)
    if not report.measured:
        return [published]
    cell = report.by_place.get((row.id, column.id))
    return [published, mean_and_sd(cell) if cell else NONE]


def verdict_rows(report: TableReport) -> Rows:
    """Return a line for every cell that is listed with its verdict."""
    several = len(report.table.score_columns) > 1
    rows = []
    for cell in _listed(report):
        place = (cell.row.title, cell.column.title) if several else (cell.row.title,)
        rows.append([*place, *verdict_cells(cell), verdict_note(cell)])
    header = ["row", *(["column"] if several else []), *VERDICT_HEADER, "note"]
    first = len(header) - len(VERDICT_HEADER) - 1
    return header, rows, list(range(first, first + 5))


def _claims(report: TableReport) -> list[str]:
    if not report.claims:
        return []
    rows = [claim_cells(result) for result in report.claims]
    explained = (
        "Differences in points. The interval is a paired bootstrap over images and seeds. "
        "A gain `holds` when the interval lies above 0 and reaches the gain the paper names, and "
        "`fails` when it lies below that gain. Where several differences are claimed, the smallest "
        "is shown: the claim `holds` when its interval lies above 0 and `fails` when it lies below."
    )
    if any(result.claim.kind == "unstable" for result in report.claims):
        explained += (
            " ×: a ratio of the variances over the seeds, with the interval of an F-test at 5 %; "
            "it `holds` above 1 and `fails` below 1."
        )
    return ["## Claims of the paper", markdown_table(CLAIM_HEADER, rows, range(1, 4)), explained]


def _sweeps(report: TableReport, name: str) -> list[str]:
    if not report.table.curves:
        return []
    titles = "; ".join(inline(curve.title) for curve in report.table.curves)
    return ["## Sweeps", f"![{titles}: ours and the paper's]({name}.svg)"]


def _diagnostics(report: TableReport) -> list[str]:
    if not report.diagnostics:
        return []
    found = {(one.row.id, one.name): one.values for one in report.diagnostics}
    names = [name for name in report.table.diagnostics if any(name == key[1] for key in found)]
    means_over_classes = [
        column
        for column in report.table.score_columns
        if column.evaluation and column.evaluation.of_class is None
    ]
    rows = []
    for row in report.table.rows:
        if not row.ours:
            continue
        values = [found.get((row.id, name)) for name in names]
        scores = [_cell_score(report, row, column) for column in means_over_classes]
        means = [points(100 * statistics.fmean(value) if value else None) for value in values]
        rows.append([row.title, *means, *scores])
    titles = [report.table.diagnostics[name] for name in names]
    header = ["row", *titles, *(column.title for column in means_over_classes)]
    return ["## Where the points are", markdown_table(header, rows, range(1, len(header)))]


def _cell_score(report: TableReport, row: Row, column: Column) -> str:
    cell = report.by_place.get((row.id, column.id))
    return points(cell.mean if cell else None)


def _cards(report: TableReport) -> list[str]:
    cells = [cell for cell in report.cells if cell.row.ours and cell.published_card]
    theirs = [cell.published_card for cell in cells if cell.published_card]
    ours = [cell.card for cell in cells if cell.card]
    rows = []
    for name, title in TITLES.items():
        differs = any(name in cell.differing for cell in cells)
        rows.append((title, _values(theirs, name), _values(ours, name), "yes" if differs else ""))
    about = (
        "What must be equal before two numbers may be compared; a field not stated never counts."
    )
    header = ("", "paper", "ours", "differs")
    return ["## Protocol card", about, markdown_table(header, rows)]


def _values(cards: Sequence[ProtocolCard], name: str) -> str:
    """Return the distinct values of one field over the cells, in their order."""
    return "; ".join(dict.fromkeys(card.shown(name) for card in cards)) or NONE


def _classes(report: TableReport) -> list[str]:
    cells = [cell for cell in report.measured if cell.class_scores and cell.card]
    if not cells:
        return []
    names = list(dict.fromkeys(n for c in cells if c.card for n in ("background", *c.card.classes)))
    columns = []
    for cell in cells:
        assert cell.card is not None
        per_class = zip(("background", *cell.card.classes), cell.class_scores, strict=True)
        columns.append(dict(per_class))
    rows = [[name, *(points(column.get(name)) for column in columns)] for name in names]
    rows.append(["**mean**", *(points(cell.mean) for cell in cells)])
    several = len({cell.column.id for cell in cells}) > 1
    titles = [
        f"{cell.row.title}, {cell.column.title}" if several else cell.row.title for cell in cells
    ]
    about = "In points, mean over the seeds; a dash: the class is nowhere."
    return [
        "## Per class",
        about,
        markdown_table(["class", *titles], rows, range(1, len(cells) + 1)),
    ]


def _notes(report: TableReport) -> list[str]:
    notes = [f"- {inline(note)}" for note in (*report.caveats, *report.table.notes)]
    for column in report.table.columns:
        notes += [f"- Column *{inline(column.title)}*: {inline(note)}" for note in column.notes]
    for row in report.table.rows:
        title = inline(row.title)
        notes += [f"- Row *{title}*: {inline(note)}" for note in row.notes]
        for column_id, flag in row.flags.items():
            column = report.table.column(column_id)
            notes.append(f"- (?) Row *{title}*, *{inline(column.title)}*: {inline(flag)}")
    return ["## Notes", "\n".join(notes)] if notes else []


def _provenance(report: TableReport) -> list[str]:
    if not report.records:
        return []
    seconds = sum(record.seconds for record in report.records)
    peak = max(record.peak_memory_mb for record in report.records)
    revisions = sorted({record.git_revision or "none" for record in report.records})
    environments = list(dict.fromkeys(_environment(one.environment) for one in report.records))
    rows = [
        (
            record.stage,
            f"`{record.key[:12]}`",
            record.started,
            f"{record.seconds:.1f}",
            f"{record.peak_memory_mb:.0f}",
        )
        for record in report.records
    ]
    return [
        "## Provenance",
        f"{len(report.records)} stages, {seconds / 60:.1f} minutes of work when they were made, "
        f"peak memory {peak / 1000:.1f} GB; git revision {inline(', '.join(revisions))}. "
        "Configurations and full keys are in the JSON beside this file.",
        "\n".join(f"- {environment}" for environment in environments),
        "<details><summary>Every stage</summary>",
        markdown_table(("stage", "record", "started", "seconds", "peak MB"), rows, (3, 4)),
        "</details>",
    ]


def _environment(environment: dict[str, str]) -> str:
    return inline(", ".join(f"{name} {value}" for name, value in environment.items()))
