"""What was measured: pages and tables made of results/*/*.json, which nobody types by hand."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from benchmark.registry import load_method_class, method_entry_points
from benchmark.report.markdown import (
    CLAIM_HEADER,
    effect_text,
    markdown_table,
    points,
    signed,
    span,
)
from benchmark.report.verdicts import MEANINGS
from benchmark.tables import Row, Table, load_table, table_ids

RESULTS = Path(__file__).parents[2] / "results"
PROFILES = ("paper", "light", "scenes")
"""The order of their sections; others follow."""

REPORTS = (".md", ".csv", ".json", ".tex")
NOT_RUN = "Nothing in results/ yet."


@dataclass(frozen=True)
class Report:
    """One table's JSON under one profile, beside the table file it reports on."""

    table: Table
    document: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Its place among the pages, without an ending."""
        return f"results/{self.document['profile']}/{self.table.id}"

    @cached_property
    def scores(self) -> list[Mapping[str, Any]]:
        """The cells with a number of ours, those of single classes left out."""
        means = {
            column.id
            for column in self.table.score_columns
            if column.evaluation and column.evaluation.of_class is None
        }
        return [
            cell for cell in self.document["cells"] if cell["values"] and cell["column"] in means
        ]

    def claims(self, rows: Iterable[str]) -> list[Mapping[str, Any]]:
        """Return the tested claims that one of the rows takes part in."""
        about = {claim.id: {row for row, _ in claim.cells()} for claim in self.table.claims}
        found = self.document["claims"]
        return [claim for claim in found if about.get(claim["id"], set()) & set(rows)]


@cache
def reports() -> tuple[Report, ...]:
    """Return every report in results/ whose table is known, profile by profile."""
    known = set(table_ids())
    names = sorted(path.name for path in RESULTS.iterdir() if path.is_dir())
    order = sorted(names, key=lambda name: PROFILES.index(name) if name in PROFILES else 99)
    return tuple(
        Report(load_table(path.stem), json.loads(path.read_text()))
        for profile in order
        for path in sorted((RESULTS / profile).glob("*.json"))
        if path.stem in known
    )


def measured(kind: str, name: str) -> str:
    """Return our numbers of the rows with a ``method``, ``refine`` or kind of ``segmentation``."""
    chosen: Mapping[str, Callable[[Row], bool]] = {
        "method": lambda row: row.method == name,
        "refine": lambda row: row.refine == name,
        "segmentation": lambda row: (row.segmentation or "").startswith(f"{name}_"),
    }
    parts = [section for profile in _profiles() for section in _measured(profile, chosen[kind])]
    sheets = _sheets(name) if kind == "method" else []
    return "\n\n".join([*parts, *sheets]) or NOT_RUN


def _profiles() -> list[str]:
    return list(dict.fromkeys(report.document["profile"] for report in reports()))


def _measured(profile: str, chosen: Callable[[Row], bool]) -> Iterator[str]:
    scores, claims = [], []
    for report in reports():
        if report.document["profile"] != profile:
            continue
        rows = [row.id for row in report.table.rows if chosen(row)]
        link = f"[`{report.table.id}`](../tables/{report.table.id}.md)"
        cells = [cell for cell in report.scores if cell["row"] in rows]
        tested = [claim for claim in report.claims(rows) if claim["effect"] is not None]
        scores += [
            (link, text(cell["row_title"]), text(cell["column_title"]), *score(cell))
            for cell in cells
        ]
        claims += [(link, *claim_row(claim)) for claim in tested]
    if not scores:
        return
    yield f"### Profile {profile}"
    header = ("table", "row", "score", "published", "ours", "seeds", "verdict")
    yield markdown_table(header, scores, (3, 4, 5), cell=str)
    if claims:
        yield "Claims that these rows take part in:"
        yield markdown_table(("table", *CLAIM_HEADER), claims, (2, 3, 4), cell=str)


def _sheets(method: str) -> Iterator[str]:
    for profile in _profiles():
        path = RESULTS / profile / "figures" / f"methods_{method}.jpg"
        if path.is_file():
            about = f"Images, attention, proxy labels and truth, profile {profile}"
            link = f"../results/{profile}/figures/{path.name}"
            yield f"[![{about}]({link}){{ loading=lazy }}]({link})\n\n{about}."


def score(cell: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return a cell's published value, ours, seeds and verdict."""
    spread = "" if cell["sd"] is None else f" ± {points(cell['sd'])}"
    ours = f"{points(cell['mean'])}{spread}" if cell["values"] else "–"
    seeds = str(len(cell["seeds"])) if cell["seeds"] else "–"
    return points(cell["published"]), ours, seeds, badge(cell["verdict"])


def claim_row(claim: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    """Return a claim's entries under ``CLAIM_HEADER``."""
    ends = [effect_text(end, claim["kind"]) for end in claim["interval"] or ()]
    return (
        text(claim["text"]),
        signed(claim["published_effect"]),
        effect_text(claim["effect"], claim["kind"]),
        " to ".join(ends) or "–",
        badge(claim["verdict"]),
        text(claim["note"]),
    )


def badge(verdict: str) -> str:
    """Return a verdict as a coloured word."""
    return f'<span class="verdict {verdict}">{verdict}</span>'


def text(value: str) -> str:
    """Return text that is neither HTML nor Markdown, in a table or outside of one."""
    escaped = html.escape(value, quote=False)
    return "".join(f"&#{ord(sign)};" if sign in "*_`[]\\" else sign for sign in escaped)


def table_page(name: str) -> str:
    """Return the page of one published table."""
    table = load_table(name)
    rows = [row for row in table.rows if row.ours]
    parts = [
        f"# {text(table.title)}",
        f"`{table.id}`, {text(table.source)}. {text(table.caption)}",
        *(part for report in reports() if report.table.id == name for part in _report(report)),
        "## How each row is made",
        markdown_table(
            ("row", "method", "labels", "segmentation", "supervision"),
            [tuple(text(entry) for entry in _made(row)) for row in rows],
            cell=str,
        ),
    ]
    cited = len(table.rows) - len(rows)
    if cited:
        parts.append(f"{cited} more rows are cited: nobody here measures them.")
    if table.notes:
        parts += ["## Notes", "\n".join(f"- {text(note)}" for note in table.notes)]
    return "\n\n".join(parts) + "\n"


def _made(row: Row) -> tuple[str, ...]:
    constants = ", ".join(f"{name} {value:g}" for name, value in row.constants.items())
    method = " + ".join(name for name in (row.method, row.refine) if name) or "the true masks"
    changed = ", ".join(f"{name} {value}" for name, value in row.options.items())
    return (
        row.title,
        f"{method} ({changed})" if changed else method,
        f"{row.recipe} ({constants})" if constants else row.recipe or "–",
        row.segmentation or "–",
        row.supervision or "–",
    )


def _report(report: Report) -> Iterator[str]:
    document = report.document
    seeds = f"{document['seeds']} seed{'' if document['seeds'] == 1 else 's'}"
    yield f"## Profile {document['profile']}"
    yield f"{seeds}, {document['date'] or 'no run yet'}. {text(document['meaning'])}"
    several = len({cell["column"] for cell in report.scores}) > 1
    rows = [
        (
            text(cell["row_title"]),
            *((text(cell["column_title"]),) if several else ()),
            *score(cell),
            span(cell["interval"]),
        )
        for cell in report.scores
    ]
    header = ("row", *(("score",) if several else ()), "published", "ours", "seeds", "verdict")
    first = len(header) - 4
    if rows:
        numbers = (first, first + 1, first + 2, first + 4)
        yield markdown_table((*header, "95 % for one run"), rows, numbers, cell=str)
    else:
        yield "No mean over the classes is measured; the full report has the classes."
    if document["claims"]:
        claims = [claim_row(claim) for claim in document["claims"]]
        yield markdown_table(CLAIM_HEADER, claims, (1, 2, 3), cell=str)
    if document["curves"]:
        yield f"![The sweeps, ours and the paper's](../{report.path}.svg)"
    endings = [ending for ending in REPORTS if _beside(report, ending).is_file()]
    links = [f"[{_name(ending)}](../{report.path}{ending})" for ending in endings]
    yield f"Classes, protocol cards, diagnostics and every record: {', '.join(links)}."


def _beside(report: Report, ending: str) -> Path:
    return RESULTS / report.document["profile"] / f"{report.table.id}{ending}"


def _name(ending: str) -> str:
    return "the full report" if ending == ".md" else ending.removeprefix(".").upper()


def tables_overview() -> str:
    """Return a line a published table: what it is, and how its claims fare by profile."""
    header = ("table", "of", *(f"claims, {profile}" for profile in _profiles()))
    rows = []
    for name in table_ids():
        table = load_table(name)
        fates = [_fate(name, profile) for profile in _profiles()]
        source = text(table.paper.venue) if table.paper else "no paper"
        rows.append((f"[{text(table.title)}]({name}.md) `{name}`", source, *fates))
    return markdown_table(header, rows, cell=str)


def _fate(name: str, profile: str) -> str:
    for report in reports():
        if report.table.id == name and report.document["profile"] == profile:
            counts = report.document["claim_verdicts"].items()
            return ", ".join(f"{count} {verdict}" for verdict, count in counts) or "none made"
    return "not run"


def methods_overview() -> str:
    """Return a line a method: its paper, its supervision, its proxy labels side by side."""
    profiles = [one for one in reports() if one.table.id == "methods"]
    found = {
        (report.document["profile"], row.method): score(cell)[1]
        for report in profiles
        for row in report.table.rows
        for cell in report.scores
        if cell["row"] == row.id and cell["column"] == report.table.score_columns[0].id
    }
    names = [report.document["profile"] for report in profiles]
    rows = []
    for name in sorted(method_entry_points()):
        method = load_method_class(name)
        if not method.__module__.startswith("methods."):
            continue  # somebody else's, installed here
        paper = method.paper
        rows.append(
            (
                f"[`{name}`]({name}.md)",
                f"{text(paper.title)}, {text(paper.venue)}",
                method.supervision,
                *(found.get((profile, name), "–") for profile in names),
            )
        )
    header = ("method", "paper", "supervision", *(f"labels, {one}" for one in names))
    return markdown_table(header, rows, range(3, 3 + len(names)), cell=str)


def verdict_meanings() -> str:
    """Return every verdict on a cell with its meaning."""
    rows = [(badge(name), meaning) for name, meaning in MEANINGS.items()]
    return markdown_table(("verdict", "meaning"), rows, cell=str)
